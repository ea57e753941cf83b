"""What kube-proxy makes of EndpointSlices: nil conditions, protocols, duplicates, several slices. The same in both modes."""

from __future__ import annotations

from typing import Any

import pytest
from node_world import (
    CLIENT,
    CLUSTER_IP,
    IPTABLES_NETWORK,
    LOCAL,
    NETWORK,
    NODE,
    NODE_IP,
    NODE_PORT,
    POD,
    PORT,
    READY,
    UNREADY,
    service,
    slice_of,
)

from nodeagent.proxy.conntrack import Flow, read_serving
from nodeagent.proxy.health_check import plan_health_checks
from nodeagent.proxy.iptables.chains import render_tables
from nodeagent.proxy.iptables.tracer import IptablesTracer
from nodeagent.proxy.ruleset import render_ruleset
from nodeagent.proxy.services import ServicePort, read_service_ports
from nodeagent.proxy.tracer import Tracer

AT_HERE, AT_THERE = "10.0.1.2:8080", "10.0.2.2:8080"
LEAVING_WITHOUT_WORDS = {"ready": False, "terminating": True}
"""As slices of other makers have it: whether it still serves is left out."""


def ports(slices: list[dict[str, Any]], **spec: Any) -> tuple[ServicePort, ...]:
    return read_service_ports([service(**spec)], slices, NODE)


def reached(
    slices: list[dict[str, Any]],
    address: str = NODE_IP,
    number: int = NODE_PORT,
    sender: str = CLIENT,
    protocol: str = "tcp",
    **spec: Any,
) -> Any:
    """Targets of a packet, or its verdict where there are none; both modes must say the same."""
    found = ports(slices, **spec)
    fates = (
        Tracer(render_ruleset(found, NETWORK)).packet(sender, address, protocol, number),
        IptablesTracer(render_tables(found, IPTABLES_NETWORK), node_addresses={NODE_IP, "127.0.0.1"}).packet(
            sender, address, protocol, number
        ),
    )
    answers = [set(fate.targets) or fate.verdict for fate in fates]
    assert answers[0] == answers[1]
    return answers[0]


def test_an_endpoint_that_does_not_say_whether_it_serves_does() -> None:
    assert reached([slice_of(("10.0.1.2", NODE, LEAVING_WITHOUT_WORDS))]) == {AT_HERE}
    assert reached([slice_of(("10.0.1.2", NODE, LEAVING_WITHOUT_WORDS))], **LOCAL) == {AT_HERE}


def test_a_flow_to_an_endpoint_that_does_not_say_whether_it_serves_is_kept() -> None:
    udp = {"ports": [{"name": "http", "port": PORT, "protocol": "UDP"}]}
    here, there = ("10.0.1.2", NODE, {"ready": False}), ("10.0.2.2", "node-2", READY)
    serving = read_serving(ports([slice_of(here, there, protocol="UDP")], **udp))
    assert not serving.is_stale(Flow(destination=(CLUSTER_IP, PORT), reply_source=("10.0.1.2", 8080)))


def test_a_slice_port_of_another_protocol_serves_nobody() -> None:
    assert reached([slice_of(("10.0.1.2", NODE, READY), protocol="UDP")]) == "reject"
    other = slice_of(("10.0.2.2", "node-2", READY), suffix="y")
    assert reached([slice_of(("10.0.1.2", NODE, READY), protocol="UDP"), other]) == {AT_THERE}


def test_a_slice_port_without_a_protocol_is_tcp() -> None:
    item = slice_of(("10.0.1.2", NODE, READY))
    del item["ports"][0]["protocol"]
    assert reached([item]) == {AT_HERE}


def test_one_number_for_tcp_and_udp_in_one_service_leads_to_each_protocols_own_endpoints() -> None:
    both = [
        {"name": "http", "port": 53, "nodePort": NODE_PORT, "protocol": "TCP"},
        {"name": "dns", "port": 53, "nodePort": NODE_PORT, "protocol": "UDP"},
    ]
    slices = [
        slice_of(("10.0.1.2", NODE, READY)),
        slice_of(("10.0.2.2", "node-2", READY), ports={"dns": 5353}, protocol="UDP", suffix="y"),
    ]
    for address, number, sender in ((NODE_IP, NODE_PORT, CLIENT), (CLUSTER_IP, 53, POD)):
        assert reached(slices, address, number, sender, "tcp", ports=both) == {AT_HERE}
        assert reached(slices, address, number, sender, "udp", ports=both) == {"10.0.2.2:5353"}


