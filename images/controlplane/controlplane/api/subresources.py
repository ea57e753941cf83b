"""Scale, binding and eviction."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from aiohttp import web

from controlplane.api.bodies import (
    UndecodableError,
    decode_as,
    decode_object,
    decode_schema,
    media_type_of,
    place_object,
    read_body,
    read_object,
    read_value,
)
from controlplane.api.json_patches import apply_json
from controlplane.api.options import decode_delete_options, read_write_options
from controlplane.api.paths import Target
from controlplane.api.queries import read_number
from controlplane.api.reading import answer_json, answer_object
from controlplane.api.writing import JSON_PATCH, PATCHES
from controlplane.binding import bind_pod
from controlplane.cluster import Cluster
from controlplane.errors import (
    bad_request,
    conflict,
    invalid,
    method_not_allowed,
    unclassified,
    undecodable_patch,
    unroutable_media_type,
)
from controlplane.eviction import evict_pod
from controlplane.field_errors import invalid_value, required, unsupported
from controlplane.kinds.columns import show_selector
from controlplane.kinds.pod import BINDINGS, EVICTION
from controlplane.kinds.workloads import SCALES
from controlplane.objects import Object, spec_of, status_of, with_spec
from controlplane.patching.merge import apply_merge_patch
from controlplane.schema.decoding import name_type

ANY_MAP = "map[string]interface {}"
SUCCESS: Object = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}


def render_scale(item: Object) -> Object:
    """autoscaling/v1 Scale of a Deployment or ReplicaSet."""
    metadata = item["metadata"]
    kept = {name: metadata[name] for name in ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")}
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": kept,
        # Without zero, which Go's field omits.
        "spec": {"replicas": replicas} if (replicas := spec_of(item).get("replicas", 1)) else {},
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
    options = read_write_options(request.query, "PatchOptions" if is_patch else "UpdateOptions")

    def change(before: Object) -> Object:
        wanted = _patched(media_type, render_scale(before), body) if is_patch else _decoded(body)
        place_object(wanted, target)
        version = (wanted.get("metadata") or {}).get("resourceVersion")
        if version not in (None, "", before["metadata"]["resourceVersion"]):
            raise conflict(resource.group, resource.plural, target.name)
        replicas = spec_of(wanted).get("replicas", 0)
        if replicas < 0:
            error = invalid_value("spec.replicas", replicas, "must be greater than or equal to 0")
            raise invalid("Scale", "autoscaling", target.name, [error])
        return with_spec({**before, "metadata": dict(before["metadata"])}, replicas=replicas)

    return _answer_scale(cluster, request, cluster.update(resource, target.key, change, is_dry_run=options.is_dry_run))


def _answer_scale(cluster: Cluster, request: web.BaseRequest, item: Object) -> web.Response:
    accept = request.headers.get("Accept", "")
    return answer_object(cluster, SCALES, render_scale(item), accept=accept, query=request.query)


def _decoded(body: Any) -> Object:
    return decode_as(SCALES, body, validation="Ignore").item


def _patched(media_type: str, scale_: Object, body: Any) -> Object:
    if media_type not in PATCHES:
        raise unroutable_media_type()
    if media_type == JSON_PATCH:
        patched = apply_json(scale_, body)
    elif isinstance(body, dict):
        # A Scale has no lists: a strategic merge is a merge.
        patched = apply_merge_patch(scale_, body)
    else:
        raise bad_request(f"error decoding patch: json: cannot unmarshal {name_type(body)} into Go value of type {ANY_MAP}")
    try:
        return decode_object(SCALES, patched, validation="Ignore").item
    except UndecodableError as error:
        shown = json.dumps(patched, separators=(",", ":"), ensure_ascii=False)
        raise undecodable_patch(shown, str(error)) from error


async def bind(cluster: Cluster, target: Target, request: web.BaseRequest) -> web.Response:
    """Assign a pod to a node, once (registry/core/pod/storage, BindingREST)."""
    if request.method != "POST":
        raise method_not_allowed()
    options = read_write_options(request.query, "CreateOptions")
    binding = decode_as(BINDINGS, await read_object(request, "Binding"), validation="Ignore").item
    if binding.get("metadata", {}).get("name", "") != target.name:
        raise bad_request("name in URL does not match name in Binding object")
    place_object(binding, target)
    wanted = binding.get("target") or {}
    errors = [
        *([unsupported("target.kind", wanted["kind"], ("Node", "<empty>"))] if wanted.get("kind", "Node") != "Node" else []),
        *([] if wanted.get("name") else [required("target.name")]),
    ]
    if errors:
        texts = [f"{error.field}: {error.message}" for error in errors]
        raise unclassified(texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]")
    bind_pod(cluster, target.key, wanted["name"], metadata=binding["metadata"], is_dry_run=options.is_dry_run)
    return answer_json(SUCCESS, 201)


async def evict(cluster: Cluster, target: Target, request: web.BaseRequest) -> web.Response:
    """A deletion that disruption budgets may refuse."""
    if request.method != "POST":
        raise method_not_allowed()
    created = read_write_options(request.query, "CreateOptions")
    eviction = decode_schema(EVICTION, await read_object(request, "Eviction"), "v1", "Ignore").item
    if eviction.get("metadata", {}).get("name", "") != target.name:
        raise bad_request("name in URL does not match name in Eviction object")
    grace_s = read_number(request.query, "gracePeriodSeconds")
    options = decode_delete_options(eviction.get("deleteOptions") or {}, request.query, grace_s)
    options = replace(options, is_dry_run=options.is_dry_run or created.is_dry_run)
    evict_pod(cluster, target.key, options)
    return answer_json(SUCCESS, 201)
