"""Discovery, plain and aggregated (KEP-3352), the version, and health."""

from __future__ import annotations

from functools import cache

from controlplane.errors import unknown_resource
from controlplane.kinds.registry import GROUP_ORDER, RESOURCES, SUBRESOURCES
from controlplane.kinds.resource import Resource
from controlplane.objects import Object

AGGREGATED = ("APIGroupDiscoveryList;v2", "APIGroupDiscoveryList;v2beta1")
HEALTH = ("/healthz", "/healthz/ping", "/livez", "/livez/ping", "/readyz", "/readyz/ping")
GIT_VERSION = "v1.36.0+testbed"
VERSION: Object = {
    "major": "1",
    "minor": "36",
    "gitVersion": GIT_VERSION,
    "gitCommit": "",
    "gitTreeState": "clean",
    "buildDate": "2026-01-01T00:00:00Z",
    "goVersion": "",
    "compiler": "",
    "platform": "linux/amd64",
}
_SUBRESOURCE_KINDS = {
    "scale": ("autoscaling", "v1", "Scale", ("get", "patch", "update")),
    "eviction": ("policy", "v1", "Eviction", ("create",)),
    "binding": ("", "v1", "Binding", ("create",)),
}


def _of_group(group: str) -> list[Resource]:
    return [resource for resource in RESOURCES if resource.group == group]


def _versions(group: str) -> list[str]:
    return list(dict.fromkeys(resource.version for resource in _of_group(group)))


def subresources_of(resource: Resource) -> list[str]:
    return [*(["status"] if resource.has_status else []), *SUBRESOURCES.get(resource.plural, ())]


@cache
def render_legacy_versions() -> Object:
    return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}


def _group(group: str) -> Object:
    versions = [{"groupVersion": f"{group}/{version}", "version": version} for version in _versions(group)]
    return {"name": group, "versions": versions, "preferredVersion": versions[0]}


@cache
def render_groups() -> Object:
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [_group(group) for group in GROUP_ORDER if group]}


@cache
def render_paths() -> Object:
    """What `/` tells."""
    groups = {f"/apis/{group}": [f"/apis/{group}/{version}" for version in _versions(group)] for group in GROUP_ORDER if group}
    listed = [path for group, versions in sorted(groups.items()) for path in (group, *versions)]
    others = [*HEALTH, "/openapi/v2", "/openapi/v3", "/version"]
    return {"paths": ["/api", "/api/v1", "/apis", "/apis/", *listed, *sorted(others)]}


def render_health(path: str) -> str:
    """What a health endpoint answers to `verbose`."""
    return f"[+]ping ok\n{path.removeprefix('/')} check passed\n"


@cache
def render_definitions() -> Object:
    """No custom resources. kubectl asks whether a kind that it does not find is one before it says that there is no such kind."""
    kind = "CustomResourceDefinitionList"
    return {"kind": kind, "apiVersion": "apiextensions.k8s.io/v1", "metadata": {"resourceVersion": "1"}, "items": []}


def render_group(group: str) -> Object:
    """Raises StatusError 404."""
    if not group or not _of_group(group):
        raise unknown_resource()
    return {"kind": "APIGroup", "apiVersion": "v1", **_group(group)}


def render_resources(group: str, version: str) -> Object:
    """Raises StatusError 404."""
    resources = [resource for resource in _of_group(group) if resource.version == version]
    if not resources:
        raise unknown_resource()
    listed: list[Object] = []
    for resource in resources:
        listed.append(_plain(resource))
        for name in subresources_of(resource):
            listed.append(_plain_subresource(resource, name))
    group_version = f"{group}/{version}" if group else version
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": listed}


def _plain(resource: Resource) -> Object:
    entry: Object = {
        "name": resource.plural,
        "singularName": resource.singular,
        "namespaced": resource.is_namespaced,
        "kind": resource.kind,
        "verbs": sorted(resource.verbs),
    }
    if resource.short_names:
        entry["shortNames"] = list(resource.short_names)
    if resource.categories:
        entry["categories"] = list(resource.categories)
    return entry


def _subresource_kind(resource: Resource, name: str) -> tuple[str, str, str, tuple[str, ...]]:
    return _SUBRESOURCE_KINDS.get(name, (resource.group, resource.version, resource.kind, ("get", "patch", "update")))


def _plain_subresource(resource: Resource, name: str) -> Object:
    group, version, kind, verbs = _subresource_kind(resource, name)
    entry: Object = {
        "name": f"{resource.plural}/{name}",
        "singularName": "",
        "namespaced": resource.is_namespaced,
        "kind": kind,
        "verbs": list(verbs),
    }
    if (group, version) != (resource.group, resource.version):
        entry |= {"group": group, "version": version}
    return entry


@cache
def render_aggregated(is_core: bool, version: str) -> Object:
    """apidiscovery.k8s.io APIGroupDiscoveryList of the core group, or of all others."""
    groups = [""] if is_core else [group for group in GROUP_ORDER if group]
    return {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": f"apidiscovery.k8s.io/{version}",
        "metadata": {},
        "items": [
            {
                "metadata": {"name": group} if group else {},
                "versions": [
                    {
                        "version": entry,
                        "freshness": "Current",
                        "resources": [_aggregated(resource) for resource in _of_group(group) if resource.version == entry],
                    }
                    for entry in _versions(group)
                ],
            }
            for group in groups
        ],
    }


def _kind(group: str, version: str, kind: str) -> Object:
    return {"group": group, "version": version, "kind": kind}


def _aggregated(resource: Resource) -> Object:
    entry: Object = {
        "resource": resource.plural,
        "responseKind": _kind(resource.group, resource.version, resource.kind),
        "scope": "Namespaced" if resource.is_namespaced else "Cluster",
        "singularResource": resource.singular,
        "verbs": sorted(resource.verbs),
    }
    if resource.short_names:
        entry["shortNames"] = list(resource.short_names)
    if resource.categories:
        entry["categories"] = list(resource.categories)
    subresources = []
    for name in subresources_of(resource):
        group, version, kind, verbs = _subresource_kind(resource, name)
        subresources.append({"subresource": name, "responseKind": _kind(group, version, kind), "verbs": list(verbs)})
    if subresources:
        entry["subresources"] = subresources
    return entry
