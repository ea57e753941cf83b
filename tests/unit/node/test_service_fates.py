"""What becomes of a packet to a service: the rendered rules, walked as the kernel would."""

from __future__ import annotations

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
    READY,
    THERE,
    UNREADY,
    Endpoint,
    rules,
    service,
    slice_of,
)

from nodeagent.proxy.ruleset import Ruleset, render_ruleset
from nodeagent.proxy.services import read_service_ports
from nodeagent.proxy.tracer import Fate, Tracer, UnknownRuleError

DROPPED, REJECTED, UNTOUCHED = (Fate(targets=(), verdict=verdict) for verdict in ("drop", "reject", "accept"))
BOTH = (AT_HERE, AT_THERE)
ADDRESSES = {
    "cluster IP": (CLUSTER_IP, PORT),
    "node port": (NODE_IP, NODE_PORT),
    "external IP": (EXTERNAL_IP, PORT),
    "load balancer IP": (LOAD_BALANCER_IP, PORT),
}
FROM_OUTSIDE = ("node port", "external IP", "load balancer IP")
SENDERS = {"outside": CLIENT, "a pod here": POD, "a pod elsewhere": POD_ELSEWHERE, "the node itself": NODE_IP}


def kept(*targets: str) -> Fate:
    return Fate(targets=targets, verdict="dnat")


def hidden(*targets: str) -> Fate:
    """Sent there with the node's address as the source."""
    return Fate(targets=targets, verdict="dnat", masqueraded_targets=targets)


def fate(ruleset: Ruleset, sender: str, address: str) -> Fate:
    itself = sender == "the node itself"
    # To its own address a node speaks from that very address; the choice of it is the routing table's, not the rules'.
    return Tracer(ruleset).packet(SENDERS[sender], ADDRESSES[address][0], "tcp", ADDRESSES[address][1], from_node_itself=itself)


@pytest.mark.parametrize(
    ("sender", "expected"),
    [
        ("a pod here", kept(*BOTH)),
        ("a pod elsewhere", kept(*BOTH)),
        ("outside", hidden(*BOTH)),
        ("the node itself", hidden(*BOTH)),
    ],
)
def test_cluster_ip_is_masqueraded_unless_the_source_is_a_pod(sender: str, expected: Fate) -> None:
    assert fate(rules(HERE, THERE), sender, "cluster IP") == expected


@pytest.mark.parametrize("sender", SENDERS)
@pytest.mark.parametrize("address", FROM_OUTSIDE)
def test_policy_cluster_is_always_masqueraded(sender: str, address: str) -> None:
    assert fate(rules(HERE, THERE, **ALL_ADDRESSES), sender, address) == hidden(*BOTH)


@pytest.mark.parametrize("address", FROM_OUTSIDE)
@pytest.mark.parametrize(
    ("sender", "endpoints", "expected"),
    [
        ("outside", (HERE, THERE), kept(AT_HERE)),
        ("outside", (THERE,), DROPPED),
        ("outside", (), REJECTED),
        # Short circuit: whoever is inside the cluster gets any endpoint, even when none is local.
        ("a pod here", (HERE, THERE), kept(*BOTH)),
        ("a pod here", (THERE,), kept(AT_THERE)),
        ("a pod elsewhere", (THERE,), kept(AT_THERE)),
        ("a pod here", (), REJECTED),
        ("the node itself", (HERE, THERE), hidden(*BOTH)),
        ("the node itself", (THERE,), hidden(AT_THERE)),
        ("the node itself", (), REJECTED),
    ],
)
def test_external_policy_local(address: str, sender: str, endpoints: tuple[Endpoint, ...], expected: Fate) -> None:
    assert fate(rules(*endpoints, **LOCAL, **ALL_ADDRESSES), sender, address) == expected


def test_external_policy_local_does_not_concern_the_cluster_ip() -> None:
    assert fate(rules(THERE, **LOCAL), "a pod here", "cluster IP") == kept(AT_THERE)


