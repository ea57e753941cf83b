"""What the paths that the gateway routes have in common: an address of their own, and the gateway's choice among next hops."""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network
from typing import Literal

from orchestrator.contracts import PlanContext, ServiceFacts
from orchestrator.ingress.selection import select_node

HASH_POLICY = "net.ipv4.fib_multipath_hash_policy"
HASHES = {"l3": "0", "l3l4": "1"}
"""The kernel's values (ip-sysctl.rst): addresses alone, so that one client has one next hop; addresses and ports."""
Hash = Literal["l3", "l3l4"]


def select_cluster_ip(service: ServiceFacts, context: PlanContext) -> IPv4Address:
    if service.cluster_ip is None:
        raise ValueError(f"service: {service.key} has no fixed spec.clusterIP; allowed: an address in {context.service_network}")
    return service.cluster_ip


def select_next_hops(names: Sequence[str] | None, context: PlanContext) -> tuple[str, ...]:
    """The named nodes, or every one at the start."""
    chosen = tuple(context.nodes) if names is None else tuple(select_node("next_hops", name, context) for name in names)
    if len(set(chosen)) != len(chosen):
        raise ValueError(f"next_hops: names a node twice: {', '.join(chosen)}; allowed: each once")
    return chosen


def host_network(address: IPv4Address) -> IPv4Network:
    return IPv4Network((int(address), 32))
