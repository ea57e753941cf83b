"""What is planned by hand is planned on the nodes that are there, whatever was brought up."""

from pathlib import Path

import pytest

from orchestrator.errors import ScenarioError
from orchestrator.experiment import load_request
from orchestrator.model.plan import Plan, Role
from orchestrator.present import plan_present
from orchestrator.scenario.entries import Entry

SCENARIO = Path(__file__).resolve().parents[3] / "loadtests" / "scenarios" / "node-kill.yaml"
REPLACED = ("node-1", "node-3", "node-4")
"""Of node-1 to node-3, after node-2 was replaced."""


def planned(nodes: tuple[str, ...] = REPLACED, **entry: object) -> Plan:
    written = Entry.model_validate({"at": "0s", **entry}) if entry else None
    return plan_present(load_request(SCENARIO, {}, None), nodes, written, lasts_s=60.0, slot=3)


def test_node_that_took_the_place_of_another_can_be_struck() -> None:
    (step,) = planned(fault="node-kill", target="node-4").timeline
    assert step.targets == ("node-4",)


def test_node_that_was_replaced_cannot_be_struck() -> None:
    with pytest.raises(ScenarioError, match=r"timeline\[1\].target: no node 'node-2'"):
        planned(fault="node-kill", target="node-2")


def test_choice_is_among_the_nodes_that_are_there() -> None:
    assert {step.targets[0] for step in planned(fault="link-down", target={"ratio": "100%"}).timeline} == set(REPLACED)


def test_rescale_adds_names_that_are_free() -> None:
    (step,) = planned(scale={"nodes": 5}).timeline
    assert step.parameters["add"] == ["node-2", "node-5"]


def test_next_hop_that_is_gone_keeps_its_route_and_refuses_nothing() -> None:
    plan = planned(("node-2", "node-4"))
    assert plan.path("static-route").entry_nodes == ("node-1",)
    assert plan.cluster["nodes"] == 2


def test_plan_says_which_nodes_are_there() -> None:
    plan = planned()
    assert tuple(item.name for item in plan.of_role(Role.NODE) if item.at_bring_up) == REPLACED
    assert plan.timeline == ()
    assert plan.slot == 3
