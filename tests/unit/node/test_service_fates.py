"""What becomes of a packet to a service: the rendered rules of both modes, walked as the kernel would."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from node_world import (
    ALL_ADDRESSES,
    AT_HERE,
    AT_THERE,
    BRIDGE_IP,
    CLIENT,
    CLUSTER_IP,
    EXTERNAL_IP,
    GONE,
    HERE,
    INTERNAL_LOCAL,
    LEAVING,
    LOAD_BALANCER_IP,
    LOCAL,
    MODES,
    NETWORKS,
    NODE,
    NODE_IP,
    NODE_PORT,
    POD,
    POD_ELSEWHERE,
    PORT,
    READY,
    THERE,
    UNREADY,
    AnyTracer,
    Endpoint,
    World,
    hidden,
    kept,
    rules,
    service,
    slice_of,
    trace,
)

from nodeagent.proxy.fate import Fate, UnknownRuleError
from nodeagent.proxy.iptables.chains import render_tables
from nodeagent.proxy.ruleset import Ruleset, render_ruleset
from nodeagent.proxy.services import read_service_ports
from nodeagent.proxy.tracer import Tracer

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


@pytest.fixture(params=MODES)
def world(request: pytest.FixtureRequest) -> World:
    return World(request.param)


def fate(tracer: AnyTracer, sender: str, address: str) -> Fate:
    itself = sender == "the node itself"
    # To its own address a node speaks from that very address; the choice of it is the routing table's, not the rules'.
    return tracer.packet(SENDERS[sender], ADDRESSES[address][0], "tcp", ADDRESSES[address][1], from_node_itself=itself)


@pytest.mark.parametrize(
    ("sender", "expected"),
    [
        ("a pod here", kept(*BOTH)),
        ("a pod elsewhere", kept(*BOTH)),
        ("outside", hidden(*BOTH)),
        ("the node itself", hidden(*BOTH)),
    ],
)
def test_cluster_ip_is_masqueraded_unless_the_source_is_a_pod(world: World, sender: str, expected: Fate) -> None:
    assert fate(world.serving(HERE, THERE), sender, "cluster IP") == expected


@pytest.mark.parametrize("sender", SENDERS)
@pytest.mark.parametrize("address", FROM_OUTSIDE)
def test_policy_cluster_is_always_masqueraded(world: World, sender: str, address: str) -> None:
    assert fate(world.serving(HERE, THERE, **ALL_ADDRESSES), sender, address) == hidden(*BOTH)


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
    ],
)
def test_external_policy_local(world: World, address: str, sender: str, endpoints: tuple[Endpoint, ...], expected: Fate) -> None:
    assert fate(world.serving(*endpoints, **LOCAL, **ALL_ADDRESSES), sender, address) == expected


def test_what_nothing_leads_to_has_no_rules_of_its_own(world: World) -> None:
    """The cluster's list where only policy Local leads to the service, the node's own where nothing is Local."""
    cases = {
        "cluster": ({"ports": [{"name": "http", "port": PORT}]}, {"service-", "KUBE-SVC-"}),
        "internal local": ({"ports": [{"name": "http", "port": PORT}], **INTERNAL_LOCAL}, {"local-", "KUBE-SVL-"}),
        "node port": ({}, {"service-", "external-", "KUBE-SVC-", "KUBE-EXT-"}),
        # What comes from inside is sent to the cluster's list.
        "external local": (LOCAL, {"service-", "external-", "local-", "KUBE-SVC-", "KUBE-EXT-", "KUBE-SVL-"}),
    }
    for what, (spec, expected) in cases.items():
        ports = read_service_ports([service(**spec)], [slice_of(HERE, THERE)], NODE)
        if world.mode == "nftables":
            chains = {name.partition("-")[0] + "-" for name in render_ruleset(ports, NETWORKS["nftables"]).chains if "/" in name}
        else:
            own = render_tables(ports, NETWORKS["iptables"]).own
            chains = {name[:9] for name in own if not name.startswith("KUBE-SEP-")}
        assert chains == {name for name in expected if name.startswith("KUBE-") is (world.mode == "iptables")}, what


@pytest.mark.parametrize(
    ("address", "spec"),
    [
        ("external IP", {"externalIPs": [EXTERNAL_IP]}),
        ("load balancer IP", {"status": ALL_ADDRESSES["status"]}),
    ],
)
def test_one_way_from_outside_is_enough_for_policy_local(world: World, address: str, spec: dict[str, Any]) -> None:
    """Without a node port: a Service is externally accessible by any of its addresses."""
    tracer = world.serving(HERE, THERE, ports=[{"name": "http", "port": PORT}], **LOCAL, **INTERNAL_LOCAL, **spec)
    assert fate(tracer, "outside", address) == kept(AT_HERE)
    assert fate(tracer, "a pod elsewhere", address) == kept(*BOTH)
    assert fate(tracer, "a pod here", "cluster IP") == kept(AT_HERE)


def test_external_policy_local_hides_the_pod_that_reaches_itself(world: World) -> None:
    """Where nothing is taken for a pod there is no short cut, and even then a pod would not know its own address as a client's."""
    ports = read_service_ports([service(**LOCAL)], [slice_of(HERE, THERE)], NODE)
    tracer = trace(world.mode, ports, network=dataclasses.replace(NETWORKS[world.mode], local_pods=None))
    assert tracer.packet("10.0.1.2", NODE_IP, "tcp", NODE_PORT) == hidden(AT_HERE)
    assert tracer.packet(POD, NODE_IP, "tcp", NODE_PORT) == kept(AT_HERE)


