"""How the rules tell packets of pods from others: kube-proxy's `--detect-local-mode`, in both rule languages. Pure.

Source: kubernetes.io, reference of kube-proxy's flags; KEP-2450.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

DetectLocalMode = Literal["ClusterCIDR", "NodeCIDR", "BridgeInterface", "InterfaceNamePrefix", "none"]
"""`none` is ClusterCIDR without a `--cluster-cidr`: nothing is known to come from a pod."""
MODES: tuple[DetectLocalMode, ...] = get_args(DetectLocalMode)


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalPods:
    """Packets from this network, or that come in by this interface; one that ends in `*` stands for all that begin so."""

    cidr: str | None = None
    interface: str | None = None

    def in_nftables(self, *, negated: bool = False) -> str:
        unlike = "!= " if negated else ""
        return f"ip saddr {unlike}{self.cidr}" if self.interface is None else f'iifname {unlike}"{self.interface}"'

    def in_iptables(self, *, negated: bool = False) -> str:
        unlike = "! " if negated else ""
        if self.interface is None:
            return f"{unlike}-s {self.cidr}"
        return f"{unlike}-i {self.interface.replace('*', '+')}"


def detect_local(mode: DetectLocalMode, *, cluster_cidr: str, node_cidr: str | None, bridge: str) -> LocalPods | None:
    """None: nothing is known to come from a pod. `node_cidr`: the node's pods, which NodeCIDR needs.

    Pods hang on a bridge, which the packets of each come in by: an interface name prefix here is one of the bridge's name.
    """
    match mode:
        case "ClusterCIDR":
            return LocalPods(cidr=cluster_cidr)
        case "NodeCIDR":
            if node_cidr is None:
                raise ValueError("NodeCIDR needs the node's pod CIDR")
            return LocalPods(cidr=node_cidr)
        case "BridgeInterface":
            return LocalPods(interface=bridge)
        case "InterfaceNamePrefix":
            return LocalPods(interface=f"{bridge.rstrip('0123456789')}*")
        case "none":
            return None
