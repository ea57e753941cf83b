"""BIRD and keepalived in the run's own networks, configured by the plan: routes and addresses come, go and come back."""

import dataclasses
import datetime
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.errors import CommandError
from orchestrator.model.history import Event
from orchestrator.model.plan import Plan, Role
from orchestrator.planner import plan_run
from orchestrator.registry import KINDS
from orchestrator.runner.routing_view import RoutingView
from orchestrator.scenario.loading import load_manifests, load_scenario
from orchestrator.testbed.bring_up import launched
from orchestrator.testbed.steady import await_steady_state
from orchestrator.testbed.world import Testbed
from tests.integration.testbed_lab import lab_claim

pytestmark = pytest.mark.integration

SCENARIO = Path(__file__).parents[2] / "loadtests" / "scenarios" / "routes.yaml"
DEADLINE_S = 20.0
BGP, BFD, VIP = "10.3.241.154/32", "198.51.100.10/32", "vip"
ONE, STAYING, STANDBY = "bgp-one", "vip-staying", "10.3.241.152/32"
"""A BGP path without ECMP and its destination, and a virtual address that nobody takes back."""
GOLDEN = Path(__file__).parents[1] / "unit" / "render" / "golden"


def _plan(slot: int) -> Plan:
    quick = {
        "paths.bgp.hold_time": "3s",
        "paths.bgp.keepalive": "1s",
        "paths.vip.vrrp": {"advert_interval": "100ms"},
        "paths.static-route.service": "service-vip",
        f"paths.{ONE}": {"kind": "bgp", "service": "service-test", "ecmp": False},
        f"paths.{STAYING}": {"kind": "vip", "service": "service-test", "vrrp": {"advert_interval": "100ms", "preempt": False}},
    }
    scenario = load_scenario(SCENARIO, quick)
    plan = plan_run(scenario, load_manifests(SCENARIO, scenario.manifests), KINDS, file=SCENARIO, slot=slot)
    # Nobody calls here: neither a client nor a load balancer is needed.
    kept = tuple(item for item in plan.containers if item.role not in (Role.CLIENT, Role.LOADBALANCER))
    return dataclasses.replace(plan, containers=kept)


@pytest.fixture(scope="module")
def testbed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Testbed]:
    """Control plane, gateway and three nodes of the scenario `routes`, in steady state."""
    with lab_claim(tmp_path_factory.mktemp("routing"), bare=False) as claim:
        plan = _plan(claim.slot)
        with launched(plan, claim, now=datetime.datetime.now(datetime.UTC)) as world:
            await_steady_state(world)
            yield world


def await_routes(world: Testbed) -> None:
    view = RoutingView()
    nodes = [item.name for item in world.plan.of_role(Role.NODE)]
    world.wait_state(
        view.add, lambda: view.lacking(nodes, world.plan.paths), deadline_s=DEADLINE_S, what="routes in steady state"
    )


def await_event(world: Testbed, name: str, since_ns: int, **fields: object) -> Event:
    def is_it(event: Event) -> bool:
        return event.event == name and all(event.fields.get(key) == value for key, value in fields.items())

    return world.wait_event(is_it, since_ns=since_ns, deadline_s=DEADLINE_S, what=f"{name} {fields}")


def next_hops(world: Testbed, destination: str) -> set[str]:
    shown = world.execute("gateway", ["ip", "-4", "-oneline", "route", "show", destination], deadline_s=10)
    return {words.split()[0] for words in shown.split("via ")[1:]}


def await_next_hop(world: Testbed, destination: str, node: str) -> None:
    until_s = time.monotonic() + DEADLINE_S
    while (hops := next_hops(world, destination)) != addresses(world, node):
        assert time.monotonic() < until_s, f"{destination} leads to {hops}, not to {node}"
        time.sleep(0.1)


def addresses(world: Testbed, *nodes: str) -> set[str]:
    return {str(world.plan.container(node).address) for node in nodes}


def test_gateway_s_kernel_has_every_node_as_next_hop(testbed: Testbed) -> None:
    assert next_hops(testbed, BGP) == next_hops(testbed, BFD) == addresses(testbed, "node-1", "node-2", "node-3")
    assert next_hops(testbed, "10.3.241.153/32") == addresses(testbed, "node-1", "node-2", "node-3")
    policy = testbed.execute("gateway", ["cat", "/proc/sys/net/ipv4/fib_multipath_hash_policy"], deadline_s=10)
    assert policy == "1\n"


