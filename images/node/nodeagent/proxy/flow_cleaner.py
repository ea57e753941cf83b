"""Gives up stale UDP flows after commits that changed endpoints, beside the commits and never before them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from typing import Protocol

from nodeagent.proxy.conntrack import Flow, Object, Serving, UdpEndpoints, read_serving
from nodeagent.proxy.gate import Gate
from nodeagent.proxy.services import ServicePort
from testbed_init.events import EventSink


class Table(Protocol):
    """Where the flows are."""

    async def delete_udp(self, is_stale: Callable[[Flow], bool]) -> int: ...


class FlowCleaner:
    """Judges by the latest commit, also flows that an earlier one gave reason to look at."""

    def __init__(self, *, node: str, table: Table, events: EventSink, gate: Gate | None = None) -> None:
        self._node = node
        self._table = table
        self._events = events
        self._gate = gate or Gate()
        self._serving = Serving()
        self._endpoints = UdpEndpoints(node)
        self._due = asyncio.Event()

    def after_commit(self, ports: Collection[ServicePort], slices: Collection[Object]) -> None:
        """`slices`: the EndpointSlices that these ports were read from."""
        self._serving = read_serving(ports)
        if self._endpoints.have_changed(slices):
            self._due.set()

    async def run(self) -> None:
        """For ever."""
        while True:
            await self._due.wait()
            await self._gate.passed()
            await self.clean()

    async def clean(self) -> None:
        """Look at the flows once, if a commit since the last look gave reason to."""
        if not self._due.is_set():
            return
        self._due.clear()
        try:
            deleted = await self._table.delete_udp(self._is_stale)
        except OSError as error:  # the next change looks again, as kube-proxy does
            self._events.emit("flows-failed", node=self._node, error=str(error) or "no answer in time")
            return
        if deleted:
            self._events.emit("flows-deleted", node=self._node, flows=deleted)

    def _is_stale(self, flow: Flow) -> bool:
        return self._serving.is_stale(flow)
