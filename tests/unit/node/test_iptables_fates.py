"""Both modes of kube-proxy give every packet the same fate, but for the differences that are measured on the real one."""

from __future__ import annotations

import itertools
import re
from typing import Any

import pytest
from node_world import (
    AFFINITY,
    ALL_ADDRESSES,
    AT_HERE,
    AT_THERE,
    CLIENT,
    CLUSTER_IP,
    EXTERNAL_IP,
    GONE,
    HERE,
    INTERNAL_LOCAL,
    IPTABLES_NETWORK,
    LEAVING,
    LOAD_BALANCER_IP,
    LOCAL,
    NETWORK,
    NODE,
    NODE_IP,
    NODE_PORT,
    POD,
    POD_ELSEWHERE,
    PORT,
    THERE,
    UNREADY,
    Endpoint,
    protocol_of,
    service,
    slice_of,
)

from nodeagent.proxy.fate import Fate
from nodeagent.proxy.iptables.chains import JUMPS, SERVICES, Tables, render_tables
from nodeagent.proxy.iptables.tracer import IptablesTracer
from nodeagent.proxy.ruleset import render_ruleset
from nodeagent.proxy.services import read_service_ports
from nodeagent.proxy.tracer import Tracer

NODE_ADDRESSES = (NODE_IP, "10.0.1.1")
SENDERS = {
    "outside": (CLIENT, False),
    "a pod here": (POD, False),
    "the endpoint here": ("10.0.1.2", False),
    "a pod elsewhere": (POD_ELSEWHERE, False),
    "the node itself": (NODE_IP, True),
}
ADDRESSES = {
    "cluster IP": (CLUSTER_IP, PORT),
    "node port": (NODE_IP, NODE_PORT),
    "external IP": (EXTERNAL_IP, PORT),
    "load balancer IP": (LOAD_BALANCER_IP, PORT),
}
ENDPOINTS: dict[str, tuple[Endpoint, ...]] = {
    "here and there": (HERE, THERE),
    "here": (HERE,),
    "there": (THERE,),
    "none": (),
    "none that is usable": (("10.0.1.2", NODE, UNREADY), ("10.0.2.2", "node-2", GONE)),
    "leaving here": (("10.0.1.2", NODE, LEAVING),),
    "leaving here, ready there": (("10.0.1.2", NODE, LEAVING), THERE),
    "leaving both": (("10.0.1.2", NODE, LEAVING), ("10.0.2.2", "node-2", LEAVING)),
}
POLICIES: dict[str, dict[str, Any]] = {
    "cluster": {},
    "external local": LOCAL,
    "internal local": INTERNAL_LOCAL,
    "both local": LOCAL | INTERNAL_LOCAL,
}
RANGES: dict[str, dict[str, Any]] = {
    "no ranges": {},
    "client allowed": {"loadBalancerSourceRanges": ["198.18.0.0/24"]},
    "client refused": {"loadBalancerSourceRanges": ["203.0.113.0/24"]},
    "node allowed": {"loadBalancerSourceRanges": ["10.100.0.0/24"]},
    "everybody": {"loadBalancerSourceRanges": ["198.18.7.0/24", "0.0.0.0/0"]},
}
REJECTED, DROPPED, UNTOUCHED = (Fate(targets=(), verdict=verdict) for verdict in ("reject", "drop", "accept"))


def tables(*endpoints: Endpoint, **spec: Any) -> Tables:
    return render_tables(
        read_service_ports([service(**spec)], [slice_of(*endpoints, protocol=protocol_of(spec))], NODE), IPTABLES_NETWORK
    )


def tracer(*endpoints: Endpoint, remembered: dict[str, Any] | None = None, **spec: Any) -> IptablesTracer:
    return IptablesTracer(tables(*endpoints, **spec), node_addresses=NODE_ADDRESSES, remembered=remembered)


