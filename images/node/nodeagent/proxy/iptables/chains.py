"""kube-proxy's chains of iptables as data. Pure.

Names of chains, the order of jumps and the comments are kube-proxy's (pkg/proxy/iptables), so that who knows it finds their way.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from nodeagent.proxy.iptables.port_rules import (
    EXTERNAL,
    FIREWALL,
    FORWARD,
    MARK,
    MARK_MASQ,
    NODE_PORTS,
    POSTROUTING,
    PROXY_FIREWALL,
    SERVICES,
    Chains,
    PortRules,
    render_comment,
    render_port,
)
from nodeagent.proxy.network import Network
from nodeagent.proxy.services import PortName, ServicePort

CANARY = "KUBE-PROXY-CANARY"
LARGE_CLUSTER_ENDPOINTS = 1000
"""Above this the comments of services are left out, of which kube-proxy keeps those that are not at endpoints (large cluster
mode): they would be a third of the text."""


_NEW = "-m conntrack --ctstate NEW"
_TO_PROXY_FIREWALL = f"{_NEW} {render_comment('kubernetes load balancer firewall')} -j {PROXY_FIREWALL}"
_TO_EXTERNAL = f"{_NEW} {render_comment('kubernetes externally-visible service portals')} -j {EXTERNAL}"
_TO_SERVICES = f"{render_comment('kubernetes service portals')} -j {SERVICES}"
JUMPS = {
    "filter": (
        ("INPUT", _TO_PROXY_FIREWALL),
        ("INPUT", f"{render_comment('kubernetes health check service ports')} -j {NODE_PORTS}"),
        ("INPUT", _TO_EXTERNAL),
        ("INPUT", f"-j {FIREWALL}"),
        ("FORWARD", _TO_PROXY_FIREWALL),
        ("FORWARD", f"{render_comment('kubernetes forwarding rules')} -j {FORWARD}"),
        ("FORWARD", f"{_NEW} {_TO_SERVICES}"),
        ("FORWARD", _TO_EXTERNAL),
        ("OUTPUT", _TO_PROXY_FIREWALL),
        ("OUTPUT", f"{_NEW} {_TO_SERVICES}"),
        ("OUTPUT", f"-j {FIREWALL}"),
    ),
    "nat": (
        ("PREROUTING", _TO_SERVICES),
        ("OUTPUT", _TO_SERVICES),
        ("POSTROUTING", f"{render_comment('kubernetes postrouting rules')} -j {POSTROUTING}"),
    ),
}
"""From the built-in chains into ours, in the order in which a packet meets them."""

LAST = render_comment("kubernetes service nodeports; NOTE: this must be the last rule in this chain")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tables:
    """Chains with their rules: those that lead to all services, and by service port those of its own, all in nat."""

    shared: Mapping[str, Chains]
    """By table."""
    ports: Mapping[PortName, PortRules]
    """In their order. Chains of one lead only to others of its own."""
    is_large: bool = False

    @property
    def own(self) -> Chains:
        return {name: rules for port in self.ports.values() for name, rules in port.own.items()}

    def chains(self, table: str) -> Chains:
        return {**self.shared[table], **self.own} if table == "nat" else self.shared[table]


class TablesRenderer:
    """The whole desired state. What did not change since the last time is the very same, and not rendered again: a service port
    that is the same object, and the shared chains when no service port adds anything else to them."""

    def __init__(self, network: Network, *, drops_invalid: bool = True) -> None:
        """`drops_invalid`: what connection tracking calls INVALID is not forwarded."""
        self._network = network
        self._drops_invalid = drops_invalid
        self._known: dict[int, tuple[ServicePort, PortName, PortRules]] = {}
        """By identity, which is a port's own as long as it is kept here."""
        self._is_large = False
        self._added: object = None
        self._shared: Mapping[str, Chains] = {}

    def render(self, ports: Iterable[ServicePort], node_port_ips: tuple[str, ...] | None) -> Tables:
        """`node_port_ips`: addresses of the node where node ports are; None: at every one."""
        ports = tuple(ports)
        is_large = sum(len(port.usable.every) for port in ports) > LARGE_CLUSTER_ENDPOINTS
        known = self._known if is_large == self._is_large else {}
        self._is_large = is_large
        self._known = {id(port): known.get(id(port)) or self._render_port(port) for port in ports}
        rules = {name: rules for _, name, rules in self._known.values()}
        added = (node_port_ips, [port.nat for port in rules.values()], [port.filter for port in rules.values()])
        if added != self._added:
            self._added = added
            self._shared = _assemble(rules.values(), node_port_ips, drops_invalid=self._drops_invalid)
        return Tables(shared=self._shared, ports=rules, is_large=is_large)

    def _render_port(self, port: ServicePort) -> tuple[ServicePort, PortName, PortRules]:
        return port, (port.key, port.protocol), render_port(port, self._network, comments=not self._is_large)


def render_tables(ports: Iterable[ServicePort], network: Network) -> Tables:
    return TablesRenderer(network).render(ports, network.node_port_ips)


def _assemble(
    ports: Collection[PortRules], node_port_ips: tuple[str, ...] | None, *, drops_invalid: bool
) -> dict[str, dict[str, tuple[str, ...]]]:
    def of(table: str, chain: str) -> tuple[str, ...]:
        return tuple(rule for port in ports for rule in getattr(port, table).get(chain, ()))

    to_node = [f"-d {address}/32 {LAST}" for address in node_port_ips or ()]
    if node_port_ips is None:
        to_node = [f"{LAST} -m addrtype --dst-type LOCAL"]
    nat = {
        # To the node ports last: a service's own address may be one of the node's.
        SERVICES: (*of("nat", SERVICES), *(f"{match} -j {NODE_PORTS}" for match in to_node)),
        NODE_PORTS: of("nat", NODE_PORTS),
        POSTROUTING: (
            f"-m mark ! --mark {MARK} -j RETURN",
            "-j MARK --set-xmark 0x4000/0x0",
            f"{render_comment('kubernetes service traffic requiring SNAT')} -j MASQUERADE --random-fully",
        ),
        MARK_MASQ: (f"-j MARK --set-xmark {MARK}",),
    }
    filter_ = {
        SERVICES: of("filter", SERVICES),
        EXTERNAL: of("filter", EXTERNAL),
        NODE_PORTS: of("filter", NODE_PORTS),
        PROXY_FIREWALL: of("filter", PROXY_FIREWALL),
        FORWARD: (
            *(["-m conntrack --ctstate INVALID -j DROP"] if drops_invalid else []),
            f"{render_comment('kubernetes forwarding rules')} -m mark --mark {MARK} -j ACCEPT",
            f"{render_comment('kubernetes forwarding conntrack rule')} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
        ),
        # What comes from elsewhere to a loopback address, which the node ports on 127.0.0.1 make routable.
        FIREWALL: (
            f"! -s 127.0.0.0/8 -d 127.0.0.0/8 {render_comment('block incoming localnet connections')}"
            " -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP",
        ),
    }
    return {"filter": filter_, "nat": nat}
