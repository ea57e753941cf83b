"""The rules of one service port in iptables mode: what it adds to the chains that lead to all, and the chains of its own. Pure.

Names and comments are kube-proxy's (pkg/proxy/iptables).
"""

from __future__ import annotations

import base64
import functools
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network

from nodeagent.proxy.endpoints import Endpoint
from nodeagent.proxy.network import Network
from nodeagent.proxy.services import ServicePort

MARK = "0x4000/0x4000"
SERVICES, NODE_PORTS, EXTERNAL = "KUBE-SERVICES", "KUBE-NODEPORTS", "KUBE-EXTERNAL-SERVICES"
MARK_MASQ, POSTROUTING, FORWARD = "KUBE-MARK-MASQ", "KUBE-POSTROUTING", "KUBE-FORWARD"
PROXY_FIREWALL, FIREWALL = "KUBE-PROXY-FIREWALL", "KUBE-FIREWALL"

Chains = Mapping[str, tuple[str, ...]]


def render_comment(comment: str) -> str:
    """The match of a rule that holds its comment."""
    return f'-m comment --comment "{comment}"'


@dataclass(frozen=True, slots=True, kw_only=True)
class PortRules:
    """What one service port adds to the shared chains, and the chains of its own."""

    nat: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    filter: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    own: Chains = field(default_factory=dict)


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

    def _say(self, comment: str) -> str:
        """A match to be put before others; nothing in a large cluster."""
        return f"{render_comment(comment)} " if self._comments else ""

    def _match(self, comment: str, address: str | None, number: int) -> str:
        """To an address of the service, or to its node port at whatever address."""
        to = f"-d {address}/32 " if address is not None else ""
        return f"{to}{self._say(comment)}{self._to_port(number)}"

    def _to_port(self, number: int) -> str:
        return f"-p {self._port.protocol} -m {self._port.protocol} --dport {number}"

    def _add_cluster_ip(self, chain: str, endpoints: tuple[Endpoint, ...]) -> None:
        port = self._port
        if endpoints:
            self._nat[SERVICES].append(f"{self._match(f'{self._title} cluster IP', port.cluster_ip, port.port)} -j {chain}")
        else:
            self._filter[SERVICES].append(self._refuse(f"-d {port.cluster_ip}/32", port.port))

    def _add_external(self) -> None:
        port, usable = self._port, self._port.usable
        served = bool(usable.local if port.external_local else usable.cluster)
        behind = self._external
        # Without an endpoint kube-proxy writes no firewall in this mode: everybody is rejected alike, which nftables does not do.
        if usable.anywhere and port.source_ranges and port.load_balancer_ips:
            behind = self._firewall
            said = self._say(f"{self._title} loadbalancer IP")
            self._own[self._firewall] = (
                *(f"-s {source} {said}-j {self._external}" for source in self._allowed_sources()),
                # No target: whoever comes this far is not translated, and so is met by the rule below.
                *(
                    [render_comment(f"other traffic to {self._title} will be dropped by {PROXY_FIREWALL}")]
                    if self._comments
                    else []
                ),
            )
            for address in port.load_balancer_ips:
                refused = self._match(f"{self._title} traffic not accepted by {self._firewall}", address, port.port)
                self._filter[PROXY_FIREWALL].append(f"{refused} -j DROP")
        for address, what, chain in (
            *((address, "external IP", self._external) for address in port.external_ips),
            *((address, "loadbalancer IP", behind) for address in port.load_balancer_ips),
        ):
            if usable.anywhere:
                self._nat[SERVICES].append(f"{self._match(f'{self._title} {what}', address, port.port)} -j {chain}")
            if not served:
                self._filter[EXTERNAL].append(self._refuse(f"-d {address}/32", port.port))
        if port.node_port is not None:
            if usable.anywhere:
                self._nat[NODE_PORTS].append(f"{self._match(self._title, None, port.node_port)} -j {self._external}")
            if not served:
                self._filter[EXTERNAL].append(self._refuse("-m addrtype --dst-type LOCAL", port.node_port))
        if port.health_check_node_port is not None:
            said = self._say(f"{self._title} health check node port")
            self._filter[NODE_PORTS].append(f"{said}-p tcp -m tcp --dport {port.health_check_node_port} -j ACCEPT")
        if usable.anywhere:
            self._own[self._external] = self._external_rules(served)

    def _external_rules(self, served: bool) -> tuple[str, ...]:
        whom = f"{self._title} external destinations"
        if not self._port.external_local:
            return (f"{self._say(f'masquerade traffic for {whom}')}-j {MARK_MASQ}", f"-j {self._cluster}")
        pods = self._network.local_pods
        rules = (
            *(() if pods is None else (f"{pods.in_iptables()} {self._say(f'pod traffic for {whom}')}-j {self._cluster}",)),
            f"{self._say(f'masquerade LOCAL traffic for {whom}')}-m addrtype --src-type LOCAL -j {MARK_MASQ}",
            f"{self._say(f'route LOCAL traffic for {whom}')}-m addrtype --src-type LOCAL -j {self._cluster}",
        )
        return (*rules, f"-j {self._local}") if served else rules

    def _refuse(self, destination: str, number: int) -> str:
        """Dropped where there are endpoints elsewhere (policy Local), else rejected."""
        comment, target = ("has no local endpoints", "DROP") if self._port.usable.anywhere else ("has no endpoints", "REJECT")
        return f"{self._say(f'{self._title} {comment}')}{destination} {self._to_port(number)} -j {target}"

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
            match = self._match(f"{self._title} cluster IP", port.cluster_ip, port.port)
            if self._network.masquerade_all:
                rules.append(f"{match} -j {MARK_MASQ}")
            elif pods is not None:
                rules.append(f"{pods.in_iptables(negated=True)} {match} -j {MARK_MASQ}")
        names = [(self._endpoint_chain(item), self._say(f"{self._title} -> {item.target}")) for item in endpoints]
        if port.affinity_s is not None:
            rules += [
                f"{said}-m recent --rcheck --seconds {port.affinity_s} --reap --name {name} --rsource -j {name}"
                for name, said in names
            ]
        for index, (name, said) in enumerate(names):
            left = len(names) - index
            chance = f"-m statistic --mode random --probability {1 / left:.10f} " if left > 1 else ""
            rules.append(f"{said}{chance}-j {name}")
        self._own[chain] = tuple(rules)

    def _endpoint_chain(self, endpoint: Endpoint) -> str:
        return f"KUBE-SEP-{_digest(f'{self._title}{self._port.protocol}{endpoint.target}')}"

    def _endpoint_rules(self, endpoint: Endpoint) -> tuple[str, ...]:
        port = self._port
        said = self._say(self._title)
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