def both(sender: str, address: str, *endpoints: Endpoint, **spec: Any) -> tuple[Fate, Fate]:
    """Fate under iptables and under nftables."""
    ports = read_service_ports([service(**spec)], [slice_of(*endpoints, protocol=protocol_of(spec))], NODE)
    (src, itself), (dst, number) = SENDERS[sender], ADDRESSES[address]
    return (
        IptablesTracer(render_tables(ports, IPTABLES_NETWORK), node_addresses=NODE_ADDRESSES).packet(
            src, dst, "tcp", number, from_node_itself=itself
        ),
        Tracer(render_ruleset(ports, NETWORK)).packet(src, dst, "tcp", number, from_node_itself=itself),
    )


@pytest.mark.parametrize("policies", POLICIES)
@pytest.mark.parametrize("endpoints", ENDPOINTS)
def test_both_modes_agree_from_every_sender_to_every_address(policies: str, endpoints: str) -> None:
    for sender, address in itertools.product(SENDERS, ADDRESSES):
        ours, theirs = both(sender, address, *ENDPOINTS[endpoints], **POLICIES[policies], **ALL_ADDRESSES)
        if sender == "the node itself" and address in ("external IP", "load balancer IP") and theirs == REJECTED:
            # KUBE-EXTERNAL-SERVICES is not met by what the node itself sends to an address that is not its own.
            theirs = UNTOUCHED
        assert ours == theirs, (sender, address)


@pytest.mark.parametrize("endpoints", ["here and there", "there", "leaving here, ready there", "leaving both"])
@pytest.mark.parametrize("ranges", RANGES)
@pytest.mark.parametrize("policies", ["cluster", "external local"])
def test_both_modes_agree_on_source_ranges(policies: str, ranges: str, endpoints: str) -> None:
    for sender, address in itertools.product(SENDERS, ADDRESSES):
        ours, theirs = both(sender, address, *ENDPOINTS[endpoints], **POLICIES[policies], **RANGES[ranges], **ALL_ADDRESSES)
        if address == "load balancer IP" and sender == "the node itself" and theirs == DROPPED and ours == UNTOUCHED:
            continue  # without an endpoint that the node's own packets are refused by, see below
        assert ours == theirs, (sender, address)


@pytest.mark.parametrize("endpoints", ["none", "none that is usable"])
@pytest.mark.parametrize("policies", ["cluster", "external local"])
@pytest.mark.parametrize("ranges", ["client allowed", "client refused"])
def test_without_an_endpoint_source_ranges_refuse_nobody_in_iptables_and_everybody_is_rejected(
    endpoints: str, policies: str, ranges: str
) -> None:
    spec = {**POLICIES[policies], **RANGES[ranges], **ALL_ADDRESSES}
    ours, theirs = both("outside", "load balancer IP", *ENDPOINTS[endpoints], **spec)
    assert ours == REJECTED
    assert theirs == (DROPPED if ranges == "client refused" else REJECTED)
    itself, _ = both("the node itself", "load balancer IP", *ENDPOINTS[endpoints], **spec)
    assert itself == UNTOUCHED


@pytest.mark.parametrize("address", ADDRESSES)
def test_both_modes_agree_with_affinity(address: str) -> None:
    for sender in SENDERS:
        ours, theirs = both(sender, address, HERE, THERE, **AFFINITY, **ALL_ADDRESSES)
        assert ours == theirs, sender


def test_a_client_stays_with_the_endpoint_that_it_has_been_to() -> None:
    rendered = tables(HERE, THERE, **AFFINITY)
    (here,) = [name for name, rules in rendered.own.items() if any(f"--to-destination {AT_HERE}" in rule for rule in rules)]
    found = IptablesTracer(rendered, node_addresses=NODE_ADDRESSES, remembered={here: {CLIENT}})
    assert found.packet(CLIENT, CLUSTER_IP, "tcp", PORT).targets == (AT_HERE,)
    assert found.packet("198.18.0.10", CLUSTER_IP, "tcp", PORT).targets == (AT_HERE, AT_THERE)


def test_a_port_that_a_cluster_ip_does_not_have_is_left_to_routing() -> None:
    assert tracer(HERE).packet(POD, CLUSTER_IP, "tcp", 81) == UNTOUCHED


