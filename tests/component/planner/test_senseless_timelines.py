"""Entries that make no sense together, or in no time: each is refused with its key, what was found and what is allowed."""

from pathlib import Path

import pytest

from orchestrator.errors import ScenarioError
from orchestrator.experiment import load_request
from tests.component.planner.test_timeline_language import HEAD, NODE_KILL, planned, timeline

DOWN = "{at: 5s, for: 10s, fault: controlplane-down}"


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        (
            f"{DOWN}, {{at: 8s, scale: {{nodes: 4}}}}",
            "timeline[1].at: needs the API while timeline[0] has it down; found 8s; allowed: before 5s, or from 16s on",
        ),
        (f"{DOWN}, {{at: 8s, fault: node-drain, target: node-1, for: 20s}}", "timeline[1].at: needs the API while timeline[0]"),
        (f"{DOWN}, {{at: 8s, fault: node-replace, target: node-1}}", "timeline[1].at: needs the API while timeline[0]"),
        (
            f"{DOWN}, {{at: 8s, fault: node-stop, drain: true, target: node-1, for: 20s}}",
            "timeline[1].at: needs the API while timeline[0]",
        ),
        (
            "{at: 9s, fault: controlplane-down}, {at: 5s, fault: rolling-restart}",
            "timeline[1].at: needs the API while timeline[0] has it down; found 5s; allowed: before it is down",
        ),
        (
            f"{DOWN}, {{at: 1s, fault: node-drain, target: node-1, for: 8s}}",
            "timeline[1].for: needs the API when it ends, while timeline[0] has it down; found 8s; allowed: to end before 5s, or from",
        ),
        (
            "{at: 5s, phase: 4s, for: 5s, fault: controlplane-down}, {at: 12s, scale: {nodes: 4}}",
            "timeline[1].at: needs the API while timeline[0] has it down; found 12s; allowed: before 5s, or from 15s on",
        ),
        (
            "{at: 5s, for: 10s, fault: controlplane-down}, {at: 7s, every: 4s, times: 3, for: 2s, fault: agent-kill, target: node-1}",
            "timeline[1].every: strikes while what the strike before has killed waits for the API, which timeline[0] has down; found "
            "4s; allowed: 7.4s or more, or while the API answers",
        ),
        (
            "{at: 5s, for: 9s, fault: controlplane-down}, {at: 7s, for: 2s, fault: kube-proxy-kill, target: node-1}, "
            "{at: 12s, for: 2s, fault: link-down, target: node-1}",
            "timeline[2].at: strikes while what timeline[1] has killed waits for the API, which timeline[0] has down; found 12s; allowed",
        ),
        (
            "{at: 5s, for: 5s, together: [{fault: node-drain, target: node-1}, {fault: controlplane-down}]}",
            "timeline[0].together[0].fault: needs the API, which timeline[0] has down from the same instant on; found node-drain",
        ),
        (
            "{at: 5s, together: [{fault: scale, nodes: 4}, {fault: lb-kill}]}",
            "timeline[0].together[0].fault: a rescale is no fault; found scale; allowed: an entry of its own",
        ),
        (
            "{at: 5s, for: 5s, together: [{fault: lb-kill}, {fault: lb-pause}]}",
            "timeline[0].together[1].fault: strikes loadbalancer, as timeline[0].together[0] does at the same instant; found lb-pause; "
            "allowed: an entry of its own",
        ),
        (
            "{at: 5s, for: 5s, together: [{fault: node-kill, target: {count: 3}}, {fault: link-down, target: {count: 3}}]}",
            "timeline[0].together[1].target: cannot choose 3 of the nodes; found node-1, node-2, node-3, node-4, node-5, of which 3 "
            "may not be struck then; allowed: 1 to 2, or an entry of its own",
        ),
        (
            "{after: {event: node-not-ready, delay: 20s}, for: 10s, fault: lb-kill}, {at: 40s, for: 9s, fault: node-kill, target: node-2}",
            "timeline[0].after.delay: 2-node-kill brings it about at 40s at the earliest, which leaves no time to see a recovery; found "
            "20s; allowed: up to 9s",
        ),
        (
            "{after: {event: step-healed, of: node-kill}, for: 10s, fault: lb-kill}, {at: 40s, for: 10s, fault: node-kill, target: node-2}",
            "timeline[0].after.event: 2-node-kill brings it about at 50s at the earliest, which leaves no time to see a recovery; found "
            "step-healed; allowed: a shorter `for`",
        ),
        (
            "{at: 5s, for: 5s, fault: node-drain, drain_period: 5s, target: node-1}",
            "timeline[0].drain_period: is not over when the fault ends; found 5s; allowed: less than 5s",
        ),
        (
            "{at: 5s, for: 5s, fault: node-stop, drain: true, drain_period: 9s, target: node-1}",
            "timeline[0].drain_period: is not over when the fault ends; found 9s; allowed: less than 5s",
        ),
        (
            "{at: 5s, for: 5s, fault: node-stop, drain_period: 1s, target: node-1}",
            "timeline[0].drain_period: nothing is drained; allowed: with `drain: true`",
        ),
        ("{at: 5s, fault: rolling-restart, drain: false, drain_period: 1s}", "timeline[0].drain_period: nothing is drained"),
        (
            "{at: 5s, scale: {nodes: 2}, drain_period: 1s}",
            "timeline[0].drain_period: nothing is drained; allowed: with `drain: true`",
        ),
        (
            "{at: 5s, scale: {pods: 551}}",
            "timeline[0].scale.pods: more than the nodes can hold; found 551; allowed: up to 550, 110 on each",
        ),
        (
            "{at: 5s, scale: {nodes: 2, pods: 221}}",
            "timeline[0].scale.pods: more than the nodes can hold; found 221; allowed: up to 220, 110 on each",
        ),
        (
            "{at: 5s, for: 5s, fault: node-kill}",
            "timeline[0].target: is required; allowed: a node, a list, or a choice by of, labels,",
        ),
        (
            "{at: 5s, for: 5s, fault: node-kill, target: null}",
            "timeline[0].target: is required; allowed: a node, a list, or a choice",
        ),
        (
            "{at: 5s, for: 5s, fault: node-kill, target: {ratio: 0%}}",
            "timeline[0].target.ratio: is no share of the nodes; found '0%'; allowed: more than 0%, up to 100%",
        ),
        ("{at: 5s, for: 5s, fault: node-kill, target: {ratio: 101%}}", "timeline[0].target.ratio: is no share of the nodes"),
        (
            "{at: 5s, fault: rolling-restart}, {at: 15s, for: 5s, fault: link-down, target: node-2}",
            "timeline[1].at: strikes node-2 while timeline[0] has them start again (15s); found 15s; allowed: from 20s on",
        ),
        ("{at: 5s, phase: -1s, for: 5s, fault: lb-kill}", "timeline[0].phase: is too small; found -1s; allowed: more than 0s"),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path: Path, entries: str, expected: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        timeline(tmp_path, entries)
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    "entries",
    [
        f"{DOWN}, {{at: 16s, scale: {{nodes: 4}}}}",
        f"{DOWN}, {{at: 16s, for: 5s, fault: node-drain, target: node-1}}",
        f"{DOWN}, {{at: 8s, for: 5s, fault: node-stop, target: node-1}}",
        "{at: 5s, scale: {pods: 550}}",
        "{at: 5s, for: 20s, fault: controlplane-down}, {at: 7s, every: 7400ms, times: 2, for: 2s, fault: agent-kill, target: node-1}",
        "{at: 5s, for: 20s, fault: controlplane-down}, {at: 7s, every: 3s, times: 2, for: 2s, fault: agent-pause, target: node-1}",
        "{at: 5s, for: 3s, fault: controlplane-down}, {at: 7s, every: 5s, times: 2, for: 4s, fault: agent-kill, target: node-1}",
        "{at: 5s, fault: node-drain, drain_period: 9s, target: node-1}",
        "{at: 5s, fault: node-stop, drain: true, drain_period: 9s, target: node-1}",
        "{after: {event: node-not-ready, delay: 9s}, for: 10s, fault: lb-kill}, {at: 40s, for: 9s, fault: node-kill, target: node-2}",
        "{at: 5s, fault: rolling-restart}, {at: 20s, for: 5s, fault: link-down, target: node-2}",
    ],
)
def test_what_just_makes_sense_is_planned(tmp_path: Path, entries: str) -> None:
    assert timeline(tmp_path, entries)


