"""Keeps the kernel's rules equal to the cluster's Services, not more often than minSyncPeriod, and reports each commit."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any

from nodeagent.proxy.gate import Gate
from nodeagent.proxy.rules import RulesError, RuleWriter
from nodeagent.proxy.services import ServicePort, ServicePortReader
from testbed_init.events import Clock, EventSink

Object = Mapping[str, Any]
Sleep = Callable[[float], Awaitable[None]]


class Proxy:
    """kube-proxy's runner (1.36): an event is carried out at once when minSyncPeriod has passed since the end of the last run,
    else at that moment; a failed sync is tried again after syncPeriod or at the next event, as a full one."""

    def __init__(
        self,
        *,
        node: str,
        zone: str = "",
        rules: RuleWriter,
        events: EventSink,
        clock: Clock,
        min_sync_period_s: float,
        sync_period_s: float,
        after_commit: Callable[[tuple[ServicePort, ...], Collection[Object]], None] | None = None,
        sleep: Sleep = asyncio.sleep,
        gate: Gate | None = None,
    ) -> None:
        self._node = node
        self._rules = rules
        self._events = events
        self._clock = clock
        self._min_sync_period_s = min_sync_period_s
        self._sync_period_s = sync_period_s
        self._after_commit = after_commit
        self._sleep = sleep
        self._gate = gate or Gate()
        self._zone = zone
        self._reader = ServicePortReader(node, zone)
        self._checked_ns = 0
        self._services: Collection[Object] | None = None
        self._slices: Collection[Object] | None = None
        self._revision = 0
        self._ports: tuple[ServicePort, ...] = ()
        self._dirty = asyncio.Event()
        self.synced = asyncio.Event()

    def on_services(self, objects: Collection[Object]) -> None:
        self._services = tuple(objects)
        self._note(objects)

    def on_slices(self, objects: Collection[Object]) -> None:
        self._slices = tuple(objects)
        self._note(objects)

    def on_zone(self, zone: str) -> None:
        """The label of the node's zone, which hints are followed by, may change while it runs."""
        if zone != self._zone:
            self._zone = zone
            self._reader = ServicePortReader(self._node, zone)
            self._dirty.set()

    def _note(self, objects: Collection[Object]) -> None:
        self._revision = max([self._revision, *(int(item["metadata"]["resourceVersion"]) for item in objects)])
        self._dirty.set()

    async def run(self) -> None:
        """For ever."""
        idle_s = self._sync_period_s if self._rules.checks_for_damage else None
        wait_s, done = idle_s, True
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._dirty.wait(), wait_s)
            await self._gate.passed()
            is_idle = done and not self._dirty.is_set()
            # Looked for every sync period however often there are changes, which would not repair what they do not touch.
            is_due = idle_s is not None and self._clock() - self._checked_ns >= idle_s * 1e9
            is_damaged = (is_idle or is_due) and self._is_damaged()
            if is_idle and not is_damaged:
                continue
            self._dirty.clear()
            if self._services is None or self._slices is None:
                continue  # no rule before both are known
            done = self.sync()
            await self._sleep(self._min_sync_period_s)
            wait_s = idle_s if done else max(0.0, self._sync_period_s - self._min_sync_period_s)

    def _is_damaged(self) -> bool:
        """Whether somebody else has removed the rules; then the next sync is a full one."""
        self._checked_ns = self._clock()
        if not self.synced.is_set():
            return False
        try:
            return not self._rules.is_intact()
        except RulesError as error:
            self._events.emit("rules-failed", node=self._node, error=str(error))
            return False

    def sync(self) -> bool:
        """One sync; true when the kernel has what the cluster wants."""
        assert self._services is not None
        assert self._slices is not None
        began_ns = self._clock()
        revision = self._revision
        ports = self._reader.read(self._services, self._slices)
        try:
            self._rules.sync(ports)
        except RulesError as error:
            self._events.emit("rules-failed", node=self._node, error=str(error))
            return False
        committed_ns = self._clock()
        before, self._ports = self._ports, ports
        self._report(before, ports, revision, committed_ns, (committed_ns - began_ns) / 1e6)
        if self._after_commit is not None:
            self._after_commit(ports, self._slices)
        self.synced.set()
        return True

    def _report(
        self, before: tuple[ServicePort, ...], after: tuple[ServicePort, ...], revision: int, t_mono_ns: int, duration_ms: float
    ) -> None:
        old = {port.key: port for port in before}
        changed = [port for port in after if (known := old.pop(port.key, None)) is not port and known != port]
        endpoints = {port.key: sorted(item.target for item in port.usable.cluster) for port in changed}
        endpoints.update({key: [] for key in old})
        if not endpoints and self.synced.is_set():
            return
        self._events.emit(
            "rules-committed",
            t_mono_ns=t_mono_ns,
            node=self._node,
            revision=revision,
            duration_ms=round(duration_ms, 3),
            changed_services=len(endpoints),
            endpoints=endpoints,
        )
