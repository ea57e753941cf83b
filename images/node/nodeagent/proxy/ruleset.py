"""kube-proxy's nftables table as data. Pure.

Names of chains, maps and sets are kube-proxy's (pkg/proxy/nftables), so that who knows it finds their way.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network

from nodeagent.proxy.endpoints import Endpoint
from nodeagent.proxy.network import Network
from nodeagent.proxy.services import ServicePort

TABLE = "ip kube-proxy"
MARK = "0x4000"

BASE_CHAINS = {
    # -110: before destination NAT (-100), where the packet still has the address that the client asked for.
    "filter-prerouting-pre-dnat": "type filter hook prerouting priority -110",
    "filter-output-pre-dnat": "type filter hook output priority -110",
    "filter-input": "type filter hook input priority 0",
    "filter-forward": "type filter hook forward priority 0",
    "filter-output": "type filter hook output priority 0",
    "nat-prerouting": "type nat hook prerouting priority -100",
    "nat-output": "type nat hook output priority -100",
    "nat-postrouting": "type nat hook postrouting priority 100",
}
VERDICT_MAPS = {
    "service-ips": "ipv4_addr . inet_proto . inet_service : verdict",
    "service-nodeports": "inet_proto . inet_service : verdict",
    "no-endpoint-services": "ipv4_addr . inet_proto . inet_service : verdict",
    "no-endpoint-nodeports": "inet_proto . inet_service : verdict",
    "firewall-ips": "ipv4_addr . inet_proto . inet_service : verdict",
}
SETS = {
    "cluster-ips": "ipv4_addr",
    "nodeport-ips": "ipv4_addr",
    "hairpin-connections": "ipv4_addr . ipv4_addr . inet_proto . inet_service",
}
FIREWALL_KEY = "ip daddr . meta l4proto . th dport"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruleset:
    """Chains with their rules, names of affinity sets, elements of maps (value: verdict) and sets (value: empty)."""

    chains: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    affinity_sets: frozenset[str] = frozenset()
    elements: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def render_ruleset(ports: Iterable[ServicePort], network: Network) -> Ruleset:
    """The whole desired table."""
    return RulesetRenderer().render(ports, network)


class RulesetRenderer:
    """The whole desired table. A service port that is the very object of the last time is not rendered again."""

    def __init__(self) -> None:
        self._network: Network | None = None
        self._known: dict[int, tuple[ServicePort, Ruleset]] = {}
        """By identity, which is a port's own as long as it is kept here."""

    def render(self, ports: Iterable[ServicePort], network: Network) -> Ruleset:
        known = self._known if network == self._network else {}
        self._network = network
        self._known = {id(port): known.get(id(port)) or (port, _render_port(port, network)) for port in ports}
        chains = _fixed_chains(network)
        elements: dict[str, dict[str, str]] = {name: {} for name in (*VERDICT_MAPS, *SETS)}
        if network.node_port_ips is None:
            del elements["nodeport-ips"]
        else:
            # There are no node ports at a loopback address in this mode, whatever networks were named.
            elements["nodeport-ips"].update({item: "" for item in network.node_port_ips if not _is_loopback(item)})
        affinity: set[str] = set()
        for _, part in self._known.values():
            chains.update(part.chains)
            affinity |= part.affinity_sets
            for name, items in part.elements.items():
                elements[name].update(items)
        return Ruleset(chains=chains, affinity_sets=frozenset(affinity), elements=elements)


def _render_port(port: ServicePort, network: Network) -> Ruleset:
    """What one service port adds."""
    builder = _Builder(network)
    builder.add(port)
    return builder.ruleset()