def test_an_address_of_the_service_network_that_nobody_has_is_left_to_routing() -> None:
    assert tracer(HERE).packet(POD, "10.3.240.99", "tcp", 80) == UNTOUCHED


@pytest.mark.parametrize("address", ["10.0.1.1", "127.0.0.1"])
def test_node_ports_are_on_every_address_of_the_node(address: str) -> None:
    fate = tracer(HERE, THERE).packet(address, address, "tcp", NODE_PORT, from_node_itself=True)
    assert fate.targets == (AT_HERE, AT_THERE)
    assert fate.masqueraded


def test_who_is_elsewhere_cannot_reach_a_loopback_address() -> None:
    assert tracer(HERE).packet(CLIENT, "127.0.0.1", "tcp", 9999) == DROPPED


def test_a_pod_reaches_itself_through_another_nodes_local_service() -> None:
    """The difference (d) of the two modes: rules of iptables mark every endpoint's own traffic, also of one elsewhere."""
    fate = tracer(THERE, **LOCAL, **ALL_ADDRESSES).packet("10.0.2.2", EXTERNAL_IP, "tcp", PORT)
    assert fate.masqueraded_targets == (AT_THERE,)


def test_another_protocol_is_another_service() -> None:
    assert tracer(HERE).packet(POD, CLUSTER_IP, "udp", PORT) == UNTOUCHED
    ports = [{"name": "http", "port": PORT, "nodePort": NODE_PORT, "protocol": "UDP"}]
    assert tracer(HERE, ports=ports).packet(POD, CLUSTER_IP, "udp", PORT).targets == (AT_HERE,)


def test_a_health_check_node_port_is_let_in() -> None:
    spec = {**LOCAL, "type": "LoadBalancer", "healthCheckNodePort": 32300, **ALL_ADDRESSES}
    (rule,) = tables(HERE, **spec).shared["filter"]["KUBE-NODEPORTS"]
    assert rule.endswith("-p tcp -m tcp --dport 32300 -j ACCEPT")


def test_every_endpoint_has_the_same_chance() -> None:
    many = tuple((f"10.0.2.{index}", "node-2", {"ready": True}) for index in range(2, 6))
    rendered = tables(*many)
    (spread,) = [rules for name, rules in rendered.own.items() if name.startswith("KUBE-SVC-")]
    chances = [float(rule.split("--probability ")[1].split()[0]) for rule in spread if "--probability" in rule]
    assert chances == pytest.approx([1 / 4, 1 / 3, 1 / 2])


def test_comments_are_left_out_of_large_clusters() -> None:
    def rendered(count: int) -> str:
        many = tuple((f"10.0.{index // 250}.{index % 250}", "node-2", {"ready": True}) for index in range(count))
        return "\n".join(rule for table in ("nat", "filter") for rules in tables(*many).chains(table).values() for rule in rules)

    assert '--comment "default/web' in rendered(1000)
    assert '--comment "default/web' not in rendered(1001)


def test_names_of_chains_are_kube_proxys() -> None:
    names = sorted(name.rsplit("-", 1)[0] for name in tables(HERE, THERE, **LOCAL, **ALL_ADDRESSES).own)
    assert names == ["KUBE-EXT", "KUBE-SEP", "KUBE-SEP", "KUBE-SVC", "KUBE-SVL"]
    assert all(len(name.rsplit("-", 1)[1]) == 16 for name in tables(HERE).own)
    last = tables(HERE, THERE).shared["nat"][SERVICES][-1]
    assert last.startswith('-m comment --comment "kubernetes service nodeports; NOTE: this must be the last rule in this chain" ')
    assert last.endswith(" -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS")


