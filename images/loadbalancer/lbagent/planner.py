"""From the servers that are to those that should be: commands of HAProxy's Runtime API. Pure, and level-triggered.

Each round plans from what HAProxy says it has, so an interrupted sequence is simply taken up by the next round.
Source of every command and restriction: HAProxy 2.6 management manual, section 9.3.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address

from lbagent.frontends import Backend, Check
from lbagent.servers import LiveServer, Server, render_server


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One line for the Runtime API, about one server."""

    backend: str
    server: str

    @property
    def key(self) -> str:
        """`backend/server`."""
        return f"{self.backend}/{self.server}"

    def render(self) -> str:
        """The line to send."""
        raise NotImplementedError

    def accepts(self, answer: str) -> bool:
        """Whether HAProxy's answer means that it is done; HAProxy has no status codes, only sentences."""
        return answer == ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AddServer(Command):
    """Create the server; it starts in maintenance and without checks running."""

    address: IPv4Address
    port: int
    options: tuple[str, ...]
    starts_down: bool
    check_port: int = 0

    def render(self) -> str:
        """With weight 0 where the first connection must wait for the first passed check; see `EnableServer`."""
        server = Server(name=self.server, address=self.address, port=self.port, check_port=self.check_port)
        options = (*self.options, *(("weight", "0") if self.starts_down else ()))
        return f"add server {self.backend}/{render_server(server, options)}"

    def accepts(self, answer: str) -> bool:
        """See `Command`."""
        return answer == "New server registered."


@dataclass(frozen=True, slots=True, kw_only=True)
class EnableServer(Command):
    """Take the server out of maintenance.

    HAProxy takes a server that leaves maintenance for up until a check fails. Where `starts_down`, it is marked down
    while its weight is still 0 and so gets no connection, and the checks bring it up.
    """

    checks: bool
    starts_down: bool
    has_agent: bool = False

    def render(self) -> str:
        """All steps in one line: they are carried out in one go."""
        steps = [f"enable health {self.key}"] if self.checks else []
        steps += [f"enable agent {self.key}"] if self.has_agent else []
        steps.append(f"set server {self.key} state ready")
        if self.starts_down:
            steps += [f"set server {self.key} health down", f"set server {self.key} weight 1"]
        return "; ".join(steps)


@dataclass(frozen=True, slots=True, kw_only=True)
class SetAddress(Command):
    """The node or the node port moved."""

    address: IPv4Address
    port: int

    def render(self) -> str:
        """See `Command`."""
        return f"set server {self.key} addr {self.address} port {self.port}"

    def accepts(self, answer: str) -> bool:
        """See `Command`."""
        return "changed from" in answer or "no need to change" in answer


@dataclass(frozen=True, slots=True, kw_only=True)
class SetCheckPort(Command):
    """The port that is checked moved."""

    check_port: int

    def render(self) -> str:
        """See `Command`."""
        return f"set server {self.key} check-port {self.check_port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class DrainServer(Command):
    """No new connections; those it has go on."""

    def render(self) -> str:
        """See `Command`."""
        return f"set server {self.key} state drain"


@dataclass(frozen=True, slots=True, kw_only=True)
class UndrainServer(Command):
    """New connections again."""

    def render(self) -> str:
        """See `Command`."""
        return f"set server {self.key} state ready"


@dataclass(frozen=True, slots=True, kw_only=True)
class StopServer(Command):
    """Into maintenance, which deletion requires, and cut what is still connected: its node is gone."""

    def render(self) -> str:
        """See `Command`."""
        return f"set server {self.key} state maint; shutdown sessions server {self.key}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CutSessions(Command):
    """Cut what is still connected to a stopped server; planned until nothing is."""

    def render(self) -> str:
        """See `Command`."""
        return f"shutdown sessions server {self.key}"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteServer(Command):
    """Remove a stopped server without connections."""

    def render(self) -> str:
        """See `Command`."""
        return f"del server {self.key}"

    def accepts(self, answer: str) -> bool:
        """A server that is gone already is as good as deleted."""
        return answer in ("Server deleted.", "No such server.")


def plan_changes(
    current: Iterable[LiveServer], desired: Mapping[str, tuple[Server, ...]], backends: Iterable[Backend]
) -> tuple[Command, ...]:
    """The commands of this round; empty means that everything is as it should be.

    Servers are added before others are stopped, so that a backend is never emptier than it must be. Removal takes
    rounds: stop, then delete once no connection is left.
    """
    live = {(server.backend, server.name): server for server in current}
    brought: list[Command] = []
    removed: list[Command] = []
    for backend in backends:
        wanted = {server.name: server for server in desired.get(backend.name, ())}
        for server in wanted.values():
            brought += _bring(backend, live.get((backend.name, server.name)), server)
        for (owner, name), server_now in sorted(live.items()):
            if owner == backend.name and name not in wanted:
                removed.append(_remove(server_now))
    return (*brought, *removed)


def _bring(backend: Backend, now: LiveServer | None, wanted: Server) -> list[Command]:
    at = {"backend": backend.name, "server": wanted.name}
    commands: list[Command] = []
    if now is None:
        commands.append(
            AddServer(
                **at,
                address=wanted.address,
                port=wanted.port,
                options=backend.server_options,
                starts_down=backend.starts_down,
                check_port=wanted.check_port,
            )
        )
    else:
        if (now.address, now.port) != (wanted.address, wanted.port):
            commands.append(SetAddress(**at, address=wanted.address, port=wanted.port))
        if now.check_port != wanted.check_port:
            commands.append(SetCheckPort(**at, check_port=wanted.check_port))
    # Weight 0 is the trace of an `add server` whose enabling was interrupted.
    enable = now is None or now.maintenance or (backend.starts_down and now.weight == 0)
    if enable:
        has_agent = backend.check is Check.AGENT
        commands.append(EnableServer(**at, checks=backend.checks, starts_down=backend.starts_down, has_agent=has_agent))
    drained = now is not None and now.drain and not enable
    if wanted.drain and not drained:
        commands.append(DrainServer(**at))
    elif drained and not wanted.drain:
        commands.append(UndrainServer(**at))
    return commands


def _remove(now: LiveServer) -> Command:
    if not now.maintenance:
        return StopServer(backend=now.backend, server=now.name)
    if now.connections:
        return CutSessions(backend=now.backend, server=now.name)
    return DeleteServer(backend=now.backend, server=now.name)
