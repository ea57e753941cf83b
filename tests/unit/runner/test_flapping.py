"""Faults that take a container down, again and again: each strike is armed in the life that it strikes."""

import threading

import pytest

from orchestrator.errors import ScenarioError
from orchestrator.model.plan import Plan
from orchestrator.registry import ACTIONS
from orchestrator.runner import run_timeline
from orchestrator.runner.lanes import InlineLanes
from orchestrator.runner.schedule import Stage, schedule
from orchestrator.testbed.fake_kube import FakeKube
from orchestrator.testbed.fake_world import FakeLoad, FakeWorld
from tests.unit.planner.test_planning import NODE_KILL, plan_file

FLAPS = [
    {"fault": "node-kill", "target": "node-2", "for": "2s"},
    {"fault": "node-stop", "target": "node-2", "for": "2s"},
    {"fault": "node-reboot", "target": "node-2"},
    {"fault": "gateway-reboot"},
    {"fault": "link-down", "target": "node-2", "for": "2s"},
    {"fault": "lb-kill", "for": "2s"},
    {"fault": "controlplane-down", "for": "2s"},
]

LB_HEAL = ("loadbalancer", "heal")


def planned(*timeline: dict[str, object]) -> Plan:
    return plan_file(NODE_KILL, timeline=list(timeline), slo={})


def carried_out(plan: Plan) -> FakeWorld:
    world = FakeWorld(plan, kube=FakeKube())
    world.on_control = lambda container, request: tell_start(world) if (container, request["op"]) == LB_HEAL else None
    run_timeline(plan, world, FakeLoad(world), ACTIONS, stop=threading.Event(), make_lanes=InlineLanes)
    return world


def tell_start(world: FakeWorld) -> None:
    """HAProxy answers a moment after it was healed."""
    started_ns = world.clock.now_mono_ns() + 100_000_000
    world.clock.at(started_ns, lambda: world.told("loadbalancer/lb", "haproxy-started", version="2.6", pid=42) and None)


def failures(world: FakeWorld) -> list[object]:
    return [event.fields["evidence"] for event in world.events if event.event == "step-failed"]


@pytest.mark.parametrize("flap", FLAPS, ids=lambda flap: str(flap["fault"]))
def test_every_strike_of_a_flap_is_effective(flap: dict[str, object]) -> None:
    world = carried_out(planned({**flap, "at": "6s", "every": "5s", "times": 4}))
    assert failures(world) == []
    assert world.names().count("step-effective") == 4


def test_another_fault_follows_on_the_same_node_as_soon_as_it_has_booted() -> None:
    kill = {"fault": "node-kill", "target": "node-2", "at": "10s", "for": "3s"}
    world = carried_out(planned(kill, {"fault": "link-down", "target": "node-2", "at": "15s", "for": "2s"}))
    assert failures(world) == []
    assert world.names().count("step-effective") == 2


def test_a_strike_is_armed_after_the_earlier_one_on_its_target_has_ended() -> None:
    plan = planned({"fault": "node-kill", "target": "node-2", "at": "6s", "every": "6s", "times": 2, "for": "3s"})
    assert [(round(due.at_s, 3), due.stage.name, due.step.step) for due in schedule(plan)] == [
        (1.0, "ARM", "1-node-kill-1"),
        (6.0, "INJECT", "1-node-kill-1"),
        (9.0, "HEAL", "1-node-kill-1"),
        (9.001, "ARM", "1-node-kill-2"),
        (12.0, "INJECT", "1-node-kill-2"),
        (15.0, "HEAL", "1-node-kill-2"),
    ]


def test_pods_are_chosen_when_those_that_were_killed_are_back() -> None:
    plan = planned({"fault": "pod-kill", "target": "node-2", "pods": "all", "at": "6s", "every": "2s", "times": 2})
    armed = [round(due.at_s, 3) for due in schedule(plan) if due.stage is Stage.ARM]
    # 1.5 s after the first strike it may strike again, and it is armed 0.4 s before that.
    assert armed == [1.0, 7.1]


@pytest.mark.parametrize("fault", ["node-kill", "node-stop"])
def test_a_node_that_starts_again_is_given_its_time_to_take_orders(fault: str) -> None:
    first = {"fault": fault, "target": "node-2", "at": "6s", "for": "3s"}
    message = r"strikes node-2 while timeline\[0\] has it start again \(2s\); found 10s; allowed: from 11s on"
    with pytest.raises(ScenarioError, match=message):
        planned(first, {"fault": "link-down", "target": "node-2", "at": "10s", "for": "1s"})
