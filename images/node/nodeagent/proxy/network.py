"""What the rules of either mode know of node and cluster."""

from __future__ import annotations

from dataclasses import dataclass

from nodeagent.proxy.local_pods import LocalPods


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """Source of the defaults: kube-proxy's flags."""

    node_ip: str
    service_cidr: str
    local_pods: LocalPods | None
    node_port_ips: tuple[str, ...] | None
    """Addresses of the node where node ports are; None: at every one."""
    masquerade_all: bool = False
