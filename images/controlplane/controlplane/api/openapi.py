"""As much OpenAPI v3 as kubectl asks for: that writes take the query parameter `fieldValidation` (KEP-2885)."""

from __future__ import annotations

from collections.abc import Iterator

from controlplane.api.discovery import VERSION
from controlplane.errors import unknown_resource
from controlplane.kinds.registry import RESOURCES
from controlplane.objects import Object

WRITE_PARAMETERS = ("dryRun", "fieldManager", "fieldValidation")
_PARAMETERS = [{"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": True}} for name in WRITE_PARAMETERS]


def _place(group_version: str) -> str:
    return f"apis/{group_version}" if "/" in group_version else f"api/{group_version}"


def each_kind(place: str | None = None) -> Iterator[tuple[str, Object]]:
    """Path of the collection, and group, version and kind, of every resource (of one group and version)."""
    for resource in RESOURCES:
        here = _place(resource.group_version)
        if place in (None, here):
            scope = "namespaces/{namespace}/" if resource.is_namespaced else ""
            kind = {"group": resource.group, "kind": resource.kind, "version": resource.version}
            yield f"/{here}/{scope}{resource.plural}", kind


def render_index() -> Object:
    """Where the document of each group and version is."""
    places = dict.fromkeys(_place(resource.group_version) for resource in RESOURCES)
    return {"paths": {place: {"serverRelativeURL": f"/openapi/v3/{place}"} for place in places}}


def render_document(place: str) -> Object:
    """Raises StatusError 404."""
    paths: Object = {}
    for collection, kind in each_kind(place):
        operations = {
            method: {
                "x-kubernetes-action": method,
                "x-kubernetes-group-version-kind": kind,
                "parameters": _PARAMETERS,
                "responses": {"200": {"description": "OK"}},
            }
            for method in ("post", "put", "patch")
        }
        paths[collection] = {"post": operations["post"]}
        paths[f"{collection}/{{name}}"] = {"put": operations["put"], "patch": operations["patch"]}
    if not paths:
        raise unknown_resource()
    return {
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": VERSION["gitVersion"]},
        "paths": paths,
        "components": {"schemas": {}},
    }
