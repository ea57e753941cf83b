"""DELETE of an object and of a collection."""

from __future__ import annotations

from aiohttp import web

from controlplane.api.bodies import JSON, media_type_of, read_body, read_value
from controlplane.api.options import decode_delete_options
from controlplane.api.paths import Target
from controlplane.api.queries import read_number, read_predicate
from controlplane.api.reading import answer_json, present, without_kind
from controlplane.cluster import Cluster
from controlplane.deletion import DeleteOptions
from controlplane.errors import method_not_allowed, unsupported_media_type
from controlplane.kinds.registry import by_stored
from controlplane.kinds.resource import Resource
from controlplane.objects import Object, key_of

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
    if target.resource.is_namespaced and target.namespace is None:
        raise method_not_allowed()
    options = await _delete_options(request)
    resource = by_stored(target.resource.stored)
    predicate = read_predicate(target, request.query)
    items = [item for item in cluster.store.items(resource.stored, target.namespace) if predicate(item)]
    gone = [without_kind(present(target.resource, cluster.delete(resource, key_of(item), options)[0])) for item in items]
    head = {"kind": f"{target.resource.kind}List", "apiVersion": target.resource.group_version}
    return answer_json({**head, "metadata": {"resourceVersion": str(cluster.store.version)}, "items": gone})


async def _delete_options(request: web.BaseRequest) -> DeleteOptions:
    body = await read_body(request)
    if body and media_type_of(request) not in (JSON, ""):
        raise unsupported_media_type((JSON,))
    raw = read_value(body) if body else None
    return decode_delete_options(raw, request.query, read_number(request.query, "gracePeriodSeconds"))