@pytest.mark.parametrize(
    ("namespace", "name", "port", "chain"),
    [
        ("default", "kubernetes", {"name": "https", "port": 443}, "KUBE-SVC-NPX46M4PTMTKRN6Y"),
        ("kube-system", "kube-dns", {"name": "dns", "port": 53, "protocol": "UDP"}, "KUBE-SVC-TCOU7JCQXEZGVUNU"),
        ("kube-system", "kube-dns", {"name": "dns-tcp", "port": 53}, "KUBE-SVC-ERIFXISQEP7F7OF4"),
        ("default", "nginx", {"port": 80}, "KUBE-SVC-2CMXP7HKUVJN7L6M"),
    ],
)
def test_chains_are_called_as_in_every_cluster(namespace: str, name: str, port: dict[str, Any], chain: str) -> None:
    item = service(name=name, ports=[port])
    part = slice_of(HERE, name=name, ports={port.get("name", ""): 8080}, protocol=port.get("protocol", "TCP"))
    for thing in (item, part):
        thing["metadata"]["namespace"] = namespace
    rendered = render_tables(read_service_ports([item], [part], NODE), IPTABLES_NETWORK)
    assert chain in rendered.own
    assert any(f'"{namespace}/{name}{":" if "name" in port else ""}' in rule for rule in rendered.shared["nat"][SERVICES])


def test_what_leads_to_all_services_reads_as_kube_proxy_would_write_it() -> None:
    """The mark is taken off where it has been acted upon, so that nobody behind takes it for a sign of his own."""
    shared = tables().shared
    assert shared["nat"]["KUBE-POSTROUTING"] == (
        "-m mark ! --mark 0x4000/0x4000 -j RETURN",
        "-j MARK --set-xmark 0x4000/0x0",
        '-m comment --comment "kubernetes service traffic requiring SNAT" -j MASQUERADE --random-fully',
    )
    assert shared["nat"]["KUBE-MARK-MASQ"] == ("-j MARK --set-xmark 0x4000/0x4000",)
    assert shared["filter"]["KUBE-FORWARD"] == (
        "-m conntrack --ctstate INVALID -j DROP",
        '-m comment --comment "kubernetes forwarding rules" -m mark --mark 0x4000/0x4000 -j ACCEPT',
        '-m comment --comment "kubernetes forwarding conntrack rule" -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT',
    )
    assert shared["filter"]["KUBE-FIREWALL"] == (
        '! -s 127.0.0.0/8 -d 127.0.0.0/8 -m comment --comment "block incoming localnet connections"'
        " -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP",
    )


def test_jumps_from_the_kernels_chains_read_as_kube_proxy_would_write_them() -> None:
    """In the order in which a packet meets them."""
    found = [f"{table} {chain} {rule}" for table, jumps in JUMPS.items() for chain, rule in jumps]
    assert [re.sub(r'-m comment --comment "[^"]*" ', "", line) for line in found] == [
        "filter INPUT -m conntrack --ctstate NEW -j KUBE-PROXY-FIREWALL",
        "filter INPUT -j KUBE-NODEPORTS",
        "filter INPUT -m conntrack --ctstate NEW -j KUBE-EXTERNAL-SERVICES",
        "filter INPUT -j KUBE-FIREWALL",
        "filter FORWARD -m conntrack --ctstate NEW -j KUBE-PROXY-FIREWALL",
        "filter FORWARD -j KUBE-FORWARD",
        "filter FORWARD -m conntrack --ctstate NEW -j KUBE-SERVICES",
        "filter FORWARD -m conntrack --ctstate NEW -j KUBE-EXTERNAL-SERVICES",
        "filter OUTPUT -m conntrack --ctstate NEW -j KUBE-PROXY-FIREWALL",
        "filter OUTPUT -m conntrack --ctstate NEW -j KUBE-SERVICES",
        "filter OUTPUT -j KUBE-FIREWALL",
        "nat PREROUTING -j KUBE-SERVICES",
        "nat OUTPUT -j KUBE-SERVICES",
        "nat POSTROUTING -j KUBE-POSTROUTING",
    ]


def test_a_service_reads_as_kube_proxy_would_write_it() -> None:
    """In the order of iptables-save; names of chains without what is hashed into them."""
    rendered = tables(HERE, THERE, **LOCAL, **AFFINITY, **ALL_ADDRESSES, **RANGES["node allowed"])
    shared = {(table, name): rules for table, chains in rendered.shared.items() for name, rules in chains.items()}
    lines = [f"{name} {rule}" for name, rules in rendered.own.items() for rule in rules]
    lines += [f"{table} {name} {rule}" for (table, name), rules in shared.items() for rule in rules if '"default/web' in rule]
    assert [re.sub(r"(KUBE-[A-Z]{2,3})-[A-Z2-7]{16}", r"\1", line) for line in lines] == READ_AS


