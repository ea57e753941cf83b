"""As much OpenAPI v3 as kubectl asks for: that writes take the query parameter `fieldValidation` (KEP-2885)."""

from __future__ import annotations

from controlplane.errors import unknown_resource
from controlplane.kinds.registry import RESOURCES
from controlplane.objects import Object

_PARAMETERS = [
    {"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": True}}
    for name in ("dryRun", "fieldManager", "fieldValidation")
]


def _place(group_version: str) -> str:
    return f"apis/{group_version}" if "/" in group_version else f"api/{group_version}"


def render_index() -> Object:
    """Where the document of each group and version is."""
    places = dict.fromkeys(_place(resource.group_version) for resource in RESOURCES)
    return {"paths": {place: {"serverRelativeURL": f"/openapi/v3/{place}"} for place in places}}


def render_document(place: str) -> Object:
    """Raises StatusError 404."""
    resources = [resource for resource in RESOURCES if _place(resource.group_version) == place]
    if not resources:
        raise unknown_resource()
    paths: Object = {}
    for resource in resources:
        scope = "namespaces/{namespace}/" if resource.is_namespaced else ""
        kind = {"group": resource.group, "kind": resource.kind, "version": resource.version}
        operations = {
            method: {
                "x-kubernetes-action": method,
                "x-kubernetes-group-version-kind": kind,
                "parameters": _PARAMETERS,
                "responses": {"200": {"description": "OK"}},
            }
            for method in ("post", "put", "patch")
        }
        collection = f"/{place}/{scope}{resource.plural}"
        paths[collection] = {"post": operations["post"]}
        paths[f"{collection}/{{name}}"] = {"put": operations["put"], "patch": operations["patch"]}
    return {
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": "v1.32.4"},
        "paths": paths,
        "components": {"schemas": {}},
    }