def test_daemon_that_is_shut_down_withdraws_by_itself(testbed: Testbed) -> None:
    since_ns = testbed.clock.now_mono_ns()
    testbed.control("node-3", {"op": "stop", "process": "bird"})
    down = await_event(testbed, "bgp-session-down", since_ns, path="bgp", node="node-3")
    assert down.fields["reason"] == "Received: Administrative shutdown"
    await_event(testbed, "route-withdrawn", since_ns, destination=BGP, node="node-3")
    await_event(testbed, "route-withdrawn", since_ns, destination=BFD, node="node-3")
    assert next_hops(testbed, BGP) == addresses(testbed, "node-1", "node-2")
    testbed.control("node-3", {"op": "start", "process": "bird"})
    await_routes(testbed)


def test_silent_node_is_withdrawn_by_bfd_and_without_it_by_the_hold_time(testbed: Testbed) -> None:
    since_ns = testbed.clock.now_mono_ns()
    testbed.execute("node-2", ["ip", "link", "set", "eth0", "down"], deadline_s=10)
    try:
        assert (
            await_event(testbed, "bgp-session-down", since_ns, path="bgp-bfd", node="node-2").fields["reason"]
            == "BFD session down"
        )
        held = await_event(testbed, "bgp-session-down", since_ns, path="bgp", node="node-2")
        assert held.fields["reason"] == "Error: Hold timer expired"
        await_event(testbed, "route-withdrawn", since_ns, destination=BGP, node="node-2")
        assert next_hops(testbed, BFD) == next_hops(testbed, BGP) == addresses(testbed, "node-1", "node-3")
        # Nobody looks after this one.
        assert next_hops(testbed, "10.3.241.153/32") == addresses(testbed, "node-1", "node-2", "node-3")
    finally:
        testbed.execute("node-2", ["ip", "link", "set", "eth0", "up"], deadline_s=10)
    await_routes(testbed)


def test_virtual_address_is_with_the_first_node_that_is_there(testbed: Testbed) -> None:
    since_ns = testbed.clock.now_mono_ns()
    testbed.execute("node-1", ["ip", "link", "set", "eth0", "down"], deadline_s=10)
    try:
        # On a busy machine a node of lower priority may be quicker for a moment: it gives the address up again.
        await_event(testbed, "vip-acquired", since_ns, path=VIP, node="node-2")
    finally:
        testbed.execute("node-1", ["ip", "link", "set", "eth0", "up"], deadline_s=10)
    back = await_event(testbed, "vip-acquired", since_ns, path=VIP, node="node-1")
    await_event(testbed, "vip-released", back.t_mono_ns - 1_000_000_000, path=VIP, node="node-2")


@pytest.mark.parametrize(
    ("golden", "container", "check"),
    [
        ("bird-gateway.conf", "gateway", "bird -p -c"),
        ("bird-node.conf", "node-1", "bird -p -c"),
        ("keepalived.conf", "node-1", "keepalived --config-test --use-file"),
    ],
)
def test_real_programs_accept_the_golden_configurations(testbed: Testbed, golden: str, container: str, check: str) -> None:
    # The files that keepalived follows are those of the node's own addresses.
    text = (GOLDEN / golden).read_text(encoding="utf-8").replace("/run/testbed/", "/tmp/")
    script = f'printf %s "$1" > /tmp/{golden} && {check} /tmp/{golden}'
    testbed.execute(container, ["sh", "-c", script, "sh", text], deadline_s=10)
    with pytest.raises(CommandError):
        testbed.execute(container, ["sh", "-c", script, "sh", f"{text}\nnonsense {{"], deadline_s=10)


def test_without_ecmp_one_node_s_route_is_used_and_the_next_one_s_after_it(testbed: Testbed) -> None:
    await_next_hop(testbed, STANDBY, "node-1")
    testbed.control("node-1", {"op": "stop", "process": "bird"})
    await_next_hop(testbed, STANDBY, "node-2")
    testbed.control("node-1", {"op": "start", "process": "bird"})
    await_next_hop(testbed, STANDBY, "node-1")
    await_routes(testbed)


