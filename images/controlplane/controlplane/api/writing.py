"""POST, PUT, PATCH and DELETE: from a request to one call of the cluster."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable
from typing import Any

from aiohttp import web

from controlplane.api.bodies import (
    JSON,
    Decoded,
    UndecodableError,
    decode_as,
    decode_object,
    media_type_of,
    place_object,
    read_body,
    read_object,
    read_value,
)
from controlplane.api.json_patches import apply_json
from controlplane.api.options import WriteOptions, decode_delete_options, read_write_options
from controlplane.api.paths import Target
from controlplane.api.queries import read_flag, read_number, read_predicate
from controlplane.api.reading import answer_json, answer_object, present, without_kind
from controlplane.cluster import Cluster
from controlplane.deletion import DeleteOptions
from controlplane.errors import (
    StatusError,
    bad_request,
    conflict,
    invalid,
    invalid_value,
    not_found,
    unclassified,
    undecodable_patch,
    unroutable_media_type,
    unsupported_media_type,
)
from controlplane.kinds.registry import by_stored
from controlplane.kinds.resource import Resource
from controlplane.objects import Object, key_of
from controlplane.patching.apply import ApplyConflictError, DuplicateEntryError, apply_configuration
from controlplane.patching.merge import apply_merge_patch
from controlplane.patching.strategic import MalformedDirectiveError, StrategicPatchError, apply_strategic_patch
from controlplane.schema.decoding import name_type
from controlplane.schema.texts import show_go

MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
JSON_PATCH = "application/json-patch+json"
APPLY = "application/apply-patch+yaml"
PATCHES = (JSON_PATCH, MERGE, STRATEGIC, APPLY)
QUOTE = '"'
WARNINGS_LIMIT = 4 * 1024
WARNING_LIMIT = 256
"""Characters of all warnings together, and of each where they are more."""


def _answer(
    cluster: Cluster, target: Target, request: web.BaseRequest, item: Object, status: int, decoded: Decoded
) -> web.Response:
    response = answer_object(
        cluster, target.resource, item, accept=request.headers.get("Accept", ""), query=request.query, status=status
    )
    for text in _choose_warnings(decoded.warnings):
        escaped = text.replace("\\", "\\\\").replace('"', '\\"')
        response.headers.add("Warning", f'299 - "{escaped}"')
    return response


def _choose_warnings(texts: Iterable[str]) -> list[str]:
    """Those that a header can carry: each once, none with control characters, and no more than clients take.

    Source: apimachinery, `net.NewWarningHeader`; apiserver, endpoints/filters/warning.go (the lengths).
    """
    fit = [text for text in dict.fromkeys(texts) if not any(unicodedata.category(char) == "Cc" for char in text)]
    if sum(map(len, fit)) <= WARNINGS_LIMIT:
        return fit
    short = [text[:WARNING_LIMIT] for text in fit]
    return short[: WARNINGS_LIMIT // WARNING_LIMIT]


def to_stored(resource: Resource, item: Object, before: Object | None = None) -> tuple[Resource, Object]:
    """The resource that defines how the object is stored, and the object in its form.

    Raises:
        StatusError: it breaks a rule that holds for this group and version only; the others come later.
    """
    if resource.to_stored is None:
        return resource, item
    stored = resource.to_stored(item)
    if errors := list(resource.validate(stored, before)):
        # It is called what it is stored as, whoever wrote it.
        home = by_stored(resource.stored)
        raise invalid(home.kind, home.group, item["metadata"].get("name", ""), errors)
    return by_stored(resource.stored), stored


async def create(cluster: Cluster, target: Target, request: web.BaseRequest) -> web.Response:
    raw = await read_object(request, target.resource.kind)
    options = read_write_options(request.query, "CreateOptions")
    decoded = decode_as(target.resource, raw, validation=options.validation or "Warn")
    place_object(decoded.item, target)
    resource, item = to_stored(target.resource, decoded.item)
    created = cluster.create(resource, item, is_dry_run=options.is_dry_run)
    return _answer(cluster, target, request, created, 201, decoded)


async def replace(cluster: Cluster, target: Target, request: web.BaseRequest) -> web.Response:
    raw = await read_object(request, target.resource.kind)
    options = read_write_options(request.query, "UpdateOptions")
    decoded = decode_as(target.resource, raw, validation=options.validation or "Warn")
    place_object(decoded.item, target)
    before = cluster.store.find(target.resource.stored, *target.key)
    resource, item = to_stored(target.resource, decoded.item, before)
    is_dry_run = options.is_dry_run
    if resource.creates_on_update and not target.subresource and before is None:
        item["metadata"].pop("resourceVersion", None)
        return _answer(cluster, target, request, cluster.create(resource, item, is_dry_run=is_dry_run), 201, decoded)
    updated = cluster.update(resource, target.key, lambda _: item, subresource=target.subresource, is_dry_run=is_dry_run)
    return _answer(cluster, target, request, updated, 200, decoded)


async def patch(cluster: Cluster, target: Target, request: web.BaseRequest) -> web.Response:
    media_type = media_type_of(request)
    if media_type not in PATCHES:
        raise unroutable_media_type()
    raw = await read_body(request)
    options = read_write_options(request.query, "PatchOptions", is_apply=media_type == APPLY)
    if media_type == APPLY:
        return _apply(cluster, target, request, read_value(raw, _complain_of_yaml), options)
    body = read_value(raw, bad_request if media_type == STRATEGIC else _complain_of_patch)
    is_dry_run, validation = options.is_dry_run, options.validation or "Warn"
    decoded: list[Decoded] = []

    def change(before: Object) -> Object:
        patched = _patched(target.resource, media_type, present(target.resource, before), body, validation=validation)
        # What the client did not touch is known to be right; only its own fields are worth a warning.
        try:
            decoded.append(decode_object(target.resource, patched, validation=validation))
        except UndecodableError as error:
            shown = show_go(body) if media_type == STRATEGIC else json.dumps(patched, separators=(",", ":"), ensure_ascii=False)
            raise undecodable_patch(shown, str(error)) from error
        _check_uid(target.resource, decoded[-1].item, before)
        place_object(decoded[-1].item, target)
        return to_stored(target.resource, decoded[-1].item, before)[1]

    resource = by_stored(target.resource.stored)
    updated = cluster.update(resource, target.key, change, subresource=target.subresource, is_dry_run=is_dry_run)
    return _answer(cluster, target, request, updated, 200, decoded[-1])


def _complain_of_patch(why: str) -> StatusError:
    return bad_request(f"error decoding patch: {why}")


def _complain_of_yaml(why: str) -> StatusError:
    return bad_request(f"error decoding YAML: error converting YAML to JSON: {why}")


def _patched(resource: Resource, media_type: str, before: Object, body: Any, *, validation: str = "Warn") -> Any:
    if media_type == JSON_PATCH:
        return apply_json(before, body, validation=validation)
    if body is None and media_type == MERGE:
        raise bad_request("Invalid JSON Patch")
    body = {} if body is None else body
    if not isinstance(body, dict):
        why = f"json: cannot unmarshal {name_type(body)} into Go value of type map[string]interface {{}}"
        raise bad_request(f"error decoding patch: {why}" if media_type == MERGE else why)
    if media_type == MERGE:
        return apply_merge_patch(before, body)
    try:
        patched = apply_strategic_patch(resource.schema, before, body)
    except MalformedDirectiveError as error:
        raise bad_request(str(error)) from error
    except StrategicPatchError as error:
        raise unclassified(str(error)) from error
    # The object is made from the tree without a look at what kind the tree says it is.
    return {**patched, "apiVersion": resource.group_version, "kind": resource.kind}


def _check_uid(resource: Resource, item: Object, before: Object) -> None:
    """To a PUT the UID is a precondition; in a patch it is one more field that may not change. Raises StatusError 422."""
    uid, old = item.get("metadata", {}).get("uid"), before["metadata"]
    if uid not in (None, "", old["uid"]):
        error = invalid_value("metadata.uid", uid, "field is immutable")
        raise invalid(resource.kind, resource.group, old["name"], [error])


def _apply(cluster: Cluster, target: Target, request: web.BaseRequest, body: Any, options: WriteOptions) -> web.Response:
    resource = target.resource
    version = body.get("apiVersion", "") if isinstance(body, dict) else resource.group_version
    if version != resource.group_version:
        raise bad_request(
            f"Incorrect version specified in apply patch. Specified patch version: {version}, expected: {resource.group_version}"
        )
    if isinstance(body, dict) and isinstance(body.get("metadata"), dict) and body["metadata"].get("managedFields") is not None:
        raise bad_request("metadata.managedFields must be nil")
    if resource.to_stored is not None:
        raise unsupported_media_type((JSON_PATCH, MERGE, STRATEGIC))
    decoded = decode_as(resource, body, validation="Warn")
    _check_declared(target, decoded)
    place_object(decoded.item, target)
    is_forced = read_flag(request.query, "force")
    before = cluster.store.find(resource.stored, *target.key)

    def change(old: Object | None) -> Object:
        if old is not None:
            _check_uid(resource, decoded.item, old)
        try:
            merged = apply_configuration(
                resource.schema,
                old,
                decoded.item,
                manager=options.manager,
                is_forced=is_forced,
                now=cluster.now(),
                api_version=resource.group_version,
                subresource=target.subresource,
            )
        except DuplicateEntryError as error:
            raise unclassified(f"failed to create typed patch object ({_name_for_apply(target)}): {error}") from error
        except ApplyConflictError as error:
            raise StatusError(409, "Conflict", str(error), {"causes": error.causes}) from error
        # The merge may share parts with the committed object.
        return decode_as(resource, merged, validation="Ignore").item

    if before is None:
        if target.subresource:
            raise not_found(resource.group, resource.plural, target.name)
        if uid := decoded.item["metadata"].get("uid"):
            why = f"uid mismatch: the provided object specified uid {uid}, and no existing object was found"
            raise conflict(resource.group, resource.plural, target.name, why)
        created = cluster.create(resource, change(None), is_dry_run=options.is_dry_run)
        return _answer(cluster, target, request, created, 201, decoded)
    updated = cluster.update(resource, target.key, change, subresource=target.subresource, is_dry_run=options.is_dry_run)
    return _answer(cluster, target, request, updated, 200, decoded)


def _check_declared(target: Target, decoded: Decoded) -> None:
    """An applied configuration is of the schema, whatever fieldValidation says. Raises StatusError 500."""
    texts = [f".{text.split(QUOTE)[1]}: field not declared in schema" for text in decoded.warnings]
    if texts:
        told = texts[0] if len(texts) == 1 else "errors:" + "".join(f"\n  {text}" for text in texts)
        raise unclassified(f"failed to create typed patch object ({_name_for_apply(target)}): {told}")


def _name_for_apply(target: Target) -> str:
    resource = target.resource
    return f"{target.namespace or ''}/{target.name}; {resource.group}/{resource.version}, Kind={resource.kind}"


SHOWN_WHEN_GONE = ("pods", "services")
"""Of these a deletion answers with the object, of all others with a Status (registry/generic, ReturnDeletedObject)."""


async def delete(cluster: Cluster, target: Target, request: web.BaseRequest) -> web.Response:
    options = await _delete_options(request)
    resource = by_stored(target.resource.stored)
    item, is_gone = cluster.delete(resource, target.key, options)
    if is_gone and resource.stored not in SHOWN_WHEN_GONE:
        return answer_json(_deleted(target.resource, item))
    return answer_json(present(target.resource, item))


def _deleted(resource: Resource, item: Object) -> Object:
    details: Object = {"name": item["metadata"]["name"], "kind": resource.plural, "uid": item["metadata"]["uid"]}
    if resource.group:
        details["group"] = resource.group
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}


async def delete_collection(cluster: Cluster, target: Target, request: web.BaseRequest) -> web.Response:
    options = await _delete_options(request)
    resource = by_stored(target.resource.stored)
    predicate = read_predicate(target, request.query)
    items = [item for item in cluster.store.items(resource.stored, target.namespace) if predicate(item)]
    if target.resource.is_namespaced and target.namespace is None:
        raise StatusError(405, "MethodNotAllowed", "the server does not allow this method on the requested resource", {})
    gone = [without_kind(present(target.resource, cluster.delete(resource, key_of(item), options)[0])) for item in items]
    head = {"kind": f"{target.resource.kind}List", "apiVersion": target.resource.group_version}
    return answer_json({**head, "metadata": {"resourceVersion": str(cluster.store.version)}, "items": gone})


async def _delete_options(request: web.BaseRequest) -> DeleteOptions:
    body = await read_body(request)
    if body and media_type_of(request) not in (JSON, ""):
        raise unsupported_media_type((JSON,))
    raw = read_value(body) if body else None
    return decode_delete_options(raw, request.query, read_number(request.query, "gracePeriodSeconds"))