def test_masquerade_takes_a_source_port_at_random(world: World) -> None:
    """`--random-fully`: it is not the client's even where that is free."""
    ports = read_service_ports([service()], [slice_of(HERE)], NODE)
    if world.mode == "nftables":
        rules = render_ruleset(ports, NETWORKS["nftables"]).chains["masquerading"]
        assert [rule.endswith("masquerade fully-random") for rule in rules] == [True, True]
    else:
        rules = render_tables(ports, NETWORKS["iptables"]).shared["nat"]["KUBE-POSTROUTING"]
        assert rules[-1].endswith("-j MASQUERADE --random-fully")


def test_endpoints_meant_for_another_zone_are_not_used(world: World) -> None:
    part = slice_of(HERE, THERE)
    for entry, zone in zip(part["endpoints"], "ab", strict=True):
        entry["hints"] = {"forZones": [{"name": zone}]}
    zoned, elsewhere = (trace(world.mode, read_service_ports([service()], [part], NODE, zone)) for zone in ("a", ""))
    for sender, address, sent in (("a pod here", "cluster IP", kept), ("outside", "node port", hidden)):
        assert fate(zoned, sender, address) == sent(AT_HERE)
        assert fate(elsewhere, sender, address) == sent(*BOTH)


def test_external_policy_local_does_not_concern_the_cluster_ip(world: World) -> None:
    assert fate(world.serving(THERE, **LOCAL), "a pod here", "cluster IP") == kept(AT_THERE)


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
    world: World, address: str, endpoints: tuple[Endpoint, ...], expected: Fate
) -> None:
    assert fate(world.serving(*endpoints, **INTERNAL_LOCAL), "a pod here", address) == expected


HELD_BACK = {"ready": False, "serving": True, "terminating": False}


def test_endpoint_that_is_neither_ready_nor_leaving_is_not_even_a_last_resort(world: World) -> None:
    assert fate(world.serving(("10.0.1.3", NODE, HELD_BACK)), "outside", "node port") == REJECTED


@pytest.mark.parametrize("policies", [{}, LOCAL, INTERNAL_LOCAL, LOCAL | INTERNAL_LOCAL], ids=str)
@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize("sender", SENDERS)
def test_without_any_endpoint_every_address_rejects(world: World, policies: dict[str, Any], address: str, sender: str) -> None:
    tracer = world.serving(("10.0.1.2", NODE, UNREADY), ("10.0.2.2", "node-2", GONE), **ALL_ADDRESSES, **policies)
    # KUBE-EXTERNAL-SERVICES is not met by what the node itself sends to an address that is not its own.
    unmet = world.mode == "iptables" and sender == "the node itself" and address in ("external IP", "load balancer IP")
    assert fate(tracer, sender, address) == (UNTOUCHED if unmet else REJECTED)


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
def test_which_endpoints_are_used(
    world: World, endpoints: tuple[Endpoint, ...], cluster: tuple[str, ...], local: tuple[str, ...]
) -> None:
    tracer = world.serving(*endpoints, **LOCAL)
    assert fate(tracer, "a pod here", "cluster IP").targets == cluster
    assert fate(tracer, "outside", "node port").targets == local


def test_endpoint_without_a_node_is_not_local(world: World) -> None:
    part = slice_of(HERE)
    del part["endpoints"][0]["nodeName"]
    tracer = world.of([service(**LOCAL)], [part])
    assert fate(tracer, "outside", "node port") == DROPPED


@pytest.mark.parametrize(
    ("sender", "target", "modes"),
    [
        pytest.param("10.0.1.2", AT_HERE, MODES, id="itself: else it would answer itself directly"),
        pytest.param("10.0.1.2", AT_THERE, (), id="another"),
        # The set of hairpins holds the node's own endpoints, the chains of iptables mark the traffic of every one.
        pytest.param("10.0.2.2", AT_THERE, ("iptables",), id="itself on another node"),
    ],
)
def test_pod_that_reaches_itself_is_masqueraded(world: World, sender: str, target: str, modes: tuple[str, ...]) -> None:
    found = world.serving(HERE, THERE).packet(sender, CLUSTER_IP, "tcp", PORT)
    assert found.targets == BOTH
    assert (target in found.masqueraded_targets) is (world.mode in modes)
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
        ([" 198.18.0.0/24 "], CLIENT, hidden(AT_HERE)),
        (["192.168.0.0/16"], LOAD_BALANCER_IP, DROPPED),
        (["10.100.0.0/24"], LOAD_BALANCER_IP, hidden(AT_HERE)),
    ],
)
def test_source_ranges_guard_load_balancer_addresses(world: World, ranges: list[str], sender: str, expected: Fate) -> None:
    tracer = world.serving(HERE, loadBalancerSourceRanges=ranges, **ALL_ADDRESSES)
    assert tracer.packet(sender, LOAD_BALANCER_IP, "tcp", PORT) == expected