@pytest.mark.parametrize(
    ("address", "endpoints", "expected"),
    [
        ("cluster IP", (HERE, THERE), kept(AT_HERE)),
        ("cluster IP", (THERE,), DROPPED),
        ("cluster IP", (), REJECTED),
        ("node port", (THERE,), hidden(AT_THERE)),
    ],
)
def test_internal_policy_local_concerns_the_cluster_ip_only(
    address: str, endpoints: tuple[Endpoint, ...], expected: Fate
) -> None:
    assert fate(rules(*endpoints, **INTERNAL_LOCAL), "a pod here", address) == expected


HELD_BACK = {"ready": False, "serving": True, "terminating": False}


def test_endpoint_that_is_neither_ready_nor_leaving_is_not_even_a_last_resort() -> None:
    assert fate(rules(("10.0.1.3", NODE, HELD_BACK)), "outside", "node port") == REJECTED


@pytest.mark.parametrize("policies", [{}, LOCAL, INTERNAL_LOCAL, LOCAL | INTERNAL_LOCAL], ids=str)
@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize("sender", SENDERS)
def test_without_any_endpoint_every_address_rejects(policies: dict[str, Any], address: str, sender: str) -> None:
    ruleset = rules(("10.0.1.2", NODE, UNREADY), ("10.0.2.2", "node-2", GONE), **ALL_ADDRESSES, **policies)
    assert fate(ruleset, sender, address) == REJECTED


@pytest.mark.parametrize(
    ("endpoints", "cluster", "local"),
    [
        pytest.param((HERE, ("10.0.1.3", NODE, LEAVING)), (AT_HERE,), (AT_HERE,), id="ready before leaving"),
        pytest.param((("10.0.1.3", NODE, LEAVING),), ("10.0.1.3:8080",), ("10.0.1.3:8080",), id="leaving when none is ready"),
        pytest.param((THERE, ("10.0.1.3", NODE, LEAVING)), (AT_THERE,), ("10.0.1.3:8080",), id="local list falls back by itself"),
        pytest.param((HERE, ("10.0.1.3", NODE, UNREADY)), (AT_HERE,), (AT_HERE,), id="unready is never used"),
        pytest.param((("10.0.1.3", NODE, {}),), ("10.0.1.3:8080",), ("10.0.1.3:8080",), id="unknown conditions mean ready"),
        pytest.param((("10.0.1.2", NODE, LEAVING), HERE), (AT_HERE,), (AT_HERE,), id="of duplicates the one that stays"),
        pytest.param((HERE, ("10.0.1.2", NODE, LEAVING)), (AT_HERE,), (AT_HERE,), id="whatever their order"),
    ],
)
def test_which_endpoints_are_used(endpoints: tuple[Endpoint, ...], cluster: tuple[str, ...], local: tuple[str, ...]) -> None:
    ruleset = rules(*endpoints, **LOCAL)
    assert fate(ruleset, "a pod here", "cluster IP").targets == cluster
    assert fate(ruleset, "outside", "node port").targets == local


def test_endpoint_without_a_node_is_not_local() -> None:
    part = slice_of(HERE)
    del part["endpoints"][0]["nodeName"]
    ruleset = render_ruleset(read_service_ports([service(**LOCAL)], [part], NODE), NETWORK)
    assert fate(ruleset, "outside", "node port") == DROPPED


@pytest.mark.parametrize(
    ("sender", "target", "masqueraded"),
    [
        pytest.param("10.0.1.2", AT_HERE, True, id="itself: else it would answer itself directly"),
        pytest.param("10.0.1.2", AT_THERE, False, id="another"),
        pytest.param("10.0.2.2", AT_THERE, False, id="itself on another node, whose own matter it is"),
    ],
)
def test_pod_that_reaches_itself_is_masqueraded(sender: str, target: str, masqueraded: bool) -> None:
    found = Tracer(rules(HERE, THERE)).packet(sender, CLUSTER_IP, "tcp", PORT)
    assert found.targets == BOTH
    assert (target in found.masqueraded_targets) is masqueraded
    assert not found.masqueraded