@pytest.mark.parametrize(("first", "second", "expected"), [(UNREADY, READY, {AT_HERE}), (READY, UNREADY, "reject")])
def test_of_two_entries_for_one_address_the_last_that_is_not_terminating_counts(first: Any, second: Any, expected: Any) -> None:
    assert reached([slice_of(("10.0.1.2", NODE, first), ("10.0.1.2", NODE, second))]) == expected


@pytest.mark.parametrize(("nodes", "expected"), [(("node-2", NODE), {AT_HERE}), ((NODE, "node-2"), "drop")])
def test_of_two_entries_for_one_address_the_last_says_on_which_node_it_is(nodes: tuple[str, str], expected: Any) -> None:
    assert reached([slice_of(*(("10.0.1.2", node, READY) for node in nodes))], **LOCAL) == expected


def test_only_the_first_address_of_an_endpoint_is_used() -> None:
    item = slice_of(("10.0.1.2", NODE, READY))
    item["endpoints"][0]["addresses"].append("10.0.1.9")
    assert reached([item]) == {AT_HERE}


def test_an_endpoint_without_an_address_is_left_out() -> None:
    item = slice_of(("10.0.1.2", NODE, READY), ("10.0.1.3", NODE, READY))
    item["endpoints"][0]["addresses"] = []
    assert reached([item]) == {"10.0.1.3:8080"}


def test_endpoints_beyond_a_hundred_come_in_several_slices_and_all_are_used() -> None:
    slices = [
        slice_of(*((f"10.0.{block}.{last}", "node-2", READY) for last in range(1, 101)), suffix=str(block)) for block in (1, 2, 3)
    ]
    assert len(reached(slices)) == 300


def test_endpoints_stand_in_the_order_of_their_text() -> None:
    """`10.0.1.10:8080` is before `10.0.1.2:8080` for kube-proxy too."""
    found = ports([slice_of(*((f"10.0.1.{last}", NODE, READY) for last in (2, 10, 1)))])
    spread = next(
        rule for name, (rule, *_) in render_ruleset(found, NETWORK).chains.items() if name.startswith("service-") and "/" in name
    )
    assert spread.endswith("map { 0 : 10.0.1.10 . 8080, 1 : 10.0.1.1 . 8080, 2 : 10.0.1.2 . 8080 }")
    own = render_tables(found, IPTABLES_NETWORK).own
    assert [rules[1].split()[-1] for name, rules in own.items() if name.startswith("KUBE-SEP-")] == [
        "10.0.1.10:8080",
        "10.0.1.1:8080",
        "10.0.1.2:8080",
    ]


def test_no_endpoint_is_used_for_being_published_while_it_is_not_ready_unless_it_says_ready() -> None:
    """publishNotReadyAddresses: its maker writes ready, whatever serving and terminating say."""
    assert reached([slice_of(("10.0.1.2", NODE, {"ready": True, "serving": False, "terminating": True}))]) == {AT_HERE}


def test_a_health_check_counts_ready_endpoints_of_whatever_port() -> None:
    spec = {"type": "LoadBalancer", "healthCheckNodePort": 31000, **LOCAL}
    slices = [
        slice_of(("10.0.1.2", NODE, READY), ports={"other": 9090}),
        slice_of(("10.0.1.3", NODE, READY), protocol="UDP", suffix="y"),
    ]
    (check,) = plan_health_checks(ports(slices, **spec)).values()
    assert check.local_endpoints == 2
    assert reached(slices, **spec) == "reject"


def test_endpoints_that_this_node_leads_nobody_to_have_no_rules() -> None:
    here, there = ("10.0.1.2", NODE, {"ready": False, "serving": True, "terminating": True}), ("10.0.2.2", "node-2", READY)
    found = ports([slice_of(here, there)])
    assert render_ruleset(found, NETWORK).elements["hairpin-connections"] == {}
    targets = [
        rule for rules in render_tables(found, IPTABLES_NETWORK).own.values() for rule in rules if "--to-destination" in rule
    ]
    assert [AT_THERE in rule for rule in targets] == [True]