READ_AS = [
    'KUBE-FW -s 10.100.0.0/24 -m comment --comment "default/web:http loadbalancer IP" -j KUBE-EXT',
    'KUBE-FW -s 198.18.0.131/32 -m comment --comment "default/web:http loadbalancer IP" -j KUBE-EXT',
    'KUBE-FW -m comment --comment "other traffic to default/web:http will be dropped by KUBE-PROXY-FIREWALL"',
    'KUBE-EXT -s 10.0.0.0/16 -m comment --comment "pod traffic for default/web:http external destinations" -j KUBE-SVC',
    'KUBE-EXT -m comment --comment "masquerade LOCAL traffic for default/web:http external destinations" -m addrtype --src-type LOCAL -j KUBE-MARK-MASQ',
    'KUBE-EXT -m comment --comment "route LOCAL traffic for default/web:http external destinations" -m addrtype --src-type LOCAL -j KUBE-SVC',
    "KUBE-EXT -j KUBE-SVL",
    'KUBE-SVC ! -s 10.0.0.0/16 -d 10.3.241.152/32 -m comment --comment "default/web:http cluster IP" -p tcp -m tcp --dport 80 -j KUBE-MARK-MASQ',
    'KUBE-SVC -m comment --comment "default/web:http -> 10.0.1.2:8080" -m recent --rcheck --seconds 60 --reap --name KUBE-SEP --rsource -j KUBE-SEP',
    'KUBE-SVC -m comment --comment "default/web:http -> 10.0.2.2:8080" -m recent --rcheck --seconds 60 --reap --name KUBE-SEP --rsource -j KUBE-SEP',
    'KUBE-SVC -m comment --comment "default/web:http -> 10.0.1.2:8080" -m statistic --mode random --probability 0.5000000000 -j KUBE-SEP',
    'KUBE-SVC -m comment --comment "default/web:http -> 10.0.2.2:8080" -j KUBE-SEP',
    'KUBE-SVL -m comment --comment "default/web:http -> 10.0.1.2:8080" -m recent --rcheck --seconds 60 --reap --name KUBE-SEP --rsource -j KUBE-SEP',
    'KUBE-SVL -m comment --comment "default/web:http -> 10.0.1.2:8080" -j KUBE-SEP',
    'KUBE-SEP -s 10.0.1.2/32 -m comment --comment "default/web:http" -j KUBE-MARK-MASQ',
    'KUBE-SEP -m comment --comment "default/web:http" -m recent --set --name KUBE-SEP --rsource -p tcp -m tcp -j DNAT --to-destination 10.0.1.2:8080',
    'KUBE-SEP -s 10.0.2.2/32 -m comment --comment "default/web:http" -j KUBE-MARK-MASQ',
    'KUBE-SEP -m comment --comment "default/web:http" -m recent --set --name KUBE-SEP --rsource -p tcp -m tcp -j DNAT --to-destination 10.0.2.2:8080',
    'filter KUBE-PROXY-FIREWALL -d 198.18.0.131/32 -m comment --comment "default/web:http traffic not accepted by KUBE-FW" -p tcp -m tcp --dport 80 -j DROP',
    'nat KUBE-SERVICES -d 10.3.241.152/32 -m comment --comment "default/web:http cluster IP" -p tcp -m tcp --dport 80 -j KUBE-SVC',
    'nat KUBE-SERVICES -d 198.18.0.130/32 -m comment --comment "default/web:http external IP" -p tcp -m tcp --dport 80 -j KUBE-EXT',
    'nat KUBE-SERVICES -d 198.18.0.131/32 -m comment --comment "default/web:http loadbalancer IP" -p tcp -m tcp --dport 80 -j KUBE-FW',
    'nat KUBE-NODEPORTS -m comment --comment "default/web:http" -p tcp -m tcp --dport 32213 -j KUBE-EXT',
]
