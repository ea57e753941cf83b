"""What a plan's steps can damage: nodes at once, and paths wholly or in part."""

import io
import json
from collections.abc import Mapping
from contextlib import redirect_stdout
from pathlib import Path

import pytest

from orchestrator.cli.blast_radius import BlastRadius, blast_radii
from orchestrator.cli.planning import print_plan
from orchestrator.errors import ScenarioError
from orchestrator.experiment import load_request
from orchestrator.model.plan import MOMENTARY, Plan
from orchestrator.registry import ACTIONS

SCENARIO = Path(__file__).resolve().parents[3] / "loadtests" / "scenarios" / "node-kill.yaml"
NEEDED: Mapping[str, Mapping[str, object]] = {
    "loss": {"ratio": "10%"},
    "delay": {"delay": "5ms"},
    "rate": {"mbit_per_s": 10},
    "cpu-squeeze": {"cpu": "50%"},
    "scale": {"nodes": 4},
    "partition": {"from": "control-plane"},
}
"""Options that a kind cannot do without."""


def planned(*timeline: Mapping[str, object]) -> Plan:
    """node-1 is the static route's next hop; there are node-1 to node-3."""
    return load_request(SCENARIO, {"timeline": list(timeline), "slo": {}}, None).plan()


def radii(*timeline: Mapping[str, object]) -> tuple[BlastRadius, ...]:
    return blast_radii(planned(*timeline))


def test_damage_that_overlaps_is_summed_for_each_of_the_steps() -> None:
    kill = {"at": "5s", "for": "30s", "fault": "node-kill", "target": "node-1"}
    pause = {"at": "10s", "for": "20s", "fault": "node-pause", "target": "node-2"}
    assert [(item.nodes, item.nodes_there) for item in radii(kill, pause)] == [(("node-1", "node-2"), 3)] * 2


def test_damage_that_is_healed_before_is_not_summed() -> None:
    kill = {"at": "5s", "for": "5s", "fault": "node-kill", "target": "node-1"}
    pause = {"at": "10s", "for": "20s", "fault": "node-pause", "target": "node-2"}
    assert [item.nodes for item in radii(kill, pause)] == [("node-1",), ("node-2",)]


def test_fault_that_is_never_healed_lasts_until_the_end() -> None:
    kill = {"at": "5s", "fault": "node-kill", "target": "node-1"}
    assert radii(kill, {"at": "30s", "for": "1s", "fault": "node-pause", "target": "node-2"})[1].nodes == ("node-1", "node-2")


def test_reboot_is_over_when_the_next_fault_strikes() -> None:
    reboot = {"at": "5s", "fault": "node-reboot", "target": "node-1"}
    assert radii(reboot, {"at": "30s", "for": "1s", "fault": "node-pause", "target": "node-2"})[1].nodes == ("node-2",)


def test_step_upon_an_event_may_strike_at_any_time() -> None:
    upon = {"after": {"event": "node-not-ready"}, "for": "1s", "fault": "node-pause", "target": "node-2"}
    assert radii(upon, {"at": "30s", "for": "1s", "fault": "node-kill", "target": "node-1"})[1].nodes == ("node-1", "node-2")


def test_members_of_a_group_share_their_damage_and_name_the_group() -> None:
    members = [{"fault": "node-kill", "target": name} for name in ("node-1", "node-3")]
    found = radii({"at": "5s", "for": "5s", "together": members})
    assert [(item.group, item.nodes) for item in found] == [("1", ("node-1", "node-3"))] * 2


