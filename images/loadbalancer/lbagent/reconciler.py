"""Brings HAProxy's servers to what the cluster wants, round by round, and reports what was done."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Collection, Iterable, Mapping

from lbagent.cluster import Cluster, Object, desired_servers
from lbagent.frontends import Backend
from lbagent.planner import AddServer, Command, DeleteServer, DrainServer, EnableServer, UndrainServer, plan_changes
from lbagent.runtime import RuntimeApi, RuntimeApiError
from lbagent.servers import LiveServer, Server, parse_servers
from testbed_init.events import EventSink

ROUND_S = 0.02
"""Until the next round while a removal waits for its connections to go."""
RETRY_S = 0.25

REPORTED: Mapping[type[Command], tuple[str, str]] = {
    AddServer: ("server-added", "node became ready"),
    DrainServer: ("server-drain", "node is excluded from load balancers"),
    UndrainServer: ("server-undrain", "node is no longer excluded"),
    DeleteServer: ("server-removed", "node or node port is gone"),
}
"""Event and reason of the commands that are news; the rest HAProxy's log tells."""


class Reconciler:
    """Level-triggered: every change of the cluster and every start of HAProxy asks for a round, whatever it was."""

    def __init__(self, *, backends: Iterable[Backend], runtime: RuntimeApi, events: EventSink) -> None:
        self.backends = tuple(backends)
        self._runtime = runtime
        self._events = events
        self._cluster = Cluster()
        self._wanted = asyncio.Event()
        self.desired: Mapping[str, tuple[Server, ...]] | None = None

    def on_nodes(self, objects: Collection[Object]) -> None:
        """The nodes changed."""
        self._cluster = self._cluster.with_nodes(objects)
        self._decide()

    def on_services(self, objects: Collection[Object]) -> None:
        """The services changed."""
        self._cluster = self._cluster.with_services(objects)
        self._decide()

    def serve(self, backends: Iterable[Backend]) -> None:
        """HAProxy is not what it was, and has these backends now: look again."""
        self.backends = tuple(backends)
        self._decide()
        self._wanted.set()

    def servers_of(self, backends: Iterable[Backend]) -> Mapping[str, tuple[Server, ...]]:
        """What these backends' servers should be now; none while the cluster is not known."""
        return desired_servers(self._cluster, backends) or {}

    @property
    def services(self) -> Mapping[str, Object] | None:
        """By namespace and name, as last heard of."""
        return self._cluster.services

    async def run(self) -> None:
        """Reconcile for ever."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            try:
                settled = await self.reconcile()
            except RuntimeApiError as error:
                sys.stderr.write(f"lbagent: {error}\n")
                await asyncio.sleep(RETRY_S)
                settled = False
            if not settled:
                self._wanted.set()
                await asyncio.sleep(ROUND_S)

    async def reconcile(self) -> bool:
        """One round; True when there was nothing to do."""
        if self.desired is None:
            return True
        commands = plan_changes(await self.read_servers(), self.desired, self.backends)
        for command in commands:
            await self._carry_out(command)
        return not commands

    async def read_servers(self) -> tuple[LiveServer, ...]:
        """What HAProxy has now."""
        states = await self._runtime.ask("show servers state")
        connections = await self._runtime.ask("show servers conn")
        return parse_servers(states, connections)

    async def _carry_out(self, command: Command) -> None:
        line = command.render()
        answer = await self._runtime.ask(line)
        if not command.accepts(answer):
            raise RuntimeApiError(f"{line!r}: HAProxy answered {answer!r}")
        if isinstance(command, EnableServer) and not command.starts_down:
            reason = "taken for up until a check fails" if command.checks else "no checks"
            self._events.emit("server-up", backend=command.backend, server=command.server, reason=reason)
        if type(command) in REPORTED:
            event, reason = REPORTED[type(command)]
            self._events.emit(event, backend=command.backend, server=command.server, reason=reason)

    def _decide(self) -> None:
        desired = desired_servers(self._cluster, self.backends)
        if desired != self.desired:
            self.desired = desired
            self._wanted.set()