@pytest.mark.parametrize("address", ["cluster IP", "node port", "external IP"])
def test_source_ranges_guard_nothing_else(world: World, address: str) -> None:
    tracer = world.serving(HERE, loadBalancerSourceRanges=["192.168.0.0/16"], **ALL_ADDRESSES)
    assert fate(tracer, "outside", address) == hidden(AT_HERE)


@pytest.mark.parametrize("entry", [{"ip": LOAD_BALANCER_IP, "ipMode": "Proxy"}, {"hostname": "lb.example"}], ids=str)
def test_load_balancer_that_is_a_proxy_or_a_name_has_no_rules(world: World, entry: dict[str, str]) -> None:
    tracer = world.serving(HERE, status={"loadBalancer": {"ingress": [entry]}})
    assert fate(tracer, "outside", "load balancer IP") == UNTOUCHED


@pytest.mark.parametrize(
    ("dst", "protocol", "port", "nftables", "iptables"),
    [
        pytest.param(NODE_IP, "tcp", PORT, UNTOUCHED, UNTOUCHED, id="service port at the node's address"),
        pytest.param(NODE_IP, "udp", NODE_PORT, UNTOUCHED, UNTOUCHED, id="node port of another protocol"),
        pytest.param(BRIDGE_IP, "tcp", NODE_PORT, UNTOUCHED, hidden(*BOTH), id="node port at the node's other address"),
        pytest.param("10.100.0.3", "tcp", NODE_PORT, UNTOUCHED, UNTOUCHED, id="node port of another node"),
        pytest.param(CLUSTER_IP, "tcp", NODE_PORT, REJECTED, UNTOUCHED, id="node port at the cluster IP"),
        pytest.param(CLUSTER_IP, "tcp", 81, REJECTED, UNTOUCHED, id="unknown port at the cluster IP"),
        pytest.param("10.3.241.1", "tcp", PORT, DROPPED, UNTOUCHED, id="service address that nobody has"),
        pytest.param("10.0.2.2", "tcp", 8080, UNTOUCHED, UNTOUCHED, id="a pod by its own address"),
    ],
)
@pytest.mark.parametrize("sender", [CLIENT, POD])
def test_what_is_not_a_service_address(
    world: World, sender: str, dst: str, protocol: str, port: int, nftables: Fate, iptables: Fate
) -> None:
    expected = {"nftables": nftables, "iptables": iptables}[world.mode]
    assert world.serving(HERE, THERE).packet(sender, dst, protocol, port) == expected


def test_ports_are_matched_by_name_and_each_has_its_own_endpoints(world: World) -> None:
    ports = [{"name": "http", "port": 80, "nodePort": 32213}, {"name": "metrics", "port": 90}, {"name": "other", "port": 91}]
    part = slice_of(HERE, ports={"metrics": 9090, "http": 8080})
    tracer = world.of([service(ports=ports)], [part])
    assert tracer.packet(POD, CLUSTER_IP, "tcp", 80) == kept(AT_HERE)
    assert tracer.packet(POD, CLUSTER_IP, "tcp", 90) == kept("10.0.1.2:9090")
    assert tracer.packet(POD, CLUSTER_IP, "tcp", 91) == REJECTED


def test_endpoints_of_several_slices_are_added(world: World) -> None:
    parts = [slice_of(HERE), slice_of(THERE, ports={"http": 8081})]
    tracer = world.of([service()], parts)
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
def test_slice_of_something_else_or_without_content_adds_nothing(world: World, change: dict[str, Any]) -> None:
    tracer = world.of([service()], [slice_of(HERE) | change])
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
def test_headless_named_and_others_services_have_no_rules(world: World, spec: dict[str, Any]) -> None:
    assert read_service_ports([service(**spec)], [slice_of(HERE)], NODE) == ()
    # In nftables mode what nobody has of the service network is dropped.
    expected = DROPPED if world.mode == "nftables" else UNTOUCHED
    assert fate(world.serving(HERE, **spec), "outside", "cluster IP") == expected
    assert fate(world.serving(HERE, **spec), "outside", "node port") == UNTOUCHED


@pytest.mark.parametrize("protocol", ["TCP", "UDP", "SCTP"])
def test_service_serves_its_own_protocol_only(world: World, protocol: str) -> None:
    ports = [{"name": "http", "port": 80, "protocol": protocol}]
    tracer = world.serving(HERE, ports=ports)
    served = {name for name in ("tcp", "udp", "sctp") if tracer.packet(POD, CLUSTER_IP, name, 80) == kept(AT_HERE)}
    assert served == {protocol.lower()}


def test_packet_for_a_pod_in_the_nodes_own_network_reaches_it_without_masquerade(world: World) -> None:
    """Delivered locally, it does not pass postrouting."""
    tracer = world.serving((NODE_IP, NODE, READY))
    assert fate(tracer, "outside", "node port") == kept(f"{NODE_IP}:8080")


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
