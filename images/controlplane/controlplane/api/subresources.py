"""Scale, binding and eviction."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from controlplane.api.bodies import decode_schema, media_type_of, read_body, read_object, read_value
from controlplane.api.json_patches import apply_json
from controlplane.api.options import decode_delete_options, read_dry_run
from controlplane.api.paths import Target
from controlplane.api.reading import answer_json, answer_object
from controlplane.api.writing import JSON_PATCH, MERGE, PATCHES
from controlplane.binding import bind_pod
from controlplane.cluster import Cluster
from controlplane.errors import (
    bad_request,
    conflict,
    invalid,
    invalid_value,
    method_not_allowed,
    required,
    unsupported_media_type,
)
from controlplane.eviction import evict_pod
from controlplane.kinds.columns import show_selector
from controlplane.kinds.pod import BINDING, EVICTION
from controlplane.kinds.workloads import SCALE, SCALES
from controlplane.objects import Object, spec_of, status_of, with_spec
from controlplane.patching.merge import apply_merge_patch

SUCCESS: Object = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}


def render_scale(item: Object) -> Object:
    """autoscaling/v1 Scale of a Deployment or ReplicaSet."""
    metadata = item["metadata"]
    kept = {name: metadata[name] for name in ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")}
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": kept,
        "spec": {"replicas": spec_of(item).get("replicas", 1)},
        "status": {
            "replicas": status_of(item).get("replicas", 0),
            "selector": show_selector(spec_of(item).get("selector")),
        },
    }


async def scale(cluster: Cluster, target: Target, request: web.BaseRequest) -> web.Response:
    resource = target.resource
    if request.method == "GET":
        return _answer_scale(cluster, request, cluster.get(resource, target.key))
    if request.method not in ("PUT", "PATCH"):
        raise method_not_allowed()
    is_patch = request.method == "PATCH"
    media_type = media_type_of(request)
    body = read_value(await read_body(request)) if is_patch else await read_object(request, "Scale")
    is_dry_run = read_dry_run(request.query.getall("dryRun", []), "PatchOptions" if is_patch else "UpdateOptions")

    def change(before: Object) -> Object:
        raw = _patched(media_type, render_scale(before), body) if is_patch else body
        if not isinstance(raw, dict):
            raise bad_request("Scale must be a JSON object")
        wanted = decode_schema(SCALE, raw, "v1", "Ignore").item
        version = (wanted.get("metadata") or {}).get("resourceVersion")
        if version not in (None, "", before["metadata"]["resourceVersion"]):
            raise conflict(resource.group, resource.plural, target.name)
        replicas = spec_of(wanted).get("replicas", 0)
        if replicas < 0:
            error = invalid_value("spec.replicas", replicas, "must be greater than or equal to 0")
            raise invalid("Scale", "autoscaling", target.name, [error])
        return with_spec({**before, "metadata": dict(before["metadata"])}, replicas=replicas)

    return _answer_scale(cluster, request, cluster.update(resource, target.key, change, is_dry_run=is_dry_run))


def _answer_scale(cluster: Cluster, request: web.BaseRequest, item: Object) -> web.Response:
    accept = request.headers.get("Accept", "")
    return answer_object(cluster, SCALES, render_scale(item), accept=accept, query=request.query)


def _patched(media_type: str, scale_: Object, body: Any) -> Any:
    if media_type not in PATCHES:
        raise unsupported_media_type(PATCHES)
    if media_type == JSON_PATCH:
        return apply_json(scale_, body)
    if not isinstance(body, dict):
        raise bad_request(f"{MERGE}: the patch must be an object")
    # A Scale has no lists: a strategic merge is a merge.
    return apply_merge_patch(scale_, body)


async def bind(cluster: Cluster, target: Target, request: web.BaseRequest) -> web.Response:
    """Assign a pod to a node, once (registry/core/pod/storage, BindingREST)."""
    if request.method != "POST":
        raise method_not_allowed()
    binding = decode_schema(BINDING, await read_object(request, "Binding"), "v1", "Ignore").item
    wanted = binding.get("target")
    node = wanted.get("name") if isinstance(wanted, dict) else None
    if not isinstance(node, str) or not node:
        raise invalid("Binding", "", target.name, [required("target.name")])
    bind_pod(cluster, target.key, node)
    return answer_json(SUCCESS, 201)


async def evict(cluster: Cluster, target: Target, request: web.BaseRequest) -> web.Response:
    """A deletion that disruption budgets may refuse."""
    if request.method != "POST":
        raise method_not_allowed()
    eviction = decode_schema(EVICTION, await read_object(request, "Eviction"), "v1", "Ignore").item
    if (eviction.get("metadata") or {}).get("name") not in (None, "", target.name):
        raise bad_request("name in URL does not match name in Eviction object")
    options = decode_delete_options(eviction.get("deleteOptions") or {}, request)
    evict_pod(cluster, target.key, options)
    return answer_json(SUCCESS, 201)
