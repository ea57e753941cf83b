"""kube-proxy's chains of iptables as data. Pure.

Names of chains and the order of jumps are kube-proxy's (pkg/proxy/iptables), so that who knows it finds their way.
"""

from __future__ import annotations

import base64
import functools
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network

from nodeagent.proxy.endpoints import Endpoint
from nodeagent.proxy.ruleset import Network
from nodeagent.proxy.services import ServicePort

MARK = "0x4000/0x4000"
CANARY = "KUBE-PROXY-CANARY"
SERVICES, NODE_PORTS, EXTERNAL = "KUBE-SERVICES", "KUBE-NODEPORTS", "KUBE-EXTERNAL-SERVICES"
MARK_MASQ, POSTROUTING, FORWARD = "KUBE-MARK-MASQ", "KUBE-POSTROUTING", "KUBE-FORWARD"
PROXY_FIREWALL, FIREWALL = "KUBE-PROXY-FIREWALL", "KUBE-FIREWALL"
LARGE_CLUSTER_ENDPOINTS = 1000
"""Above this comments are left out, as kube-proxy does (large cluster mode): they would be a third of the text."""

_NEW = "-m conntrack --ctstate NEW"
JUMPS = {
    "filter": (
        ("INPUT", f"{_NEW} -j {PROXY_FIREWALL}"),
        ("INPUT", f"-j {NODE_PORTS}"),
        ("INPUT", f"{_NEW} -j {EXTERNAL}"),
        ("INPUT", f"-j {FIREWALL}"),
        ("FORWARD", f"{_NEW} -j {PROXY_FIREWALL}"),
        ("FORWARD", f"-j {FORWARD}"),
        ("FORWARD", f"{_NEW} -j {SERVICES}"),
        ("FORWARD", f"{_NEW} -j {EXTERNAL}"),
        ("OUTPUT", f"{_NEW} -j {PROXY_FIREWALL}"),
        ("OUTPUT", f"{_NEW} -j {SERVICES}"),
        ("OUTPUT", f"-j {FIREWALL}"),
    ),
    "nat": (
        ("PREROUTING", f"-j {SERVICES}"),
        ("OUTPUT", f"-j {SERVICES}"),
        ("POSTROUTING", f"-j {POSTROUTING}"),
    ),
}
"""From the built-in chains into ours, in the order in which a packet meets them."""

Chains = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tables:
    """Chains with their rules. `shared` lead to all services and are written with every sync, `own` belong to one service."""

    shared: Mapping[str, Chains]
    """By table."""
    own: Chains
    """All in nat."""
    groups: tuple[tuple[str, ...], ...] = field(default=(), compare=False)
    """Names of `own`, service port by service port: chains lead only to others of their group."""
    is_large: bool = False

    def chains(self, table: str) -> Chains:
        return {**self.shared[table], **self.own} if table == "nat" else self.shared[table]


@dataclass(frozen=True, slots=True, kw_only=True)
class PortRules:
    """What one service port adds to the shared chains, and the chains of its own."""

    nat: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    filter: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    own: Chains = field(default_factory=dict)