def test_virtual_address_stays_with_who_took_it_over_where_nobody_takes_it_back(testbed: Testbed) -> None:
    (first,) = holders(testbed, STAYING)
    since_ns = testbed.clock.now_mono_ns()
    testbed.execute(first, ["ip", "link", "set", "eth0", "down"], deadline_s=10)
    try:
        await_event(testbed, "vip-acquired", since_ns, path=STAYING)
        (heir,) = holders(testbed, STAYING) - {first}
    finally:
        testbed.execute(first, ["ip", "link", "set", "eth0", "up"], deadline_s=10)
    await_routes(testbed)
    # Ten advertisements of who has the address.
    testbed.clock.sleep_until_mono_ns(testbed.clock.now_mono_ns() + 1_000_000_000)
    assert holders(testbed, STAYING) == {heir}


def holders(world: Testbed, path: str) -> set[str]:
    """The nodes that have the path's address on an uplink."""
    address = world.plan.path(path).url.removeprefix("http://").partition(":")[0]
    nodes = [item.name for item in world.plan.of_role(Role.NODE)]
    return {node for node in nodes if f" {address}/" in world.execute(node, ["ip", "-4", "address", "show"], deadline_s=10)}


def test_real_programs_accept_what_the_plan_has_for_them(testbed: Testbed) -> None:
    testbed.execute("gateway", ["bird", "-p", "-c", "/etc/testbed/bird.conf"], deadline_s=10)
    testbed.execute("node-1", ["bird", "-p", "-c", "/etc/testbed/bird.conf"], deadline_s=10)
    testbed.execute("node-1", ["keepalived", "--config-test", "--use-file", "/etc/testbed/keepalived.conf"], deadline_s=10)


def test_node_takes_no_part_before_its_rules_stand(testbed: Testbed) -> None:
    since_ns = testbed.clock.now_mono_ns()
    for process in ("agent", "bird"):
        testbed.control("node-3", {"op": "stop", "process": process})
    await_event(testbed, "bgp-session-down", since_ns, path="bgp", node="node-3")
    testbed.control("node-3", {"op": "start", "process": "bird"})
    assert "testbed_routes.when_ready" in testbed.execute("node-3", ["ps", "-eo", "args"], deadline_s=10)
    ready_ns = testbed.clock.now_mono_ns()
    testbed.control("node-3", {"op": "start", "process": "agent"})
    assert await_event(testbed, "bgp-session-up", since_ns, path="bgp", node="node-3").t_mono_ns > ready_ns
    await_routes(testbed)


def test_deleted_service_leaves_neither_route_nor_address(testbed: Testbed) -> None:
    since_ns = testbed.clock.now_mono_ns()
    deleted = ("service-bgp", "service-vip")
    for service in deleted:
        testbed.kube.delete("services", service, namespace="default")
    for node in ("node-1", "node-2", "node-3"):
        await_event(testbed, "route-withdrawn", since_ns, destination=BGP, node=node)
        silent = await_event(testbed, "announcement", since_ns, path=VIP, node=node, is_announced=False)
        assert silent.fields["reason"] == "no such Service"
    await_event(testbed, "vip-released", since_ns, path=VIP)
    assert next_hops(testbed, BGP) == set()
    address = testbed.plan.path(VIP).url.removeprefix("http://").partition(":")[0]
    for node in ("node-1", "node-2", "node-3"):
        assert address not in testbed.execute(node, ["ip", "-4", "address", "show"], deadline_s=10)
    for manifest in testbed.plan.objects:
        if manifest["metadata"]["name"] in deleted:
            testbed.kube.apply(manifest)
    await_routes(testbed)


def test_node_that_is_drained_falls_silent_first(testbed: Testbed) -> None:
    label = "node.kubernetes.io/exclude-from-external-load-balancers"
    since_ns = testbed.clock.now_mono_ns()
    testbed.kube.patch("nodes", "node-3", {"metadata": {"labels": {label: "true"}}})
    await_event(testbed, "route-withdrawn", since_ns, destination=BGP, node="node-3")
    assert next_hops(testbed, BGP) == addresses(testbed, "node-1", "node-2")
    testbed.kube.patch("nodes", "node-3", {"metadata": {"labels": {label: None}}})
    await_routes(testbed)
