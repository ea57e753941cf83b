"""The node's part of /etc/testbed/config.json (docs/contracts.md section 3)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

from nodeagent.proxy.local_pods import MODES as DETECT_LOCAL_MODES
from nodeagent.proxy.local_pods import DetectLocalMode

MODES = {"agent": ("nftables", "iptables"), "kube-proxy": ("nftables", "iptables")}
"""Modes of each rule writer: the agent itself, or a kube-proxy of the user's own, at which the agent only looks on."""

NODE_PORT_ADDRESSES = {"nftables": "primary", "iptables": "all"}
"""Of the node, where node ports are, by mode; kube-proxy's defaults."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    node: str
    internal_ip: IPv4Address
    api_url: str
    token: str
    cluster_cidr: IPv4Network
    service_cidr: IPv4Network
    min_sync_period_s: float
    sync_period_s: float
    lease_renew_s: float
    lease_duration_s: int
    status_update_s: float
    labels: dict[str, str]
    mode: str = "nftables"
    rule_writer: str = "agent"
    detect_local: DetectLocalMode = "ClusterCIDR"
    masquerade_all: bool = False
    node_ports_everywhere: bool = False


class SettingsError(Exception):
    """The configuration is not what docs/contracts.md says."""


def read_settings(file: Path) -> Settings:
    """Raises SettingsError naming the key."""
    config: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    try:
        found = config["settings"]
        proxy, kubelet = found["kube_proxy"], found["kubelet"]
        writer, mode = proxy.get("writer", "agent"), proxy["mode"]
        if writer not in MODES:
            raise SettingsError(f"settings.kube_proxy.writer: {writer!r}; allowed: {', '.join(MODES)}")
        if mode not in MODES[writer]:
            raise SettingsError(f"settings.kube_proxy.mode: {mode!r}; allowed: {', '.join(MODES[writer])}")
        pods, node_ports = proxy.get("detect_local", "ClusterCIDR"), proxy.get("node_port_addresses")
        if pods not in DETECT_LOCAL_MODES:
            raise SettingsError(f"settings.kube_proxy.detect_local: {pods!r}; allowed: {', '.join(DETECT_LOCAL_MODES)}")
        if node_ports not in (None, "primary", "all"):
            raise SettingsError(f"settings.kube_proxy.node_port_addresses: {node_ports!r}; allowed: primary, all")
        return Settings(
            node=found["node"],
            internal_ip=IPv4Address(found["internal_ip"]),
            api_url=found["api_url"],
            token=found["token"],
            cluster_cidr=IPv4Network(found["cluster_cidr"]),
            service_cidr=IPv4Network(found["service_cidr"]),
            min_sync_period_s=float(proxy["min_sync_period_s"]),
            sync_period_s=float(proxy["sync_period_s"]),
            lease_renew_s=float(kubelet["lease_renew_s"]),
            lease_duration_s=int(kubelet["lease_duration_s"]),
            status_update_s=float(kubelet["status_update_s"]),
            labels=dict(found.get("labels", {})),
            mode=mode,
            rule_writer=writer,
            detect_local=pods,
            masquerade_all=bool(proxy.get("masquerade_all", False)),
            node_ports_everywhere=(node_ports or NODE_PORT_ADDRESSES[mode]) == "all",
        )
    except KeyError as error:
        raise SettingsError(f"{file}: settings: {error} is required") from None
