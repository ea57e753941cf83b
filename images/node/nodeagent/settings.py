"""The node's part of /etc/testbed/config.json (docs/contracts.md section 3)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

from nodeagent.proxy.local_pods import MODES as DETECT_LOCAL_MODES
from nodeagent.proxy.local_pods import DetectLocalMode
from nodeagent.proxy.node_ports import read_node_port_networks

MODES = {"agent": ("nftables", "iptables"), "kube-proxy": ("nftables", "iptables")}
"""Modes of each rule writer: the agent itself, or a kube-proxy of the user's own, at which the agent only looks on."""


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
    node_port_networks: tuple[IPv4Network, ...] | None = None
    """Where node ports are; None: at `internal_ip` alone."""


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
        pods = proxy.get("detect_local", "ClusterCIDR")
        if pods not in DETECT_LOCAL_MODES:
            raise SettingsError(f"settings.kube_proxy.detect_local: {pods!r}; allowed: {', '.join(DETECT_LOCAL_MODES)}")
        try:
            node_ports = read_node_port_networks(proxy.get("node_port_addresses"), mode)
        except (TypeError, ValueError) as error:
            raise SettingsError(f"settings.kube_proxy.node_port_addresses: {error}") from None
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
            node_port_networks=node_ports,
        )
    except KeyError as error:
        raise SettingsError(f"{file}: settings: {error} is required") from None
