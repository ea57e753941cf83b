"""A proxy as the node's settings ask for it: the rule writer of its mode, and what it does beside writing rules."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Collection, Mapping
from typing import Any

from nodeagent.kubelet.network import BRIDGE
from nodeagent.proxy.duties import ProxyDuties
from nodeagent.proxy.gate import Gate
from nodeagent.proxy.iptables.tools import Tools
from nodeagent.proxy.iptables.writer import IptablesRules, tracking_is_liberal
from nodeagent.proxy.local_pods import detect_local
from nodeagent.proxy.network import Network
from nodeagent.proxy.nftables import Nftables, NftablesRules
from nodeagent.proxy.node_ports import NodePortAddresses
from nodeagent.proxy.proxy import Proxy
from nodeagent.proxy.rules import RuleWriter
from nodeagent.settings import Settings
from testbed_init.events import Clock, EventSink

Object = Mapping[str, Any]
ZONE = "topology.kubernetes.io/zone"


class ProxyAssembly:
    """Puts one together, as often as it is asked."""

    def __init__(
        self,
        *,
        settings: Settings,
        tools: Tools,
        node_ports: NodePortAddresses,
        events: EventSink,
        clock: Clock,
        now: Callable[[], datetime.datetime],
    ) -> None:
        self._settings = settings
        self._tools = tools
        self._node_ports = node_ports
        self._events = events
        self._clock = clock
        self._now = now

    def make(self, node_cidr: str | None, gate: Gate) -> tuple[ProxyDuties, Proxy]:
        """`node_cidr`: of the node's pods, where the settings need it."""
        settings = self._settings
        duties = ProxyDuties(
            node=settings.node,
            mode=settings.mode,
            node_ip=str(settings.internal_ip),
            node_port_ips=self._node_ports.now(),
            sync_period_s=settings.sync_period_s,
            events=self._events,
            clock=self._clock,
            now=self._now,
            gate=gate,
        )
        return duties, Proxy(
            node=settings.node,
            zone=settings.labels.get(ZONE, ""),
            rules=self._make_rules(node_cidr),
            events=duties.events,
            clock=self._clock,
            min_sync_period_s=settings.min_sync_period_s,
            sync_period_s=settings.sync_period_s,
            after_commit=duties.after_commit,
            gate=gate,
        )

    def zone(self, nodes: Collection[Object]) -> str:
        """What the Node object says; empty where it says nothing."""
        own = next((node for node in nodes if node["metadata"]["name"] == self._settings.node), None)
        return "" if own is None else str((own["metadata"].get("labels") or {}).get(ZONE, ""))

    def _make_rules(self, node_cidr: str | None) -> RuleWriter:
        settings = self._settings
        network = Network(
            node_ip=str(settings.internal_ip),
            service_cidr=str(settings.service_cidr),
            local_pods=detect_local(
                settings.detect_local, cluster_cidr=str(settings.cluster_cidr), node_cidr=node_cidr, bridge=BRIDGE
            ),
            masquerade_all=settings.masquerade_all,
            node_port_ips=self._node_ports.now(),
        )
        if settings.mode == "iptables":
            return IptablesRules(
                network, self._tools, node_port_ips=self._node_ports.now, drops_invalid=not tracking_is_liberal()
            )
        return NftablesRules(network, Nftables(), node_port_ips=self._node_ports.now)
