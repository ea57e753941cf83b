"""kube-proxy's nftables table as data, and the transaction that turns one state of it into another. Pure.

Names of chains, maps and sets are kube-proxy's (pkg/proxy/nftables), so that who knows it finds their way.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

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
class Network:
    """What the rules know of node and cluster."""

    node_ip: str
    cluster_cidr: str
    service_cidr: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruleset:
    """Chains with their rules, affinity sets with their time-outs, elements of maps (value: verdict) and sets (value: empty)."""

    chains: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    affinity_sets: Mapping[str, int] = field(default_factory=dict)
    elements: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def render_ruleset(ports: Iterable[ServicePort], network: Network) -> Ruleset:
    """The whole desired table."""
    builder = _Builder(network)
    for port in ports:
        builder.add(port)
    return builder.ruleset()


class _Builder:
    def __init__(self, network: Network) -> None:
        self._network = network
        self._chains: dict[str, tuple[str, ...]] = _fixed_chains(network)
        self._affinity: dict[str, int] = {}
        self._elements: dict[str, dict[str, str]] = {name: {} for name in (*VERDICT_MAPS, *SETS)}
        self._elements["nodeport-ips"][network.node_ip] = ""

    def ruleset(self) -> Ruleset:
        return Ruleset(chains=self._chains, affinity_sets=self._affinity, elements=self._elements)

    def add(self, port: ServicePort) -> None:
        usable = port.usable
        self._elements["cluster-ips"][port.cluster_ip] = ""
        if port.internal_local:
            self._internal_local(port)
        else:
            self._lead(port, (port.cluster_ip,), usable.cluster, f"service-{port.chain}", "drop")
        if port.externally_accessible:
            self._external(port)
        uses_cluster = not port.internal_local or port.externally_accessible
        if uses_cluster and usable.cluster:
            self._service_chain(f"service-{port.chain}", port, usable.cluster)
        if (port.internal_local or port.external_local) and usable.local:
            self._service_chain(f"local-{port.chain}", port, usable.local)
        for endpoint in {*usable.cluster, *usable.local}:
            if endpoint.local:
                key = f"{endpoint.ip} . {endpoint.ip} . {port.protocol} . {endpoint.port}"
                self._elements["hairpin-connections"][key] = ""

    def _internal_local(self, port: ServicePort) -> None:
        self._lead(port, (port.cluster_ip,), port.usable.local, f"local-{port.chain}", "drop")

    def _lead(self, port: ServicePort, addresses: Iterable[str], endpoints: Iterable[object], chain: str, missing: str) -> None:
        """From addresses to a chain; without endpoints here: reject when there are none anywhere, else drop."""
        for address in addresses:
            key = f"{address} . {port.protocol} . {port.port}"
            if any(True for _ in endpoints):
                self._elements["service-ips"][key] = f"goto {chain}"
            else:
                self._elements["no-endpoint-services"][key] = missing if port.usable.anywhere else "goto reject-chain"

    def _external(self, port: ServicePort) -> None:
        external = f"external-{port.chain}"
        addresses = (*port.external_ips, *port.load_balancer_ips)
        if port.usable.anywhere:
            self._chains[external] = _external_rules(port, self._network)
            for address in addresses:
                self._elements["service-ips"][f"{address} . {port.protocol} . {port.port}"] = f"goto {external}"
            if port.node_port is not None:
                self._elements["service-nodeports"][f"{port.protocol} . {port.node_port}"] = f"goto {external}"
        lacking = port.usable.local if port.external_local else port.usable.cluster
        if not lacking:
            verdict = "drop" if port.usable.anywhere else "goto reject-chain"
            for address in addresses:
                self._elements["no-endpoint-services"][f"{address} . {port.protocol} . {port.port}"] = verdict
            if port.node_port is not None:
                self._elements["no-endpoint-nodeports"][f"{port.protocol} . {port.node_port}"] = verdict
        if port.source_ranges and port.load_balancer_ips:
            chain = f"firewall-{port.chain}"
            allowed = ", ".join(port.source_ranges)
            self._chains[chain] = (f"ip saddr != {{ {allowed} }} drop",)
            for address in port.load_balancer_ips:
                self._elements["firewall-ips"][f"{address} . {port.protocol} . {port.port}"] = f"goto {chain}"

    def _service_chain(self, chain: str, port: ServicePort, endpoints: tuple[object, ...]) -> None:
        from nodeagent.proxy.endpoints import Endpoint

        chosen = tuple(item for item in endpoints if isinstance(item, Endpoint))
        if port.affinity_s is None:
            targets = ", ".join(f"{index} : {item.ip} . {item.port}" for index, item in enumerate(chosen))
            spread = f"numgen random mod {len(chosen)} map {{ {targets} }}"
            self._chains[chain] = (f"meta l4proto {port.protocol} dnat ip addr . port to {spread}",)
            return
        rules = []
        for item in chosen:
            name = f"{port.chain}__{item.ip}/{item.port}"
            self._affinity[f"affinity-{name}"] = port.affinity_s
            self._chains[f"endpoint-{name}"] = (
                f"update @affinity-{name} {{ ip saddr }}",
                f"meta l4proto {port.protocol} dnat to {item.ip}:{item.port}",
            )
            rules.append(f"ip saddr @affinity-{name} goto endpoint-{name}")
        chains = ", ".join(f"{index} : goto endpoint-{port.chain}__{item.ip}/{item.port}" for index, item in enumerate(chosen))
        self._chains[chain] = (*rules, f"numgen random mod {len(chosen)} vmap {{ {chains} }}")


def _external_rules(port: ServicePort, network: Network) -> tuple[str, ...]:
    service = f"service-{port.chain}"
    if not port.external_local:
        return (f"mark set mark or {MARK}", f"goto {service}")
    rules = [
        f"ip saddr {network.cluster_cidr} goto {service}",
        f"fib saddr type local mark set mark or {MARK}",
        f"fib saddr type local goto {service}",
    ]
    return (*rules, f"goto local-{port.chain}") if port.usable.local else tuple(rules)


def _fixed_chains(network: Network) -> dict[str, tuple[str, ...]]:
    services = "ct state new jump service-endpoints-check"
    nodeports = "ip daddr @nodeport-ips meta l4proto . th dport vmap @no-endpoint-nodeports"
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
        "nodeport-endpoints-check": (nodeports,),
        "cluster-ips-check": ("ip daddr @cluster-ips reject", f"ip daddr {{ {network.service_cidr} }} drop"),
        "services": (
            f"ip daddr @cluster-ips ip saddr != {network.cluster_cidr} mark set mark or {MARK}",
            f"{FIREWALL_KEY} vmap @service-ips",
            "ip daddr @nodeport-ips meta l4proto . th dport vmap @service-nodeports",
        ),
        "masquerading": (
            f"mark and {MARK} != 0 mark set mark xor {MARK} masquerade fully-random",
            "ct status dnat ip saddr . ip daddr . meta l4proto . th dport @hairpin-connections masquerade fully-random",
        ),
        "reject-chain": ("reject",),
    }


def render_table() -> list[str]:
    """Commands that make the empty table anew: whatever an earlier life left is gone in the same transaction."""
    commands = [f"add table {TABLE}", f"delete table {TABLE}", f"add table {TABLE}"]
    commands += [f"add chain {TABLE} {name} {{ {hook}; policy accept; }}" for name, hook in BASE_CHAINS.items()]
    commands += [f"add map {TABLE} {name} {{ type {kind}; }}" for name, kind in VERDICT_MAPS.items()]
    return commands + [f"add set {TABLE} {name} {{ type {kind}; }}" for name, kind in SETS.items()]


def render_transaction(before: Ruleset | None, after: Ruleset) -> str:
    """The commands that turn one state into the other; None: whatever is there becomes `after`. Empty when nothing changes.

    New chains exist before anything leads to them; what leads to an old chain goes before the chain does.
    """
    commands = render_table() if before is None else []
    old = before or Ruleset()
    for name, timeout_s in after.affinity_sets.items():
        if old.affinity_sets.get(name) != timeout_s:
            if name in old.affinity_sets:
                continue
            commands.append(f"add set {TABLE} {name} {{ type ipv4_addr; flags dynamic,timeout; timeout {timeout_s}s; }}")
    changed = {name: rules for name, rules in after.chains.items() if old.chains.get(name) != rules}
    commands += [f"add chain {TABLE} {name}" for name in changed if name not in BASE_CHAINS and name not in old.chains]
    for name, rules in changed.items():
        if name in old.chains:
            commands.append(f"flush chain {TABLE} {name}")
        commands += [f"add rule {TABLE} {name} {rule}" for rule in rules]
    for name in (*VERDICT_MAPS, *SETS):
        commands += _render_elements(name, old.elements.get(name, {}), after.elements.get(name, {}))
    gone = [name for name in old.chains if name not in after.chains]
    commands += [f"flush chain {TABLE} {name}" for name in gone]
    commands += [f"delete chain {TABLE} {name}" for name in gone]
    commands += [f"delete set {TABLE} {name}" for name in old.affinity_sets if name not in after.affinity_sets]
    return "\n".join(commands)


def _render_elements(name: str, old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    kind = "element"
    removed = [key for key, value in old.items() if new.get(key) != value]
    added = [key if not value else f"{key} : {value}" for key, value in new.items() if old.get(key) != value]
    commands = [f"delete {kind} {TABLE} {name} {{ {', '.join(removed)} }}"] if removed else []
    return [*commands, f"add {kind} {TABLE} {name} {{ {', '.join(added)} }}"] if added else commands
