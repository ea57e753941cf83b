"""Faults that strike one node: planned, armed, proven, healed. The kernel's part is tested where it happens, in init."""

import threading
from ipaddress import IPv4Address, IPv4Network

import pytest

from orchestrator.contracts import Action, PlanContext
from orchestrator.errors import CommandError, DeadlineError
from orchestrator.faults.arming import EvidenceError, NodeFaultOptions
from orchestrator.faults.link_down import LinkDown
from orchestrator.faults.no_op import NoOp
from orchestrator.faults.node_kill import NodeKill
from orchestrator.faults.node_pause import NodePause
from orchestrator.model.plan import StepPlan
from orchestrator.testbed.fake_world import FakeWorld
from tests.unit.testbed.scripted_cluster import node_kill_plan

CONTEXT = PlanContext(
    nodes={"node-1": IPv4Address("10.100.0.2"), "node-2": IPv4Address("10.100.0.3")},
    all_nodes={},
    services={},
    service_network=IPv4Network("10.3.240.0/20"),
    pod_network=IPv4Network("10.0.0.0/16"),
    gateway_on_clients=IPv4Address("198.18.0.1"),
    gateway_on_nodes=IPv4Address("10.100.0.1"),
    loadbalancer=IPv4Address("198.18.0.3"),
    duration_s=60,
    controlplane=IPv4Address("10.100.0.250"),
    client=IPv4Address("198.18.0.2"),
)
IN_INIT: list[tuple[Action, str]] = [(NodePause(), "pause"), (LinkDown(), "link-down"), (NoOp(), "no-op")]
ALL: list[Action] = [NodeKill(), *(action for action, _ in IN_INIT)]
SECOND = 1_000_000_000


def planned(action: Action, for_s: float | None = 15) -> StepPlan:
    return action.plan("1", 10, for_s, NodeFaultOptions(target="node-1"), CONTEXT)


def world() -> FakeWorld:
    return FakeWorld(node_kill_plan())


def evidence_of(world: FakeWorld, event: str) -> tuple[int, str]:
    found = world.history().first(event)
    assert found is not None
    return found.t_mono_ns, str(found.fields["evidence"])


@pytest.mark.parametrize("action", ALL, ids=lambda action: action.kind)
def test_a_target_that_is_not_there_is_refused_with_what_is_allowed(action: Action) -> None:
    with pytest.raises(ValueError, match=r"target: no node 'node-9' at that instant; allowed: node-1, node-2"):
        action.plan("1", 10, 15, NodeFaultOptions(target="node-9"), CONTEXT)


@pytest.mark.parametrize("action", ALL, ids=lambda action: action.kind)
def test_every_fault_outlives_its_planned_end_in_the_target_only_by_a_margin(action: Action) -> None:
    assert planned(action).parameters["ttl_s"] == 45
    assert planned(action, None).parameters["ttl_s"] == 80


@pytest.mark.parametrize("action", ALL, ids=lambda action: action.kind)
def test_a_fault_that_init_refuses_to_arm_raises(action: Action) -> None:
    place = world()
    place.unarmable.add("node-1")
    with pytest.raises(CommandError):
        action.arm(planned(action), place, place.clock.now_mono_ns() + SECOND)


@pytest.mark.parametrize(("action", "fault"), IN_INIT, ids=lambda item: getattr(item, "kind", item))
def test_a_fault_inside_a_node_is_effective_when_init_says_so_and_healed_when_init_says_so(action: Action, fault: str) -> None:
    place, step = world(), planned(action)
    at_ns = place.clock.now_mono_ns() + SECOND
    action.arm(step, place, at_ns)
    assert place.armed["1"]["fault"] == fault
    action.inject(step, place, at_ns)
    assert evidence_of(place, "step-effective") == (at_ns, "eth0 down")
    action.heal(step, place)
    assert evidence_of(place, "step-healed")[1] == "as before"
    action.heal(step, place)  # idempotent


@pytest.mark.parametrize(("action", "fault"), [*IN_INIT, (NodeKill(), "power-off")], ids=lambda item: getattr(item, "kind", item))
def test_a_fault_without_evidence_is_no_fault(action: Action, fault: str) -> None:
    place, step = world(), planned(action)
    place.without_effect.add(fault)
    at_ns = place.clock.now_mono_ns() + SECOND
    action.arm(step, place, at_ns)
    with pytest.raises(DeadlineError, match=f"evidence of {action.kind} in node-1"):
        action.inject(step, place, at_ns)
    assert place.history().first("step-effective") is None


def test_a_fault_that_failed_in_the_target_says_why() -> None:
    place, step = world(), planned(LinkDown())
    place.told("node-1/init", "fault-failed", id="1", evidence="fire: links still up: eth0 up")
    with pytest.raises(EvidenceError, match="links still up: eth0 up"):
        LinkDown().inject(step, place, place.clock.now_mono_ns())


def test_a_kill_is_effective_at_the_instant_the_links_went_down_and_proven_by_the_death() -> None:
    place, action = world(), NodeKill()
    step = planned(action)
    at_ns = place.clock.now_mono_ns() + SECOND
    action.arm(step, place, at_ns)
    action.inject(step, place, at_ns)
    assert evidence_of(place, "step-effective") == (at_ns, "eth0 down; the engine saw it die with status 99")
    assert not place.is_running("node-1")


def test_a_killed_node_is_healed_by_a_start_and_proven_by_its_boot() -> None:
    place, action = world(), NodeKill()
    step = planned(action)
    at_ns = place.clock.now_mono_ns() + SECOND
    action.arm(step, place, at_ns)
    action.inject(step, place, at_ns)
    place.clock.advance(at_ns + 15 * SECOND)
    action.heal(step, place)
    assert place.is_running("node-1")
    assert evidence_of(place, "step-healed") == (at_ns + 15 * SECOND, "booted, routes set")


def test_a_kill_that_is_healed_before_its_instant_never_strikes() -> None:
    place, action = world(), NodeKill()
    step = planned(action)
    at_ns = place.clock.now_mono_ns() + SECOND
    action.arm(step, place, at_ns)
    action.heal(step, place)
    place.clock.advance(at_ns + SECOND)
    assert place.is_running("node-1")
    assert ("start", "node-1") not in place.calls


def test_healing_twice_starts_a_node_once() -> None:
    place, action = world(), NodeKill()
    place.running.discard("node-1")
    action.heal(planned(action), place)
    action.heal(planned(action), place)
    assert place.calls.count(("start", "node-1")) == 1


def test_waits_for_evidence_end_with_the_run() -> None:
    from orchestrator.errors import InterruptedRunError

    place, action, stop = world(), NoOp(), threading.Event()
    stop.set()
    with pytest.raises(InterruptedRunError):
        action.inject(planned(action), place.under(stop), place.clock.now_mono_ns())
