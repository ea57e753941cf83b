"""keepalived.conf of a node: one VRRP instance for each virtual address, as data, exact text. Pure.

Source: keepalived.conf(5); RFC 5798 (VRRP version 3, whose advertisements can be less than a second apart).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address

from orchestrator.render.templates import render_template

HIGHEST_PRIORITY = 254
"""255 is the address owner's (RFC 5798 section 5.2.4), and nobody owns a virtual address here."""
LOWEST_PRIORITY = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class VirtualAddress:
    """An address that one node answers for, of all that live the one with the highest priority."""

    path: str
    address: IPv4Address
    router_id: int
    """The virtual router's, 1 to 255, unique in the node network."""
    advert_interval_s: float
    is_preempting: bool


def vrrp_priority(number: int) -> int:
    """Of the node of that place, counted from 0: the first is the highest."""
    return max(HIGHEST_PRIORITY - number, LOWEST_PRIORITY)


def render_keepalived(addresses: Sequence[VirtualAddress], *, node: str, nodes: Mapping[str, IPv4Address], interface: str) -> str:
    """`nodes`: all of the run, in the order of their priorities."""
    return render_template(
        "keepalived.conf.j2",
        addresses=addresses,
        node=node,
        priority=vrrp_priority(list(nodes).index(node)),
        interface=interface,
        own=nodes[node],
        peers=[address for name, address in nodes.items() if name != node],
    )