@pytest.mark.parametrize(
    ("ranges", "sender", "expected"),
    [
        (["192.168.0.0/16"], CLIENT, DROPPED),
        (["192.168.0.0/16"], POD, DROPPED),
        (["192.168.0.0/16", "198.18.0.0/24"], CLIENT, hidden(AT_HERE)),
        (["192.168.0.0/16", "0.0.0.0/0"], CLIENT, hidden(AT_HERE)),
        (["fd00::/8"], CLIENT, hidden(AT_HERE)),
        (["198.18.0.9/16"], CLIENT, hidden(AT_HERE)),
        (["192.168.0.0/16"], LOAD_BALANCER_IP, DROPPED),
        (["10.100.0.0/24"], LOAD_BALANCER_IP, hidden(AT_HERE)),
    ],
)
def test_source_ranges_guard_load_balancer_addresses(ranges: list[str], sender: str, expected: Fate) -> None:
    ruleset = rules(HERE, loadBalancerSourceRanges=ranges, **ALL_ADDRESSES)
    assert Tracer(ruleset).packet(sender, LOAD_BALANCER_IP, "tcp", PORT) == expected


@pytest.mark.parametrize("address", ["cluster IP", "node port", "external IP"])
def test_source_ranges_guard_nothing_else(address: str) -> None:
    ruleset = rules(HERE, loadBalancerSourceRanges=["192.168.0.0/16"], **ALL_ADDRESSES)
    assert fate(ruleset, "outside", address) == hidden(AT_HERE)


@pytest.mark.parametrize("entry", [{"ip": LOAD_BALANCER_IP, "ipMode": "Proxy"}, {"hostname": "lb.example"}], ids=str)
def test_load_balancer_that_is_a_proxy_or_a_name_has_no_rules(entry: dict[str, str]) -> None:
    ruleset = rules(HERE, status={"loadBalancer": {"ingress": [entry]}})
    assert fate(ruleset, "outside", "load balancer IP") == UNTOUCHED


@pytest.mark.parametrize(
    ("dst", "protocol", "port", "expected"),
    [
        pytest.param(NODE_IP, "tcp", PORT, UNTOUCHED, id="service port at the node's address"),
        pytest.param(NODE_IP, "udp", NODE_PORT, UNTOUCHED, id="node port of another protocol"),
        pytest.param("10.0.1.1", "tcp", NODE_PORT, UNTOUCHED, id="node port at the node's other address"),
        pytest.param("10.100.0.3", "tcp", NODE_PORT, UNTOUCHED, id="node port of another node"),
        pytest.param(CLUSTER_IP, "tcp", NODE_PORT, REJECTED, id="node port at the cluster IP"),
        pytest.param(CLUSTER_IP, "tcp", 81, REJECTED, id="unknown port at the cluster IP"),
        pytest.param("10.3.241.1", "tcp", PORT, DROPPED, id="service address that nobody has"),
        pytest.param("10.0.2.2", "tcp", 8080, UNTOUCHED, id="a pod by its own address"),
    ],
)
@pytest.mark.parametrize("sender", [CLIENT, POD])
def test_what_is_not_a_service_address(sender: str, dst: str, protocol: str, port: int, expected: Fate) -> None:
    tracer = Tracer(rules(HERE, THERE), node_addresses=(NODE_IP, "10.0.1.1"))
    assert tracer.packet(sender, dst, protocol, port) == expected


def test_affinity_sends_a_known_client_where_it_has_been_and_others_anywhere() -> None:
    ruleset = rules(HERE, THERE, **AFFINITY)
    there = next(name for name in ruleset.affinity_sets if "10.0.2.2" in name)
    tracer = Tracer(ruleset, remembered={there: [CLIENT]})
    assert tracer.packet(CLIENT, NODE_IP, "tcp", NODE_PORT) == hidden(AT_THERE)
    assert tracer.packet(POD, CLUSTER_IP, "tcp", PORT) == kept(*BOTH)


def test_ports_are_matched_by_name_and_each_has_its_own_endpoints() -> None:
    ports = [{"name": "http", "port": 80, "nodePort": 32213}, {"name": "metrics", "port": 90}, {"name": "other", "port": 91}]
    part = slice_of(HERE, ports={"metrics": 9090, "http": 8080})
    tracer = Tracer(render_ruleset(read_service_ports([service(ports=ports)], [part], NODE), NETWORK))
    assert tracer.packet(POD, CLUSTER_IP, "tcp", 80) == kept(AT_HERE)
    assert tracer.packet(POD, CLUSTER_IP, "tcp", 90) == kept("10.0.1.2:9090")
    assert tracer.packet(POD, CLUSTER_IP, "tcp", 91) == REJECTED