class _Builder:
    def __init__(self, network: Network) -> None:
        self._network = network
        self._chains: dict[str, tuple[str, ...]] = {}
        self._affinity: set[str] = set()
        self._elements: defaultdict[str, dict[str, str]] = defaultdict(dict)

    def ruleset(self) -> Ruleset:
        return Ruleset(chains=self._chains, affinity_sets=frozenset(self._affinity), elements=self._elements)

    def add(self, port: ServicePort) -> None:
        usable = port.usable
        self._elements["cluster-ips"][port.cluster_ip] = ""
        chain, endpoints = ("local", usable.local) if port.internal_local else ("service", usable.cluster)
        if endpoints:
            self._serve(port, (port.cluster_ip,), f"{chain}-{port.chain}")
        else:
            self._refuse(port, (port.cluster_ip,))
        if port.externally_accessible:
            self._external(port)
        if usable.cluster and port.uses_cluster:
            self._spread(f"service-{port.chain}", port, usable.cluster)
        if usable.local and port.uses_local:
            self._spread(f"local-{port.chain}", port, usable.local)
        for endpoint in port.reachable:
            if endpoint.local:
                key = f"{endpoint.ip} . {endpoint.ip} . {port.protocol} . {endpoint.port}"
                self._elements["hairpin-connections"][key] = ""

    def _serve(self, port: ServicePort, addresses: Iterable[str], chain: str) -> None:
        for address in addresses:
            self._elements["service-ips"][f"{address} . {port.protocol} . {port.port}"] = f"goto {chain}"

    def _refuse(self, port: ServicePort, addresses: Iterable[str]) -> None:
        for address in addresses:
            self._elements["no-endpoint-services"][f"{address} . {port.protocol} . {port.port}"] = _refusal(port)

    def _external(self, port: ServicePort) -> None:
        external = f"external-{port.chain}"
        addresses = (*port.external_ips, *port.load_balancer_ips)
        node_port = None if port.node_port is None else f"{port.protocol} . {port.node_port}"
        if port.usable.anywhere:
            self._chains[external] = _external_rules(port, self._network)
            self._serve(port, addresses, external)
            if node_port is not None:
                self._elements["service-nodeports"][node_port] = f"goto {external}"
        if not (port.usable.local if port.external_local else port.usable.cluster):
            self._refuse(port, addresses)
            if node_port is not None:
                self._elements["no-endpoint-nodeports"][node_port] = _refusal(port)
        if port.source_ranges and port.load_balancer_ips:
            chain = f"firewall-{port.chain}"
            self._chains[chain] = (f"ip saddr != {{ {', '.join(_allowed_sources(port, self._network))} }} drop",)
            for address in port.load_balancer_ips:
                self._elements["firewall-ips"][f"{address} . {port.protocol} . {port.port}"] = f"goto {chain}"

    def _spread(self, chain: str, port: ServicePort, endpoints: tuple[Endpoint, ...]) -> None:
        """Evenly over the endpoints; with affinity, first where the client has been."""
        numgen = f"numgen random mod {len(endpoints)}"
        if port.affinity_s is None:
            targets = ", ".join(f"{index} : {item.ip} . {item.port}" for index, item in enumerate(endpoints))
            self._chains[chain] = (f"meta l4proto {port.protocol} dnat ip addr . port to {numgen} map {{ {targets} }}",)
            return
        names = [port.chain_of(item) for item in endpoints]
        for name, item in zip(names, endpoints, strict=True):
            self._affinity.add(f"affinity-{name}")
            self._chains[f"endpoint-{name}"] = (
                # The time-out stands here and not at the set, whose own cannot be changed while it lives.
                f"update @affinity-{name} {{ ip saddr timeout {port.affinity_s}s }}",
                f"meta l4proto {port.protocol} dnat to {item.target}",
            )
        known = (f"ip saddr @affinity-{name} goto endpoint-{name}" for name in names)
        gotos = ", ".join(f"{index} : goto endpoint-{name}" for index, name in enumerate(names))
        self._chains[chain] = (*known, f"{numgen} vmap {{ {gotos} }}")


def _is_loopback(address: str) -> bool:
    return ip_address(address).is_loopback


def _refusal(port: ServicePort) -> str:
    """Where no endpoint may be used: dropped when there are some elsewhere (policy Local), else rejected."""
    return "drop" if port.usable.anywhere else "goto reject-chain"


def _allowed_sources(port: ServicePort, network: Network) -> tuple[str, ...]:
    """A node that is allowed may appear with the load balancer's own address, which it can have."""
    node_allowed = any(ip_address(network.node_ip) in ip_network(item) for item in port.source_ranges)
    return (*port.source_ranges, *port.load_balancer_ips) if node_allowed else port.source_ranges


def _external_rules(port: ServicePort, network: Network) -> tuple[str, ...]:
    service = f"service-{port.chain}"
    if not port.external_local:
        return (f"mark set mark or {MARK}", f"goto {service}")
    pods = network.local_pods
    rules = [
        *([] if pods is None else [f"{pods.in_nftables()} goto {service}"]),
        f"fib saddr type local mark set mark or {MARK}",
        f"fib saddr type local goto {service}",
    ]
    return (*rules, f"goto local-{port.chain}") if port.usable.local else tuple(rules)


def _fixed_chains(network: Network) -> dict[str, tuple[str, ...]]:
    services = "ct state new jump service-endpoints-check"
    node_port = "ip daddr != 127.0.0.0/8" if network.node_port_ips is None else "ip daddr @nodeport-ips"
    # In the input hook every destination is one of the node's.
    to_node = f"fib daddr type local {node_port}" if network.node_port_ips is None else node_port
    return {
        "filter-prerouting-pre-dnat": ("ct state new jump firewall-check",),
        "filter-output-pre-dnat": ("ct state new jump firewall-check",),
        "filter-input": ("ct state new jump nodeport-endpoints-check", services),
        "filter-forward": (services, "ct state new jump cluster-ips-check"),
        "filter-output": (services, "ct state new jump cluster-ips-check"),
        "nat-prerouting": ("jump services",),
        "nat-output": ("jump services",),
        "nat-postrouting": ("jump masquerading",),
        "firewall-check": (f"{FIREWALL_KEY} vmap @firewall-ips",),
        "service-endpoints-check": (f"{FIREWALL_KEY} vmap @no-endpoint-services",),
        "nodeport-endpoints-check": (f"{node_port} meta l4proto . th dport vmap @no-endpoint-nodeports",),
        "cluster-ips-check": ("ip daddr @cluster-ips reject", f"ip daddr {{ {network.service_cidr} }} drop"),
        "services": (
            *_masqueraded_cluster_ips(network),
            f"{FIREWALL_KEY} vmap @service-ips",
            f"{to_node} meta l4proto . th dport vmap @service-nodeports",
        ),
        "masquerading": (
            f"mark and {MARK} != 0 mark set mark xor {MARK} masquerade fully-random",
            "ct status dnat ip saddr . ip daddr . meta l4proto . th dport @hairpin-connections masquerade fully-random",
        ),
        "reject-chain": ("reject",),
    }


def _masqueraded_cluster_ips(network: Network) -> tuple[str, ...]:
    """Whoever is no pod may have no way back from one."""
    if network.masquerade_all:
        return (f"ip daddr @cluster-ips mark set mark or {MARK}",)
    if network.local_pods is None:
        return ()
    return (f"ip daddr @cluster-ips {network.local_pods.in_nftables(negated=True)} mark set mark or {MARK}",)