@pytest.mark.parametrize(
    ("step", "whole", "part"),
    [
        ({"fault": "node-kill", "target": "node-1", "for": "5s"}, ("static-route",), ("nodeport",)),
        ({"fault": "node-kill", "target": "node-2", "for": "5s"}, (), ("static-route", "nodeport")),
        ({"fault": "pod-kill", "target": "node-1"}, (), ("static-route", "nodeport")),
        ({"fault": "lb-kill", "for": "5s"}, ("nodeport",), ()),
        ({"fault": "lb-reload"}, ("nodeport",), ()),
        ({"fault": "gateway-reboot"}, ("static-route", "nodeport"), ()),
        ({"fault": "controlplane-down", "for": "5s"}, (), ()),
        ({"fault": "no-op", "target": "node-1", "for": "5s"}, (), ()),
        ({"scale": {"nodes": 5}}, (), ()),
        ({"scale": {"nodes": 2}}, (), ("static-route", "nodeport")),
        ({"fault": "rolling-restart"}, ("static-route",), ("nodeport",)),
        # Its kernel forwards, its rules stand: only what changes meanwhile is lost.
        ({"fault": "agent-kill", "target": "node-1", "for": "5s"}, (), ("static-route", "nodeport")),
        ({"fault": "node-pause", "target": "node-1", "for": "5s"}, (), ("static-route", "nodeport")),
        ({"fault": "node-drain", "target": "node-1", "for": "5s"}, (), ("static-route", "nodeport")),
        ({"scale": {"pods": 0}}, ("static-route", "nodeport"), ()),
        ({"scale": {"pods": 1}}, (), ()),
        ({"fault": "partition", "target": "node-1", "from": "gateway", "for": "5s"}, ("static-route",), ("nodeport",)),
        ({"fault": "partition", "target": "node-1", "from": "client", "for": "5s"}, ("static-route",), ()),
        ({"fault": "partition", "target": "node-1", "from": "load-balancer", "for": "5s"}, (), ("nodeport",)),
        ({"fault": "partition", "target": "node-1", "from": "peers", "for": "5s"}, (), ("static-route", "nodeport")),
        ({"fault": "partition", "target": "node-1", "from": "control-plane", "for": "5s"}, (), ("static-route", "nodeport")),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_paths_that_a_step_can_touch(step: Mapping[str, object], whole: tuple[str, ...], part: tuple[str, ...]) -> None:
    (found,) = radii({"at": "5s", **step})
    assert (found.whole_paths, found.part_paths) == (whole, part)


def test_path_is_taken_wholly_when_its_ways_in_are_struck_at_another_moment_than_most_nodes() -> None:
    """The first step alone takes static-route; later, with more nodes struck, its next hop is back."""
    first = {"at": "5s", "for": "30s", "fault": "link-down", "target": "node-2"}
    hop = {"at": "10s", "for": "5s", "fault": "link-down", "target": "node-1"}
    later = {"at": "20s", "for": "5s", "together": [{"fault": "link-down", "target": name} for name in ("node-1", "node-3")]}
    found = radii(first, hop, later)
    assert found[0].nodes == ("node-1", "node-2", "node-3")
    assert found[1].nodes == ("node-1", "node-2")
    assert found[1].whole_paths == ("static-route",)


@pytest.mark.parametrize(
    ("step", "whole"),
    [
        ({"fault": "node-pause", "target": {"ratio": "100%"}, "for": "5s"}, ("static-route", "nodeport")),
        ({"fault": "pod-kill", "target": {"ratio": "100%"}, "pods": "all"}, ("static-route", "nodeport")),
        ({"fault": "pod-not-ready", "target": ["node-1", "node-2"], "for": "5s"}, ()),
        ({"fault": "kube-proxy-pause", "target": {"ratio": "100%"}, "for": "5s"}, ()),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_pods_of_all_nodes_are_the_whole_path(step: Mapping[str, object], whole: tuple[str, ...]) -> None:
    assert {item.whole_paths for item in radii({"at": "5s", **step})} == {whole}


@pytest.mark.parametrize(
    ("step", "whole"),
    [
        ({"fault": "pod-kill", "target": "node-1"}, ("hostport",)),
        ({"fault": "node-pause", "target": "node-1", "for": "5s"}, ("hostport",)),
        ({"fault": "node-kill", "target": "node-1", "for": "5s"}, ("hostport",)),
        ({"fault": "node-kill", "target": "node-2", "for": "5s"}, ()),
        ({"fault": "pod-kill", "target": "node-2"}, ()),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_path_that_only_pods_of_one_node_answer_is_that_node_s(step: Mapping[str, object], whole: tuple[str, ...]) -> None:
    changes = {
        "manifests": ["hostport.yaml"],
        "paths": {"hostport": {"node": "node-1"}},
        "timeline": [{"at": "5s", **step}],
        "slo": {},
    }
    (found,) = blast_radii(load_request(SCENARIO, changes, None).plan())
    assert (found.whole_paths, found.part_paths) == (whole, ())


def test_all_ways_in_struck_at_once_take_the_whole_path() -> None:
    every = {"at": "5s", "for": "5s", "fault": "link-down", "target": {"ratio": "100%"}}
    assert radii(every)[0].whole_paths == ("static-route", "nodeport")


def test_kinds_without_an_end_are_those_that_refuse_one() -> None:
    refusing = set()
    for kind, action in ACTIONS.items():
        options = dict(NEEDED.get(kind, {}))
        if "target" in action.options.model_fields:
            options["target"] = "node-1"
        entry = {"scale": options} if kind == "scale" else {"fault": kind, **options}
        try:
            planned({"at": "5s", "for": "5s", **entry})
        except ScenarioError as error:
            if any(not problem.key.endswith(".for") for problem in error.problems):
                raise
            refusing.add(kind)
    assert refusing == MOMENTARY


def test_text_and_json_show_the_blast_radius_and_what_each_step_needs_of_the_kernel() -> None:
    plan = planned(
        {"at": "5s", "for": "5s", "fault": "delay", "target": "node-1", "delay": "5ms"},
        {"at": "20s", "for": "5s", "fault": "lb-kill"},
    )
    with redirect_stdout(io.StringIO()) as text:
        print_plan(plan, as_json=True)
    delay, lb_kill = json.loads(text.getvalue())["blast_radius"]
    assert delay["nodes"] == ["node-1"]
    assert delay["kernel_features"] == list(plan.kernel_features) != []
    assert lb_kill["whole_paths"] == ["nodeport"]
    with redirect_stdout(io.StringIO()) as text:
        print_plan(plan, as_json=False)
    assert "nodes at once" in text.getvalue()
    assert "1 of 3: node-1" in text.getvalue()
