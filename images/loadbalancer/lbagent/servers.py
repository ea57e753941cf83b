"""Servers of HAProxy: as they should be, as they are, and what HAProxy says of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address

MAINTENANCE = 0x01 | 0x02 | 0x04 | 0x20
DRAIN = 0x08 | 0x10
"""Masks of `srv_admin_state` (management manual 2.6, `show servers state`)."""
RUNNING = "2"
"""A value of `srv_op_state`."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Server:
    """A server as it should be; its name is the node's."""

    name: str
    address: IPv4Address
    port: int
    drain: bool = False
    check_port: int = 0
    """0: checks go where connections go."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveServer:
    """A server as HAProxy has it."""

    backend: str
    name: str
    address: IPv4Address
    port: int
    maintenance: bool
    drain: bool
    weight: int
    connections: int
    check_port: int = 0
    up: bool = False
    """By its checks, or because it has none."""

    @property
    def takes_connections(self) -> bool:
        """Whether HAProxy would give it one."""
        return self.up and not self.maintenance and not self.drain and self.weight > 0


def render_server(server: Server, options: Sequence[str]) -> str:
    """`node-1 10.100.0.2:32213 check ...`, as both haproxy.cfg and `add server` have it."""
    check_port = ("port", str(server.check_port)) if server.check_port else ()
    return " ".join((server.name, f"{server.address}:{server.port}", *options, *check_port))


def parse_servers(states: str, connections: str) -> tuple[LiveServer, ...]:
    """Join the answers to `show servers state` and `show servers conn`.

    Source: management manual 2.6; columns are found by their names, which head both answers.

    Raises:
        ValueError: an answer without its header.
    """
    # bkname/svname -> connections in use or idle: either forbids `del server`.
    in_use = {row["bkname/svname"]: int(row["used_cur"]) + int(row["idle_cur"]) for row in _rows(connections, "# bkname/svname")}
    return tuple(
        LiveServer(
            backend=row["be_name"],
            name=row["srv_name"],
            address=IPv4Address(row["srv_addr"]),
            port=int(row["srv_port"]),
            maintenance=bool(int(row["srv_admin_state"]) & MAINTENANCE),
            drain=bool(int(row["srv_admin_state"]) & DRAIN),
            weight=int(row["srv_uweight"]),
            check_port=int(row["srv_check_port"]),
            up=row["srv_op_state"] == RUNNING,
            connections=in_use.get(f"{row['be_name']}/{row['srv_name']}", 0),
        )
        for row in _rows(states, "# be_id")
    )


def _rows(answer: str, header: str) -> Iterable[dict[str, str]]:
    lines = [line for line in answer.splitlines() if line.strip()]
    start = next((i for i, line in enumerate(lines) if line.startswith(header)), None)
    if start is None:
        raise ValueError(f"HAProxy's answer has no header {header!r}: {answer[:200]!r}")
    columns = lines[start][1:].split()
    return (dict(zip(columns, line.split(), strict=False)) for line in lines[start + 1 :])