def test_endpoints_of_several_slices_are_added() -> None:
    parts = [slice_of(HERE), slice_of(THERE, ports={"http": 8081})]
    tracer = Tracer(render_ruleset(read_service_ports([service()], parts, NODE), NETWORK))
    assert tracer.packet(POD, CLUSTER_IP, "tcp", 80) == kept(AT_HERE, "10.0.2.2:8081")


@pytest.mark.parametrize(
    "change",
    [
        {"metadata": {"name": "web-x", "namespace": "other", "labels": {"kubernetes.io/service-name": "web"}}},
        {"metadata": {"name": "web-x", "namespace": "default", "labels": {"kubernetes.io/service-name": "web-2"}}},
        {
            "metadata": {
                "name": "web-x",
                "namespace": "default",
                "labels": {"kubernetes.io/service-name": "web", "service.kubernetes.io/headless": ""},
            }
        },
        {"addressType": "IPv6"},
        {"endpoints": None},
        {"ports": None},
    ],
    ids=["other namespace", "other service", "headless", "other family", "no endpoints", "no ports"],
)
def test_slice_of_something_else_or_without_content_adds_nothing(change: dict[str, Any]) -> None:
    tracer = Tracer(render_ruleset(read_service_ports([service()], [slice_of(HERE) | change], NODE), NETWORK))
    assert tracer.packet(POD, CLUSTER_IP, "tcp", 80) == REJECTED


@pytest.mark.parametrize(
    "spec",
    [
        {"clusterIP": "None"},
        {"clusterIP": ""},
        {"type": "ExternalName"},
        {"labels": {"service.kubernetes.io/service-proxy-name": "another"}},
    ],
    ids=str,
)
def test_headless_named_and_others_services_have_no_rules(spec: dict[str, Any]) -> None:
    assert rules(HERE, **spec) == render_ruleset([], NETWORK)


@pytest.mark.parametrize("protocol", ["TCP", "UDP", "SCTP"])
def test_service_serves_its_own_protocol_only(protocol: str) -> None:
    ports = [{"name": "http", "port": 80, "protocol": protocol}]
    tracer = Tracer(rules(HERE, ports=ports))
    served = {name for name in ("tcp", "udp", "sctp") if tracer.packet(POD, CLUSTER_IP, name, 80) == kept(AT_HERE)}
    assert served == {protocol.lower()}


def test_packet_for_a_pod_in_the_nodes_own_network_reaches_it_without_masquerade() -> None:
    """Delivered locally, it does not pass postrouting."""
    ruleset = rules((NODE_IP, NODE, READY))
    assert fate(ruleset, "outside", "node port") == kept(f"{NODE_IP}:8080")


@pytest.mark.parametrize(
    "rule",
    [
        "ip saddr 10.0.0.0/8 counter drop",
        "tcp dport 80 drop",
        "mark and 0x4000 == 0 drop",
        "dnat ip addr . port to numgen random mod 3 map { 0 : 10.0.1.2 . 8080 }",
        "dropped",
        "queue",
    ],
)
def test_tracer_refuses_a_rule_that_it_does_not_know(rule: str) -> None:
    chains = rules(HERE).chains | {"services": (rule,)}
    with pytest.raises(UnknownRuleError):
        Tracer(Ruleset(chains=chains, elements=rules(HERE).elements)).packet(POD, CLUSTER_IP, "tcp", PORT)


def test_tracer_comes_back_from_a_jump_and_not_from_a_goto() -> None:
    empty = dict.fromkeys(rules().chains, ())
    base = {"inner": (), "last": ("reject",)}
    for word, expected in (("jump", REJECTED), ("goto", UNTOUCHED)):
        ruleset = Ruleset(chains=empty | base | {"filter-forward": (f"{word} inner", "goto last")})
        assert Tracer(ruleset).packet(POD, "10.0.2.2", "tcp", 80) == expected
