"""bird.conf of the gateway and of a node: announcements as data, exact text. Pure.

Every path has BGP sessions of its own, on a port of its own, so that one run can compare two settings of them: hold times, or
with and without BFD. The gateway's are named `<path>:<node>`, by which its log is read (images/base/testbed_routes).

Source: BIRD 2.0 User's Guide, sections 3.3 (protocol options), 6.2 (BFD), 6.3 (BGP), 6.6 (Kernel), 6.14 (Static).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from orchestrator.render.templates import render_template

GATEWAY_AS, NODES_AS = 64512, 64513
"""Of the private range (RFC 6996). One for all nodes: routes merge only where nothing but the next hop tells them apart."""
BGP_PORT = 179
FURTHER_PORTS = 1790
HIGHEST_PREFERENCE = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Bfd:
    """Bidirectional Forwarding Detection (RFC 5880), the same in both directions."""

    interval_ms: int
    multiplier: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcement:
    """What every node announces to the gateway for one path."""

    path: str
    prefix: IPv4Network
    hold_time_s: int
    keepalive_s: int
    bfd: Bfd | None
    is_shared: bool
    """Every node's route is used at once (ECMP); otherwise that of the first node that lives, in the nodes' order."""


def render_gateway_bird(
    announcements: Sequence[Announcement], *, address: IPv4Address, nodes: Mapping[str, IPv4Address], log: str
) -> str:
    return _render("bird_gateway.conf.j2", announcements, address=address, nodes=nodes, log=log)


def render_node_bird(announcements: Sequence[Announcement], *, address: IPv4Address, gateway: IPv4Address, log: str) -> str:
    return _render("bird_node.conf.j2", announcements, address=address, gateway=gateway, log=log)


def common_bfd(announcements: Sequence[Announcement]) -> Bfd | None:
    """The one BFD setting: sessions of two neighbours share it, whatever protocols ask. Raises ValueError for two."""
    found = {item.bfd: item.path for item in announcements if item.bfd is not None}
    if len(found) > 1:
        first, second, *_ = found.values()
        raise ValueError(
            f"bfd: two neighbours have one BFD session (RFC 5881), and paths {first!r} and {second!r} set it differently; "
            "allowed: the same interval and multiplier, or false for one of them, and another in a run of its own"
        )
    return next(iter(found), None)


def _render(template: str, announcements: Sequence[Announcement], **names: object) -> str:
    ports = [BGP_PORT if index == 0 else FURTHER_PORTS + index for index in range(len(announcements))]
    return render_template(
        template,
        sessions=list(zip(announcements, ports, strict=True)),
        bfd=common_bfd(announcements),
        gateway_as=GATEWAY_AS,
        nodes_as=NODES_AS,
        highest=HIGHEST_PREFERENCE,
        **names,
    )
