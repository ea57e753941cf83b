"""What is in place is what the containers say, not what was once injected."""

import pytest

from orchestrator.experiment import load_request
from orchestrator.in_place import find_effect
from orchestrator.model.plan import StepPlan
from orchestrator.present import plan_present
from orchestrator.registry import ACTIONS
from orchestrator.scenario.entries import Entry
from orchestrator.testbed.fake_kube import FakeKube
from orchestrator.testbed.fake_world import FakeWorld
from tests.unit.testbed.scripted_cluster import SCENARIO, node_kill_plan

SECOND = 1_000_000_000


def step(kind: str, **options: object) -> StepPlan:
    entry = Entry.model_validate({"at": "0s", "fault": kind, "target": "node-2", **options})
    nodes = ("node-1", "node-2", "node-3")
    return plan_present(load_request(SCENARIO, {}, None), nodes, entry, lasts_s=60.0, slot=0).timeline[0]


def struck(found: StepPlan) -> FakeWorld:
    world = FakeWorld(node_kill_plan(), kube=FakeKube())
    ACTIONS[found.kind].arm(found, world, SECOND)
    world.clock.sleep_until_mono_ns(2 * SECOND)
    return world


def test_fault_in_effect_is_in_place_until_it_is_healed() -> None:
    found = step("link-down")
    world = struck(found)
    assert find_effect(found, world) == "effective"
    ACTIONS["link-down"].heal(found, world)
    assert find_effect(found, world) is None


def test_fault_that_has_expired_is_not_in_place() -> None:
    found = step("link-down")
    world = struck(found)
    world.states["node-2"][found.step] = "expired"
    assert find_effect(found, world) is None


def test_fault_of_a_container_that_began_a_new_life_is_not_in_place() -> None:
    found = step("link-down")
    world = struck(found)
    world.start("node-2")
    assert find_effect(found, world) is None


def test_killed_node_is_down_until_somebody_starts_it() -> None:
    found = step("node-kill")
    world = struck(found)
    assert find_effect(found, world) == "down"
    world.start("node-2")
    assert find_effect(found, world) is None


@pytest.mark.parametrize("kind", ["node-reboot", "pod-kill", "node-replace"])
def test_momentary_fault_is_never_in_place(kind: str) -> None:
    found = step(kind)
    assert find_effect(found, struck(found)) is None


def test_drained_node_is_cordoned_until_it_takes_pods_again() -> None:
    found = step("node-drain")
    kube = FakeKube()
    world = FakeWorld(node_kill_plan(), kube=kube)
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-2"}}
    kube.put("nodes", {**node, "spec": {"unschedulable": True}})
    assert find_effect(found, world) == "cordoned"
    kube.put("nodes", {**node, "spec": {}})
    assert find_effect(found, world) is None


def test_whoever_does_not_answer_is_not_said_to_be_healed() -> None:
    found = step("node-pause")
    world = struck(found)
    world.unarmable.add("node-2")
    told = find_effect(found, world)
    assert told is not None
    assert told.startswith("not known: on node-2: `testbed-ctl` ended with status 1")