class TablesRenderer:
    """The whole desired state. What did not change since the last time is not rendered again."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._known: dict[tuple[str, str], tuple[ServicePort, bool, PortRules]] = {}

    def render(self, ports: Iterable[ServicePort], node_port_ips: tuple[str, ...] | None) -> Tables:
        """`node_port_ips`: addresses of the node where node ports are; None: at every one."""
        ports = tuple(ports)
        comments = sum(len(port.usable.every) for port in ports) <= LARGE_CLUSTER_ENDPOINTS
        before, self._known = self._known, {}
        for port in ports:
            key = (port.key, port.protocol)
            known = before.get(key)
            if known is None or known[0] is not port or known[1] != comments:
                known = (port, comments, render_port(port, self._network, comments=comments))
            self._known[key] = known
        return _assemble([rules for _, _, rules in self._known.values()], node_port_ips, is_large=not comments)


def render_tables(ports: Iterable[ServicePort], network: Network) -> Tables:
    return TablesRenderer(network).render(ports, network.node_port_ips)


def _assemble(ports: list[PortRules], node_port_ips: tuple[str, ...] | None, *, is_large: bool) -> Tables:
    def of(table: str, chain: str) -> tuple[str, ...]:
        return tuple(rule for port in ports for rule in getattr(port, table).get(chain, ()))

    to_node = ["-m addrtype --dst-type LOCAL"] if node_port_ips is None else [f"-d {address}/32" for address in node_port_ips]
    nat = {
        # To the node ports last: a service's own address may be one of the node's.
        SERVICES: (*of("nat", SERVICES), *(f"{match} -j {NODE_PORTS}" for match in to_node)),
        NODE_PORTS: of("nat", NODE_PORTS),
        POSTROUTING: (f"-m mark ! --mark {MARK} -j RETURN", "-j MARK --set-xmark 0x4000/0x0", "-j MASQUERADE --random-fully"),
        MARK_MASQ: (f"-j MARK --set-xmark {MARK}",),
    }
    filter_ = {
        SERVICES: of("filter", SERVICES),
        EXTERNAL: of("filter", EXTERNAL),
        NODE_PORTS: of("filter", NODE_PORTS),
        PROXY_FIREWALL: of("filter", PROXY_FIREWALL),
        FORWARD: (
            "-m conntrack --ctstate INVALID -j DROP",
            f"-m mark --mark {MARK} -j ACCEPT",
            "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
        ),
        # What comes from elsewhere to a loopback address, which the node ports on 127.0.0.1 make routable.
        FIREWALL: ("! -s 127.0.0.0/8 -d 127.0.0.0/8 -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP",),
    }
    return Tables(
        shared={"filter": filter_, "nat": nat},
        own={name: chain for port in ports for name, chain in port.own.items()},
        groups=tuple(tuple(port.own) for port in ports if port.own),
        is_large=is_large,
    )


def render_port(port: ServicePort, network: Network, *, comments: bool = True) -> PortRules:
    """The rules of one service port."""
    return _Port(port, network, comments).render()


class _Port:
    def __init__(self, port: ServicePort, network: Network, comments: bool) -> None:
        self._port = port
        self._network = network
        self._comments = comments
        self._nat: dict[str, list[str]] = {SERVICES: [], NODE_PORTS: []}
        self._filter: dict[str, list[str]] = {SERVICES: [], EXTERNAL: [], NODE_PORTS: [], PROXY_FIREWALL: []}
        self._own: dict[str, tuple[str, ...]] = {}
        digest = _digest(f"{self._title}{port.protocol}")
        self._cluster, self._local, self._external = f"KUBE-SVC-{digest}", f"KUBE-SVL-{digest}", f"KUBE-EXT-{digest}"
        self._firewall = f"KUBE-FW-{digest}"

    @property
    def _title(self) -> str:
        port = self._port
        return f"{port.namespace}/{port.name}:{port.port_name}" if port.port_name else f"{port.namespace}/{port.name}"

    def render(self) -> PortRules:
        port, usable = self._port, self._port.usable
        internal = (self._local, usable.local) if port.internal_local else (self._cluster, usable.cluster)
        self._add_cluster_ip(*internal)
        if port.externally_accessible:
            self._add_external()
        if usable.cluster and port.uses_cluster:
            self._spread(self._cluster, usable.cluster, is_internal=not port.internal_local)
        if usable.local and port.uses_local:
            self._spread(self._local, usable.local, is_internal=port.internal_local)
        for endpoint in port.reachable:
            self._own.setdefault(self._endpoint_chain(endpoint), self._endpoint_rules(endpoint))
        return PortRules(
            nat={name: tuple(rules) for name, rules in self._nat.items()},
            filter={name: tuple(rules) for name, rules in self._filter.items()},
            own=self._own,
        )

    def _match(self, comment: str, address: str | None, number: int) -> str:
        port = self._port
        said = f'-m comment --comment "{self._title} {comment}" ' if self._comments else ""
        to = f"-d {address}/32 " if address is not None else ""
        return f"{to}{said}-p {port.protocol} -m {port.protocol} --dport {number}"

    def _add_cluster_ip(self, chain: str, endpoints: tuple[Endpoint, ...]) -> None:
        port = self._port
        if endpoints:
            self._nat[SERVICES].append(f"{self._match('cluster IP', port.cluster_ip, port.port)} -j {chain}")
        else:
            self._filter[SERVICES].append(self._refuse(port.cluster_ip, port.port))

    def _add_external(self) -> None:
        port, usable = self._port, self._port.usable
        served = bool(usable.local if port.external_local else usable.cluster)
        behind = self._external
        # Without an endpoint kube-proxy writes no firewall in this mode: everybody is rejected alike, which nftables does not do.
        if usable.anywhere and port.source_ranges and port.load_balancer_ips:
            behind = self._firewall
            self._own[self._firewall] = tuple(f"-s {source} -j {self._external}" for source in self._allowed_sources())
            for address in port.load_balancer_ips:
                self._filter[PROXY_FIREWALL].append(f"{self._match('traffic not accepted', address, port.port)} -j DROP")
        for address, what, chain in (
            *((address, "external IP", self._external) for address in port.external_ips),
            *((address, "loadbalancer IP", behind) for address in port.load_balancer_ips),
        ):
            if usable.anywhere:
                self._nat[SERVICES].append(f"{self._match(what, address, port.port)} -j {chain}")
            if not served:
                self._filter[EXTERNAL].append(self._refuse(address, port.port))
        if port.node_port is not None:
            if usable.anywhere:
                self._nat[NODE_PORTS].append(f"{self._match('node port', None, port.node_port)} -j {self._external}")
            if not served:
                self._filter[EXTERNAL].append(f"-m addrtype --dst-type LOCAL {self._refuse(None, port.node_port)}")
        if port.health_check_node_port is not None:
            said = f'-m comment --comment "{self._title} health check node port" ' if self._comments else ""
            self._filter[NODE_PORTS].append(f"{said}-p tcp -m tcp --dport {port.health_check_node_port} -j ACCEPT")
        if usable.anywhere:
            self._own[self._external] = self._external_rules(served)

    def _external_rules(self, served: bool) -> tuple[str, ...]:
        if not self._port.external_local:
            return (f"-j {MARK_MASQ}", f"-j {self._cluster}")
        pods = self._network.local_pods
        rules = (
            *(() if pods is None else (f"{pods.in_iptables()} -j {self._cluster}",)),
            f"-m addrtype --src-type LOCAL -j {MARK_MASQ}",
            f"-m addrtype --src-type LOCAL -j {self._cluster}",
        )
        return (*rules, f"-j {self._local}") if served else rules

    def _refuse(self, address: str | None, number: int) -> str:
        """Dropped where there are endpoints elsewhere (policy Local), else rejected."""
        comment, target = ("has no local endpoints", "DROP") if self._port.usable.anywhere else ("has no endpoints", "REJECT")
        return f"{self._match(comment, address, number)} -j {target}"

    def _allowed_sources(self) -> tuple[str, ...]:
        """A node that is allowed may appear with the load balancer's own address, which it can have."""
        port = self._port
        node_allowed = any(ip_address(self._network.node_ip) in ip_network(item) for item in port.source_ranges)
        return (*port.source_ranges, *(f"{item}/32" for item in port.load_balancer_ips)) if node_allowed else port.source_ranges

    def _spread(self, chain: str, endpoints: tuple[Endpoint, ...], *, is_internal: bool) -> None:
        """Evenly over the endpoints; with affinity, first where the client has been."""
        port = self._port
        rules = []
        pods = self._network.local_pods
        if is_internal:
            match = self._match("cluster IP", port.cluster_ip, port.port)
            if self._network.masquerade_all:
                rules.append(f"{match} -j {MARK_MASQ}")
            elif pods is not None:
                rules.append(f"{pods.in_iptables(negated=True)} {match} -j {MARK_MASQ}")
        names = [self._endpoint_chain(item) for item in endpoints]
        if port.affinity_s is not None:
            rules += [
                f"-m recent --rcheck --seconds {port.affinity_s} --reap --name {name} --rsource -j {name}" for name in names
            ]
        for index, name in enumerate(names):
            left = len(names) - index
            chance = f"-m statistic --mode random --probability {1 / left:.10f} " if left > 1 else ""
            rules.append(f"{chance}-j {name}")
        self._own[chain] = tuple(rules)

    def _endpoint_chain(self, endpoint: Endpoint) -> str:
        return f"KUBE-SEP-{_digest(f'{self._title}{self._port.protocol}{endpoint.target}')}"

    def _endpoint_rules(self, endpoint: Endpoint) -> tuple[str, ...]:
        port = self._port
        said = f'-m comment --comment "{self._title}" ' if self._comments else ""
        name = self._endpoint_chain(endpoint)
        remember = f"-m recent --set --name {name} --rsource " if port.affinity_s is not None else ""
        return (
            # A pod that reaches itself through the service must not see its own address as the client's.
            f"-s {endpoint.ip}/32 {said}-j {MARK_MASQ}",
            f"{said}{remember}-p {port.protocol} -m {port.protocol} -j DNAT --to-destination {endpoint.target}",
        )


@functools.lru_cache(maxsize=65536)
def _digest(own: str) -> str:
    return base64.b32encode(hashlib.sha256(own.encode()).digest()).decode()[:16]
