"""Which resource a URL means (Kubernetes API concepts, "Resource URIs")."""

from __future__ import annotations

from dataclasses import dataclass

from controlplane.errors import unknown_resource
from controlplane.kinds.registry import SUBRESOURCES, find
from controlplane.kinds.resource import Resource


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A collection (`name` empty), an object, or a subresource of it; `namespace` None means all of them."""

    resource: Resource
    namespace: str | None
    name: str = ""
    subresource: str = ""

    @property
    def key(self) -> tuple[str, str]:
        return self.namespace or "", self.name


def parse_target(path: str) -> Target:
    """Raises StatusError 404 for what the API does not have."""
    parts = [part for part in path.split("/") if part]
    if parts[:1] == ["api"] and len(parts) >= 3:
        group, version, rest = "", parts[1], parts[2:]
    elif parts[:1] == ["apis"] and len(parts) >= 4:
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        raise unknown_resource()
    namespace = None
    if rest[0] == "namespaces" and len(rest) >= 3 and rest[2] not in ("status", "finalize"):
        namespace, rest = rest[1], rest[2:]
    resource = find(group, version, rest[0])
    if resource is None or len(rest) > 3 or (namespace is not None and not resource.is_namespaced):
        raise unknown_resource()
    name = rest[1] if len(rest) > 1 else ""
    subresource = rest[2] if len(rest) > 2 else ""
    if subresource and not (
        (subresource == "status" and resource.has_status) or subresource in SUBRESOURCES.get(resource.plural, ())
    ):
        raise unknown_resource()
    if name and resource.is_namespaced and namespace is None:
        raise unknown_resource()
    return Target(resource=resource, namespace=namespace, name=name, subresource=subresource)
