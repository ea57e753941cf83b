"""Lines of BIRD's log and of `ip -oneline monitor`, read. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

_BGP_STATE = re.compile(r"<TRACE> (?P<path>[^:\s]+):(?P<node>[^:\s]+): State changed to (?P<state>up|stop|down)$")
_BGP_REASON = re.compile(
    r"<[A-Z]+> (?P<path>[^:\s]+):(?P<node>[^:\s]+): (?P<reason>(?:Received|Error|Socket error): .+|BFD session down)$"
)
_BFD_STATE = re.compile(r"<TRACE> \S+: Session to (?P<address>\S+) changed state from (?P<old>\w+) to (?P<new>\w+)")
_GATEWAYS = re.compile(r"\bvia (\S+)")
_ADDRESS = re.compile(r"(?P<gone>Deleted )?\d+: \S+\s+inet (?P<address>[0-9.]+)/\d+ ")
_PROTOCOL = re.compile(r"\bproto (\S+)")
BIRD = "bird"


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteChange:
    """A destination's next hops as they are now; none: the route is gone."""

    destination: IPv4Network
    next_hops: frozenset[IPv4Address]


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressChange:
    """An interface address that is there or gone now."""

    address: IPv4Address
    is_there: bool


def read_route(line: str) -> RouteChange | None:
    """A route of BIRD's in one line of `ip -oneline monitor route` or `ip -oneline route show`; None for any other.

    The kernel tells a replaced route as a new one with all the next hops that it has now.
    """
    gone = line.startswith("Deleted ")
    words = line.removeprefix("Deleted ").split()
    protocol = _PROTOCOL.search(line)
    if not words or protocol is None or protocol[1] != BIRD:
        return None
    try:
        destination = IPv4Network(words[0])
        hops = frozenset(IPv4Address(hop) for hop in _GATEWAYS.findall(line))
    except ValueError:
        return None
    return RouteChange(destination=destination, next_hops=frozenset() if gone else hops)


def read_address(line: str) -> AddressChange | None:
    """An IPv4 address in one line of `ip -oneline monitor address` or `ip -oneline address show`; None for any other."""
    match = _ADDRESS.match(line)
    if match is None:
        return None
    return AddressChange(address=IPv4Address(match["address"]), is_there=match["gone"] is None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """An event that a line of a log tells."""

    event: str
    fields: Mapping[str, str]


class BirdLog:
    """Sessions of the gateway, which the plan names `<path>:<node>`.

    BIRD tells why a session ends on lines of its own before the change of its state.
    """

    def __init__(self, nodes: Mapping[str, str]) -> None:
        """`nodes`: address -> name."""
        self._nodes = nodes
        self._up: set[tuple[str, str]] = set()
        self._reasons: dict[tuple[str, str], str] = {}

    def read(self, line: str) -> Told | None:
        if (match := _BFD_STATE.search(line)) is not None:
            return self._bfd(match["address"], match["old"], match["new"])
        if (match := _BGP_REASON.search(line)) is not None:
            self._reasons[match["path"], match["node"]] = match["reason"]
            return None
        if (match := _BGP_STATE.search(line)) is None:
            return None
        session = (match["path"], match["node"])
        fields = {"path": session[0], "node": session[1]}
        if match["state"] == "up":
            self._up.add(session)
            self._reasons.pop(session, None)
            return Told(event="bgp-session-up", fields=fields)
        if session not in self._up:
            return None
        self._up.discard(session)
        return Told(event="bgp-session-down", fields={**fields, "reason": self._reasons.pop(session, "")})

    def _bfd(self, address: str, old: str, new: str) -> Told | None:
        if "Up" not in (old, new):
            return None
        event = "bfd-up" if new == "Up" else "bfd-down"
        return Told(event=event, fields={"node": self._nodes.get(address, address)})
