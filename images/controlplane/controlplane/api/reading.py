"""GET of objects and collections. Objects go out as the bytes that were committed."""

from __future__ import annotations

import json

from aiohttp import web

from controlplane.api.negotiation import Form, negotiate
from controlplane.api.options import check_list_options
from controlplane.api.paths import Target
from controlplane.api.queries import Continuation, Query, read_continuation, read_number, read_predicate, read_version
from controlplane.api.tables import render_table
from controlplane.cluster import Cluster
from controlplane.errors import StatusError, bad_request, continue_expired, too_large_version
from controlplane.field_errors import invalid_value
from controlplane.kinds.resource import Resource
from controlplane.objects import Key, Object
from controlplane.selectors import selects_everything
from controlplane.store.history import HistoryGoneError
from controlplane.store.store import Record

INCLUDED = ("None", "Metadata", "Object")
OBJECT_FORMS = ("Table;v1", "PartialObjectMetadata;v1", "PartialObjectMetadataList;v1")


def answer_json(value: object, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """A JSON answer."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
    return web.Response(body=text, status=status, content_type="application/json", headers=headers)


def present(resource: Resource, item: Object) -> Object:
    """The object as this group and version shows it."""
    return item if resource.from_stored is None else resource.from_stored(item)


def answer_object(
    cluster: Cluster, resource: Resource, item: Object, *, accept: str, query: Query, status: int = 200
) -> web.Response:
    """One object in the form that the client wants."""
    form = negotiate(accept, supported=OBJECT_FORMS)
    return answer_json(_form(cluster, resource, item, form, query), status)


def _form(cluster: Cluster, resource: Resource, item: Object, form: Form, query: Query) -> Object:
    if form.representation == "Table":
        metadata = {"resourceVersion": item["metadata"].get("resourceVersion", "")}
        return render_table(resource, [item], now=cluster.clock.now(), metadata=metadata, include=read_include(query))
    if form.representation:
        return partial_metadata(item)
    return present(resource, item)


def partial_metadata(item: Object) -> Object:
    """Only the metadata."""
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": item["metadata"]}


def read_include(query: Query) -> str:
    """Which object a row of a Table holds. Raises StatusError 400."""
    include = query.get("includeObject", "") or "Metadata"
    if include not in INCLUDED:
        error = invalid_value("includeObject", include, "must be 'Metadata', 'Object', 'None', or empty")
        raise bad_request(f"Unable to convert to Table as requested: {error.field}: {error.message}")
    return include


def check_reachable(cluster: Cluster, version: int | None) -> None:
    """Raises StatusError 504 for a version that is not there yet."""
    if version is not None and version > cluster.store.version:
        raise too_large_version(version, cluster.store.version)


def answer_list(cluster: Cluster, target: Target, *, accept: str, query: Query) -> web.Response:
    """A collection, in pages if the client wants."""
    form = negotiate(accept, supported=OBJECT_FORMS)
    resource = target.resource
    predicate = read_predicate(target, query)
    check_list_options(query)
    read_number(query, "timeoutSeconds")
    continuation = read_continuation(query)
    version = read_version(query, complain=_complain_of_version)
    if continuation is not None and version:
        raise bad_request("specifying resource version is not allowed when using continue")
    if continuation is None:
        check_reachable(cluster, version)
    limit = read_number(query, "limit") or 0
    records = cluster.store.records(resource.stored, target.namespace)
    if predicate is not selects_everything:
        records = [(key, record) for key, record in records if predicate(record.item)]
    at = cluster.store.version
    if continuation is not None:
        at = _resume(cluster, resource, continuation)
        records = [(key, record) for key, record in records if key > continuation.after]
    metadata: Object = {"resourceVersion": str(at)}
    if 0 < limit < len(records):
        metadata["continue"] = Continuation(version=at, after=records[limit - 1][0]).render()
        if not (query.get("labelSelector") or query.get("fieldSelector")):
            metadata["remainingItemCount"] = len(records) - limit
        records = records[:limit]
    return _answer_records(cluster, resource, records, metadata, form, query)


def _complain_of_version(why: str) -> StatusError:
    return bad_request(f"invalid resource version: {why}")


def _resume(cluster: Cluster, resource: Resource, continuation: Continuation) -> int:
    try:
        cluster.store.history(resource.stored).position_after(continuation.version)
    except HistoryGoneError:
        raise continue_expired() from None
    return continuation.version


def _answer_records(
    cluster: Cluster, resource: Resource, records: list[tuple[Key, Record]], metadata: Object, form: Form, query: Query
) -> web.Response:
    if form.representation == "Table":
        items = [record.item for _, record in records]
        include = read_include(query)
        return answer_json(render_table(resource, items, now=cluster.clock.now(), metadata=metadata, include=include))
    if form.representation:
        items = [partial_metadata(record.item) for _, record in records]
        kind = "PartialObjectMetadataList"
        return answer_json({"kind": kind, "apiVersion": "meta.k8s.io/v1", "metadata": metadata, "items": items})
    head = {"kind": f"{resource.kind}List", "apiVersion": resource.group_version, "metadata": metadata}
    # The list says once what its items are.
    said = json.dumps({"apiVersion": resource.group_version, "kind": resource.kind}, separators=(",", ":"))[:-1].encode() + b","
    opening = json.dumps(head, separators=(",", ":")).encode()[:-1] + b',"items":['
    if resource.from_stored is None:
        body = b",".join(_without_head(record.encoded, said) for _, record in records)
    else:
        shown = (present(resource, record.item) for _, record in records)
        body = b",".join(json.dumps(without_kind(item)).encode() for item in shown)
    return web.Response(body=opening + body + b"]}", content_type="application/json")


def without_kind(item: Object) -> Object:
    """As a list holds it."""
    return {name: value for name, value in item.items() if name not in ("apiVersion", "kind")}


def _without_head(encoded: bytes, head: bytes) -> bytes:
    return b"{" + encoded[len(head) :] if encoded.startswith(head) else encoded