def test_problem_that_several_members_share_is_told_once(tmp_path: Path) -> None:
    members = "[{fault: node-reboot, target: node-1}, {fault: node-reboot, target: node-2}]"
    with pytest.raises(ScenarioError) as caught:
        timeline(tmp_path, f"{{at: 5s, for: 5s, together: {members}}}")
    assert [problem.key for problem in caught.value.problems] == ["timeline[0].for"]


def test_repetitions_that_come_too_late_are_one_problem(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError) as caught:
        timeline(tmp_path, "{at: 5s, phase: 1s, every: 5s, times: 30, for: 2s, fault: link-down, target: any}")
    assert [str(problem) for problem in caught.value.problems] == [
        "timeline[0].times: strikes until 153s, with no time left to see a recovery; found 30; allowed: up to 11"
    ]
    assert len(timeline(tmp_path, "{at: 5s, phase: 1s, every: 5s, times: 11, for: 2s, fault: link-down, target: any}")) == 11


def test_replaced_nodes_get_names_that_no_other_has_had(tmp_path: Path) -> None:
    both = "{at: 5s, together: [{fault: node-replace, target: node-1}, {fault: node-replace, target: node-2}]}"
    later = "{at: 20s, fault: node-replace, target: node-7}"
    assert [step.targets for step in timeline(tmp_path, f"{both}, {later}")] == [
        ("node-1", "node-6"),
        ("node-2", "node-7"),
        ("node-7", "node-8"),
    ]


def test_next_hop_where_no_path_has_one_is_refused_in_its_own_words(tmp_path: Path) -> None:
    file = tmp_path / "small.yaml"
    entry = "timeline: [{at: 5s, for: 5s, fault: node-kill, target: next-hop}]"
    file.write_text(HEAD.replace("static-route: {next_hop: node-3}, ", "").replace("slo:", f"{entry}\n#"), encoding="utf-8")
    (file.parent / "service-test.yaml").write_bytes((NODE_KILL.parents[1] / "manifests" / "service-test.yaml").read_bytes())
    with pytest.raises(ScenarioError, match="target: no path leads through one fixed node; found next-hop; allowed: with a path"):
        load_request(file, {}, None)


def test_more_failures_than_requests_stop_nothing_and_are_refused(tmp_path: Path) -> None:
    with pytest.raises(
        ScenarioError, match=r"stop_when\[0\].failed: more than all requests of nodeport; found 12001; allowed: 1 to 12000"
    ):
        planned(tmp_path, "stop_when: [{path: nodeport, failed: 12001}]")
