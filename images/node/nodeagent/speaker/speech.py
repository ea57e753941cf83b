"""Whether this node should announce a path's address. Pure.

As bare-metal load balancers do: only for a Service that has the address and an endpoint that may be used, and not from a node
that is excluded from external load balancers, as a drain does first (kubernetes.io, well-known labels). With policy Local an
external address needs an endpoint on this node; cluster IPs do not know that policy.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from nodeagent.proxy.endpoints import choose_endpoints, read_endpoints

Object = Mapping[str, Any]
EXCLUDE_LABEL = "node.kubernetes.io/exclude-from-external-load-balancers"
SERVICE_LABEL = "kubernetes.io/service-name"


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcement:
    """`by`: `bgp` or `vrrp`; `service`: `namespace/name`."""

    path: str
    service: str
    address: str
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterState:
    """What the API has, as it was last told."""

    services: Collection[Object]
    slices: Collection[Object]
    nodes: Collection[Object]


def reason_for_silence(announcement: Announcement, state: ClusterState, node: str) -> str | None:
    """None: it should be announced."""
    service = next((item for item in state.services if _key(item) == announcement.service), None)
    if service is None:
        return "no such Service"
    spec = service.get("spec") or {}
    if announcement.address not in (spec.get("clusterIP"), *(spec.get("externalIPs") or ())):
        return "the Service does not have the address"
    own = next((item for item in state.nodes if item["metadata"]["name"] == node), None)
    if own is None:
        return "the Node is not registered"
    if EXCLUDE_LABEL in (own["metadata"].get("labels") or {}):
        return "the node is excluded from external load balancers"
    slices = [item for item in state.slices if _slice_key(item) == announcement.service]
    ports = [(port.get("name") or "", (port.get("protocol") or "TCP").lower()) for port in spec.get("ports") or ()]
    usable = [choose_endpoints(read_endpoints(slices, name, protocol, node)) for name, protocol in ports]
    if spec.get("externalTrafficPolicy") == "Local" and announcement.address != spec.get("clusterIP"):
        return None if any(item.local for item in usable) else "no endpoint on this node may be used"
    return None if any(item.cluster for item in usable) else "no endpoint may be used"


def _key(item: Object) -> str:
    return f"{item['metadata']['namespace']}/{item['metadata']['name']}"


def _slice_key(item: Object) -> str:
    return f"{item['metadata']['namespace']}/{(item['metadata'].get('labels') or {}).get(SERVICE_LABEL)}"
