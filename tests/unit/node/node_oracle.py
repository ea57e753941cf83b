"""What Kubernetes says becomes of a packet to a Service: its tables as a function, which knows nothing of rules.

Source: KEP-1669, KEP-2086, KEP-1672 and the reference of Service (kubernetes.io), and where the modes differ, what a real kube-proxy was
seen to do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Any

from nodeagent.proxy.fate import Fate

DROPPED, REJECTED, UNTOUCHED = (Fate(targets=(), verdict=verdict) for verdict in ("drop", "reject", "accept"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """`pod`: on this node, on another, or none."""

    ip: str
    pod: str = ""
    interface: str = "eth0"

    @property
    def is_node(self) -> bool:
        return not self.interface


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One Service port as its writer means it, on one node that has the load balancer's address too. `here` and `there`: target -> conditions, of this node and of others."""

    mode: str
    here: Mapping[str, Mapping[str, bool]]
    there: Mapping[str, Mapping[str, bool]]
    external_local: bool = False
    internal_local: bool = False
    source_ranges: tuple[str, ...] = ()
    detection: str = "ClusterCIDR"
    masquerade_all: bool = False
    remembered: Mapping[str, str] = field(default_factory=dict)
    """Sender -> where affinity holds it."""
    node_ip: str
    load_balancer_ip: str


def choose(endpoints: Mapping[str, Mapping[str, bool]]) -> tuple[str, ...]:
    """Those that are ready, else those that serve while they leave. nil: ready, serving, not terminating."""
    ready = [target for target, said in endpoints.items() if said.get("ready", True)]
    leaving = [target for target, said in endpoints.items() if said.get("serving", True) and said.get("terminating", False)]
    return tuple(sorted(ready or leaving))


def judge(case: Case, sender: Sender, way: str) -> Fate:
    """`way`: `cluster IP`, `node port`, `external IP`, `load balancer IP`, or a node port at another of the node's addresses."""
    cluster, local = choose({**case.here, **case.there}), choose(case.here)
    if way in ("node port at the bridge", "node port at loopback") and case.mode == "nftables":
        return UNTOUCHED
    if way == "cluster IP":
        used = local if case.internal_local else cluster
        is_hidden = case.masquerade_all or (case.detection != "none" and not _is_pod(case, sender))
    else:
        if way == "load balancer IP" and not _is_allowed(case, sender) and (cluster or case.mode == "nftables"):
            return DROPPED
        if not cluster and case.mode == "iptables" and sender.is_node and way == "external IP":
            return (
                UNTOUCHED  # KUBE-EXTERNAL-SERVICES is not met by what the node itself sends to an address that it does not have
            )
        is_inside = sender.is_node or _is_pod(case, sender)
        used = local if case.external_local and not is_inside else cluster
        is_hidden = sender.is_node or not case.external_local
    if not used:
        return DROPPED if cluster else REJECTED
    if (stays := case.remembered.get(sender.ip)) in used:
        used = (str(stays),)
    hidden = [target for target in used if is_hidden or _is_hairpin(case, sender, target)]
    return Fate(targets=used, verdict="dnat", masqueraded_targets=tuple(hidden))


def _is_pod(case: Case, sender: Sender) -> bool:
    """Whether it is taken for one."""
    known = {"ClusterCIDR": ("here", "there"), "none": ()}.get(case.detection, ("here",))
    return sender.pod in known


def _is_allowed(case: Case, sender: Sender) -> bool:
    networks: list[Any] = [ip_network(item) for item in case.source_ranges if ":" not in item]
    if not networks or any(network.prefixlen == 0 for network in networks):
        return True
    from_itself = sender.ip == case.load_balancer_ip and any(ip_address(case.node_ip) in network for network in networks)
    return from_itself or any(ip_address(sender.ip) in network for network in networks)


def _is_hairpin(case: Case, sender: Sender, target: str) -> bool:
    """Of a pod elsewhere only iptables knows it."""
    return target.startswith(f"{sender.ip}:") and (target in case.here or case.mode == "iptables")
