"""What the load balancer reads from Node and Service objects, and the servers that follow from it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from ipaddress import IPv4Address
from typing import Any

from lbagent.frontends import Backend, Check
from lbagent.servers import Server

EXCLUDE_LABEL = "node.kubernetes.io/exclude-from-external-load-balancers"
"""Source: KEP-1143; its presence counts, whatever its value."""
TO_BE_DELETED_TAINT = "ToBeDeletedByClusterAutoscaler"
"""Source: the service controller's node predicates and the cluster autoscaler."""

HEALTHZ_PORT = 10256
"""kube-proxy's --healthz-bind-address."""

Object = Mapping[str, Any]
"""A Kubernetes object as decoded from JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A Node as far as a load balancer is concerned."""

    name: str
    address: IPv4Address | None
    ready: bool
    excluded: bool
    deleting: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """What is known of the cluster; None before the first list."""

    nodes: Mapping[str, Node] | None = None
    services: Mapping[str, Object] | None = None
    admitted: frozenset[str] = frozenset()
    """Nodes that were Ready once: from then on health checks decide, not the Ready condition."""

    def with_nodes(self, objects: Iterable[Object]) -> Cluster:
        """The cluster with these nodes; one that is gone is forgotten, and must be Ready anew when it returns."""
        nodes = {node.name: node for node in map(read_node, objects)}
        ready = frozenset(node.name for node in nodes.values() if node.ready)
        return replace(self, nodes=nodes, admitted=(self.admitted & nodes.keys()) | ready)

    def with_services(self, objects: Iterable[Object]) -> Cluster:
        """The cluster with these services."""
        services = {f"{item['metadata'].get('namespace', 'default')}/{item['metadata']['name']}": item for item in objects}
        return replace(self, services=services)


def read_node(item: Object) -> Node:
    """Name, InternalIP, Ready condition, exclusion and deletion of a Node object."""
    metadata, spec, status = item["metadata"], item.get("spec") or {}, item.get("status") or {}
    address = next((entry.get("address") for entry in status.get("addresses") or () if entry.get("type") == "InternalIP"), None)
    ready = any(entry.get("type") == "Ready" and entry.get("status") == "True" for entry in status.get("conditions") or ())
    tainted = any(taint.get("key") == TO_BE_DELETED_TAINT for taint in spec.get("taints") or ())
    return Node(
        name=metadata["name"],
        address=None if address is None else IPv4Address(address),
        ready=ready,
        excluded=tainted or EXCLUDE_LABEL in (metadata.get("labels") or {}),
        deleting=bool(metadata.get("deletionTimestamp")),
    )


def find_node_port(service: Object | None, port: str | int | None) -> int | None:
    """The node port of a service's port, by name, by number, or the only one; None when there is none."""
    ports = ((service or {}).get("spec") or {}).get("ports") or ()
    if port is None:
        matching = list(ports) if len(ports) == 1 else []
    else:
        matching = [entry for entry in ports if port in (entry.get("name"), entry["port"])]
    return matching[0].get("nodePort") or None if matching else None


def find_check_port(service: Object | None, check: Check) -> int | None:
    """Where a server of the service is checked: 0 where its connections go, None where the service has no such port."""
    if check is Check.HTTP_HEALTHZ:
        return HEALTHZ_PORT
    if check is Check.HEALTH_CHECK_NODE_PORT:
        return ((service or {}).get("spec") or {}).get("healthCheckNodePort") or None
    return 0


def desired_servers(cluster: Cluster, backends: Iterable[Backend]) -> Mapping[str, tuple[Server, ...]] | None:
    """The servers of each backend, sorted by name; None while nodes or services are not known yet.

    Nodes that are Ready or NotReady alike, once they were Ready, and not being deleted; drained where the cluster asks to
    keep load balancers away (docs/contracts.md, section 4).
    """
    if cluster.nodes is None or cluster.services is None:
        return None
    eligible = [node for node in cluster.nodes.values() if node.name in cluster.admitted and not node.deleting]
    desired = {}
    for backend in backends:
        service = cluster.services.get(backend.service)
        port, check_port = find_node_port(service, backend.port), find_check_port(service, backend.check)
        desired[backend.name] = tuple(
            sorted(
                Server(name=node.name, address=node.address, port=port, drain=node.excluded, check_port=check_port)
                for node in eligible
                if port is not None and check_port is not None and node.address is not None
            )
        )
    return desired
