"""The proxy as a part of the agent, which stands for a process of its own: held still, ended and started anew by signals.

SIGUSR1 holds it still, SIGUSR2 ends it, SIGHUP lets it go on or starts it anew; the kubelet's part goes on meanwhile. What has
become of it stands in a file: the agent's pid, the state, and since when (CLOCK_MONOTONIC in ns).
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Collection, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from nodeagent.proxy.gate import Gate, OnChange
from nodeagent.proxy.proxy import Proxy
from testbed_init.events import Clock

STATE_FILE = Path("/run/testbed/rule-writer")

Object = Mapping[str, Any]


class PartState(StrEnum):
    RUNNING = "running"
    PAUSED = "paused"
    ENDED = "ended"


ORDERS = {signal.SIGUSR1: PartState.PAUSED, signal.SIGUSR2: PartState.ENDED, signal.SIGHUP: PartState.RUNNING}


class Duties(Protocol):
    """What the proxy does beside writing rules."""

    def noting(self, on_change: OnChange) -> OnChange:
        """The same, noted first."""

    def on_nodes(self, nodes: Collection[Object]) -> None: ...

    async def run(self) -> None:
        """Until cancelled; then its sockets are closed."""


class Watch(Protocol):
    async def run(self) -> None:
        """For ever."""


Watches = Callable[[OnChange, OnChange], Collection[Watch]]
"""What is told of Services and of EndpointSlices, each from its own list on."""


class ProxyPart:
    """One proxy after the other, each from nothing: its first sync is a full one, as that of a kube-proxy that was started."""

    def __init__(
        self,
        *,
        make: Callable[[Gate], tuple[Duties, Proxy]],
        watches: Watches,
        zone_of: Callable[[Collection[Object]], str],
        clock: Clock,
        file: Path = STATE_FILE,
    ) -> None:
        self._make = make
        self._watches = watches
        self._zone_of = zone_of
        self._clock = clock
        self._file = file
        self._state: PartState | None = None
        self._wanted = PartState.RUNNING
        self._ordered = asyncio.Event()
        self._gate = Gate()
        self._told: OnChange | None = None
        self._nodes: tuple[Object, ...] | None = None
        self.synced = asyncio.Event()
        """Since the agent's start: who takes the proxy away does not take the node's readiness."""

    def listen(self) -> None:
        """Take orders from now on."""
        loop = asyncio.get_running_loop()
        for number, state in ORDERS.items():
            loop.add_signal_handler(number, self.order, state)

    def order(self, wanted: PartState) -> None:
        """A pause is carried out at once, an end as soon as the sockets are closed; only a start ends an end."""
        self._wanted = wanted
        self._ordered.set()
        if wanted is PartState.PAUSED and self._state is PartState.RUNNING:
            self._gate.close()
            self._tell(PartState.PAUSED)
        elif wanted is PartState.RUNNING and self._state is PartState.PAUSED:
            self._tell(PartState.RUNNING)
            self._gate.open()

    def on_nodes(self, nodes: Collection[Object]) -> None:
        self._nodes = tuple(nodes)
        if self._told is not None:
            self._told(self._nodes)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self._gate = Gate()
            async with asyncio.TaskGroup() as tasks:
                life = tasks.create_task(self._live(self._gate))
                self._tell(PartState.RUNNING)
                await self._await_order(PartState.ENDED)
                life.cancel()
            self._told = None
            self._tell(PartState.ENDED)
            await self._await_order(PartState.RUNNING)

    async def _live(self, gate: Gate) -> None:
        duties, proxy = self._make(gate)

        def on_nodes(nodes: Collection[Object]) -> None:
            duties.on_nodes(nodes)
            proxy.on_zone(self._zone_of(nodes))

        self._told = gate.taking(on_nodes)
        if self._nodes is not None:
            self._told(self._nodes)
        services, slices = (gate.taking(duties.noting(take)) for take in (proxy.on_services, proxy.on_slices))
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(proxy.run())
            tasks.create_task(duties.run())
            for watch in self._watches(services, slices):
                tasks.create_task(watch.run())
            await proxy.synced.wait()
            self.synced.set()

    async def _await_order(self, wanted: PartState) -> None:
        while self._wanted is not wanted:
            self._ordered.clear()
            await self._ordered.wait()

    def _tell(self, state: PartState) -> None:
        self._state = state
        told = self._file.with_suffix(".new")
        told.write_text(f"{os.getpid()} {state.value} {self._clock()}\n", encoding="utf-8")
        told.replace(self._file)
