"""What kube-proxy does beside writing rules, put together: stale UDP flows, health checks, healthz, metrics."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Callable, Collection, Mapping
from typing import Any

from nodeagent.proxy.agent_check import AgentCheckServer
from nodeagent.proxy.flow_cleaner import FlowCleaner
from nodeagent.proxy.flow_table import FlowTable
from nodeagent.proxy.gate import Gate, OnChange
from nodeagent.proxy.health import ProxyHealth
from nodeagent.proxy.health_servers import HealthCheckServers, ProxyServers
from nodeagent.proxy.metrics import ProxyMetrics
from nodeagent.proxy.services import ServicePort
from testbed_init.events import Clock, EventSink

Object = Mapping[str, Any]


class ProxyDuties:
    """Told of every change before the proxy is, and of every commit after it; `events` is what the proxy reports to."""

    def __init__(
        self,
        *,
        node: str,
        mode: str,
        node_ip: str,
        node_port_ips: tuple[str, ...] | None,
        sync_period_s: float,
        events: EventSink,
        clock: Clock,
        now: Callable[[], datetime.datetime],
        gate: Gate | None = None,
    ) -> None:
        gate = gate or Gate()
        self._health = ProxyHealth(node=node, timeout_s=2 * sync_period_s, clock=clock, now=now)
        self.events = self._metrics = ProxyMetrics(mode=mode, events=events, now_s=lambda: now().timestamp())
        self._flows = FlowCleaner(node=node, table=FlowTable(), events=events, gate=gate)
        addresses = ("0.0.0.0",) if node_port_ips is None else node_port_ips
        self._checks = HealthCheckServers(node=node, addresses=addresses, health=self._health, events=events, gate=gate)
        self._agent = AgentCheckServer(node=node, address=node_ip, health=self._health, events=events, gate=gate)
        self._servers = ProxyServers(node=node, mode=mode, health=self._health, metrics=self._metrics, gate=gate)

    def noting(self, on_change: OnChange) -> OnChange:
        """The same, with the change noted as queued first."""

        def note(objects: Collection[Object]) -> None:
            self._health.queued()
            self._metrics.count_queued()
            on_change(objects)

        return note

    def on_nodes(self, nodes: Collection[Object]) -> None:
        self._health.on_nodes(nodes)

    def after_commit(self, ports: Collection[ServicePort], slices: Collection[Object]) -> None:
        self._health.updated()
        self._metrics.count_synced()
        self._flows.after_commit(ports, slices)
        self._checks.after_commit(ports)
        self._agent.after_commit(ports)

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._flows.run())
            tasks.create_task(self._checks.run())
            tasks.create_task(self._agent.run())
            tasks.create_task(self._servers.run())
