"""Every resource of the API: one line each. A new one is a module with its Resource, and a line here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from controlplane.kinds.configuration import CONFIG_MAPS, NAMESPACES, SECRETS
from controlplane.kinds.disruption import POD_DISRUPTION_BUDGETS
from controlplane.kinds.endpoints import ENDPOINT_SLICES, ENDPOINTS
from controlplane.kinds.event import CORE_EVENTS, EVENTS
from controlplane.kinds.ingress import INGRESS_CLASSES, INGRESSES
from controlplane.kinds.legacy_ingress import LEGACY_INGRESSES
from controlplane.kinds.node import LEASES, NODES
from controlplane.kinds.pod import PODS
from controlplane.kinds.resource import Resource
from controlplane.kinds.service import SERVICES
from controlplane.kinds.service_cidr import IP_ADDRESSES, SERVICE_CIDRS
from controlplane.kinds.workloads import DEPLOYMENTS, REPLICASETS

RESOURCES: tuple[Resource, ...] = (
    CONFIG_MAPS,
    ENDPOINTS,
    CORE_EVENTS,
    NAMESPACES,
    NODES,
    PODS,
    SECRETS,
    SERVICES,
    DEPLOYMENTS,
    REPLICASETS,
    LEASES,
    ENDPOINT_SLICES,
    EVENTS,
    INGRESS_CLASSES,
    INGRESSES,
    IP_ADDRESSES,
    SERVICE_CIDRS,
    POD_DISRUPTION_BUDGETS,
    LEGACY_INGRESSES,
)
# Of two groups with the same resource, kubectl takes the one that comes first.
GROUP_ORDER = (
    "",
    "apps",
    "coordination.k8s.io",
    "discovery.k8s.io",
    "events.k8s.io",
    "networking.k8s.io",
    "policy",
    "extensions",
)
STORED = tuple(dict.fromkeys(resource.stored for resource in RESOURCES))
SUBRESOURCES: Mapping[str, tuple[str, ...]] = {
    "pods": ("binding", "eviction"),
    "deployments": ("scale",),
    "replicasets": ("scale",),
}
"""Beyond `status`, which a Resource says itself."""


def find(group: str, version: str, plural: str) -> Resource | None:
    return _BY_PLACE.get((group, version, plural))


def by_stored(stored: str) -> Resource:
    """The resource that defines how the objects are stored."""
    return _BY_STORED[stored]


def find_kind(api_version: str, kind: str) -> Resource | None:
    """The resource of an object in a manifest."""
    return _BY_KIND.get((api_version, kind))


def _first(resources: Iterable[Resource]) -> dict[str, Resource]:
    found: dict[str, Resource] = {}
    for resource in resources:
        found.setdefault(resource.stored, resource)
    return found


_BY_PLACE = {(item.group, item.version, item.plural): item for item in RESOURCES}
_BY_KIND = {(item.group_version, item.kind): item for item in RESOURCES}
_BY_STORED = _first(RESOURCES)
