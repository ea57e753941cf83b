"""The timeline's language: repetitions, groups, phases, triggers, choices by the seed, stop conditions; what is refused and why."""

from pathlib import Path

import pytest

from orchestrator.errors import ScenarioError
from orchestrator.experiment import load_request
from orchestrator.faults.conntrack_full import FILLING_S
from orchestrator.model.plan import Plan, StepPlan, TriggerPlan
from orchestrator.planner import plan_run
from orchestrator.registry import KINDS
from orchestrator.runner.schedule import start_ahead_s
from orchestrator.scenario.loading import load_manifests, load_scenario

NODE_KILL = Path(__file__).resolve().parents[3] / "loadtests" / "scenarios" / "node-kill.yaml"

HEAD = """\
name: small
question: Does it work?
cluster: {nodes: 5, node_labels: {node-2: {zone: a}, node-4: {zone: a}, node-5: {zone: b}}}
manifests: [service-test.yaml]
paths: {nodeport: {}, static-route: {next_hop: node-3}, service-port-on-node: {}}
load: {rate: 100/s}
duration: 60s
slo: {nodeport: {availability: ">= 99%"}, static-route/new: {availability: ">= 50%"}}
"""


def planned(tmp_path: Path, *lines: str, seed: int = 1, trial: int = 1) -> Plan:
    file = tmp_path / "small.yaml"
    file.write_text(HEAD + "\n".join(lines), encoding="utf-8")
    scenario = load_scenario(file)
    manifests = load_manifests(NODE_KILL, scenario.manifests)
    return plan_run(scenario, manifests, KINDS, file=file, seed=seed, trial=trial)


def timeline(tmp_path: Path, entry: str, *, seed: int = 1, trial: int = 1) -> tuple[StepPlan, ...]:
    return planned(tmp_path, f"timeline: [{entry}]", seed=seed, trial=trial).timeline


def test_an_entry_strikes_as_often_as_it_says(tmp_path: Path) -> None:
    steps = timeline(tmp_path, "{at: 5s, every: 10s, times: 3, for: 2s, fault: link-down, target: node-1}")
    assert [(step.step, step.at_s, step.for_s) for step in steps] == [
        ("1-link-down-1", 5.0, 2.0),
        ("1-link-down-2", 15.0, 2.0),
        ("1-link-down-3", 25.0, 2.0),
    ]
    assert {step.group for step in steps} == {None}


def test_members_of_a_group_strike_at_one_instant_with_an_end_of_their_own(tmp_path: Path) -> None:
    members = "[{fault: node-kill, target: node-1}, {fault: link-down, target: node-2, for: 3s}]"
    steps = timeline(tmp_path, f"{{at: 5s, for: 9s, together: {members}}}")
    assert [(step.kind, step.at_s, step.for_s, step.targets) for step in steps] == [
        ("node-kill", 5.0, 9.0, ("node-1",)),
        ("link-down", 5.0, 3.0, ("node-2",)),
    ]
    assert {step.group for step in steps} == {"1"}
    assert len({step.step for step in steps}) == 2


def test_each_repetition_of_a_group_is_a_group_of_its_own(tmp_path: Path) -> None:
    members = "[{fault: node-pause, target: node-1}, {fault: link-down, target: node-2}]"
    steps = timeline(tmp_path, f"{{at: 5s, every: 10s, times: 2, for: 3s, together: {members}}}")
    assert [step.group for step in steps] == ["1.1", "1.1", "1.2", "1.2"]


def test_a_phase_delays_by_the_seed_and_less_than_it_says(tmp_path: Path) -> None:
    entry = "{at: 5s, phase: 2s, fault: node-kill, target: node-1, for: 2s}"
    instants = [timeline(tmp_path, entry, seed=seed)[0].at_s for seed in range(8)]
    assert all(5.0 <= at_s < 7.0 for at_s in instants)
    assert len(set(instants)) > 4
    assert timeline(tmp_path, entry, seed=3)[0].at_s == instants[3]


def test_a_list_of_targets_becomes_a_group(tmp_path: Path) -> None:
    steps = timeline(tmp_path, "{at: 5s, fault: node-kill, for: 2s, target: [node-1, node-4]}")
    assert [(step.step, step.targets, step.group) for step in steps] == [
        ("1-node-kill-1", ("node-1",), "1"),
        ("1-node-kill-2", ("node-4",), "1"),
    ]


@pytest.mark.parametrize(
    ("target", "possible", "count"),
    [
        ("any", {"node-1", "node-2", "node-3", "node-4", "node-5"}, 1),
        ("next-hop", {"node-3"}, 1),
        ("not next-hop", {"node-1", "node-2", "node-4", "node-5"}, 1),
        ("{labels: {zone: a}}", {"node-2", "node-4"}, 2),
        ("{labels: {zone: a}, count: 1}", {"node-2", "node-4"}, 1),
        ("{ratio: 40%}", {"node-1", "node-2", "node-3", "node-4", "node-5"}, 2),
        ("{of: not next-hop, ratio: 30%}", {"node-1", "node-2", "node-4", "node-5"}, 2),
    ],
)
def test_targets_are_chosen_among_those_that_match(tmp_path: Path, target: str, possible: set[str], count: int) -> None:
    seen: set[str] = set()
    for seed in range(12):
        steps = timeline(tmp_path, f"{{at: 5s, fault: node-kill, for: 2s, target: {target}}}", seed=seed)
        assert len(steps) == count
        assert len({step.targets for step in steps}) == count
        seen.update(step.targets[0] for step in steps)
    assert seen <= possible
    assert len(seen) > 1 or len(possible) == 1


def test_a_choice_knows_the_nodes_that_joined_and_left_before(tmp_path: Path) -> None:
    entries = "{at: 5s, scale: {nodes: 1}}, {at: 20s, fault: node-kill, for: 2s, target: any}"
    assert timeline(tmp_path, entries)[1].targets == ("node-1",)
    entries = "{at: 5s, scale: {nodes: 7}}, {at: 20s, fault: node-kill, for: 2s, target: {ratio: 100%}}"
    assert timeline(tmp_path, entries)[-1].targets == ("node-7",)


def test_another_seed_changes_targets_and_phases_and_nothing_else(tmp_path: Path) -> None:
    entry = "{at: 5s, phase: 2s, fault: node-kill, for: 2s, target: any}"
    plans = [planned(tmp_path, f"timeline: [{entry}]", seed=seed) for seed in (1, 1, 2)]
    assert repr(plans[0]) == repr(plans[1])
    assert plans[0].containers == plans[2].containers
    assert plans[0].paths == plans[2].paths
    assert plans[0].timeline != plans[2].timeline


def test_a_table_has_the_time_that_it_takes_to_fill_however_early_it_is_to_be_full(tmp_path: Path) -> None:
    plan = planned(tmp_path, "timeline: [{at: 1s, for: 2s, fault: conntrack-full, target: node-1}]")
    assert start_ahead_s(plan) + 1.0 == FILLING_S


def test_trials_of_one_seed_strike_at_phases_of_their_own(tmp_path: Path) -> None:
    entry = "{at: 5s, phase: 2s, fault: node-kill, for: 2s, target: node-1}"
    assert len({timeline(tmp_path, entry, trial=trial)[0].at_s for trial in range(1, 6)}) > 3


def test_an_entry_more_does_not_move_the_choices_of_the_others(tmp_path: Path) -> None:
    entry = "{at: 5s, phase: 2s, fault: node-kill, for: 2s, target: any}"
    alone = timeline(tmp_path, entry)[0]
    assert (
        timeline(tmp_path, f"{entry}, {{at: 30s, phase: 9s, fault: node-kill, for: 2s, target: any}}")[0].targets == alone.targets
    )


def test_a_trigger_stands_in_the_plan_with_its_earliest_instant(tmp_path: Path) -> None:
    _, step = timeline(
        tmp_path,
        "{at: 5s, for: 9s, fault: node-pause, target: node-2},"
        "{at: 9s, after: {event: endpoint-not-ready, of: node-2, delay: 500ms}, fault: node-kill, target: node-1, for: 3s}",
    )
    assert step.after == TriggerPlan(event="endpoint-not-ready", of="node-2", delay_s=0.5)
    assert step.at_s == 9.0


def test_a_phase_of_a_trigger_is_drawn_from_the_event_on_and_not_from_the_start(tmp_path: Path) -> None:
    entries = (
        "{at: 5s, for: 2s, fault: node-pause, target: node-2},"
        "{at: 9s, phase: 2s, after: {event: node-ready, of: node-2, delay: 500ms}, fault: node-kill, target: node-2, for: 3s}"
    )
    steps = [timeline(tmp_path, entries, seed=seed)[1] for seed in range(8)]
    assert {step.at_s for step in steps} == {9.0}
    delays_s = [step.after.delay_s for step in steps if step.after is not None]
    assert all(0.5 <= delay_s < 2.5 for delay_s in delays_s)
    assert len(set(delays_s)) > 4


SEEDS = range(25)
BOTH = ["{at: 5s, for: 9s, fault: node-kill, target: any}", "{at: 8s, for: 9s, fault: link-down, target: any}"]


@pytest.mark.parametrize(
    "entries",
    [
        BOTH,
        BOTH[::-1],
        # What is named keeps its node from choices that meet it, also from those before it in the file and on the clock.
        ["{at: 5s, for: 9s, fault: node-kill, target: any}", "{at: 8s, for: 9s, fault: link-down, target: node-2}"],
        ["{at: 5s, fault: node-replace, target: any}", "{at: 20s, for: 9s, fault: link-down, target: node-2}"],
        ["{at: 5s, for: 9s, fault: node-kill, target: any}", "{at: 8s, scale: {nodes: 4}}"],
        ["{at: 5s, for: 9s, together: [{fault: node-kill, target: any}, {fault: link-down, target: {ratio: 60%}}]}"],
        ["{at: 5s, for: 9s, together: [{fault: node-kill, target: any}, {fault: link-down, target: node-5}]}"],
        ["{at: 5s, phase: 9s, for: 3s, fault: node-kill, target: any}", "{at: 8s, for: 3s, fault: link-down, target: any}"],
        ["{after: {event: node-not-ready}, fault: node-pause, target: any}", "{at: 5s, for: 9s, fault: node-kill, target: any}"],
        # A node is not cut off from itself.
        ["{at: 5s, for: 9s, fault: partition, from: node-2, target: any}"],
        ["{at: 5s, every: 4s, times: 5, phase: 1s, for: 2s, fault: link-down, target: any}"],
        # Armed long ahead, when the node that was struck before is not free yet.
        ["{at: 5s, for: 2s, fault: node-pause, target: any}", "{at: 9s, for: 2s, fault: conntrack-full, target: any}"],
    ],
)
def test_what_one_seed_can_be_planned_for_can_be_for_every_other(tmp_path: Path, entries: list[str]) -> None:
    chosen = set()
    for seed in SEEDS:
        steps = timeline(tmp_path, ", ".join(entries), seed=seed)
        assert [step.at_s for step in steps] == sorted(step.at_s for step in steps)
        chosen.add(tuple(step.targets for step in steps))
    assert len(chosen) > 3


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        (
            [
                "{at: 5s, for: 9s, fault: node-kill, target: any}",
                "{at: 8s, for: 9s, fault: link-down, target: {labels: {zone: a}}}",
            ],
            "timeline[1].target: cannot choose 2 of the nodes; found node-2, node-4, of which 1 may not be struck then; allowed: 1 to 1,",
        ),
        (
            ["{at: 5s, for: 9s, fault: node-kill, target: next-hop}", "{at: 8s, for: 1s, fault: link-down, target: node-3}"],
            "timeline[0].target: cannot choose 1 of the nodes; found node-3, of which 1 may not be struck then; allowed: another time",
        ),
        (
            ["{at: 50s, phase: 9s, for: 3s, fault: node-kill, target: node-1}"],
            "timeline[0].for: ends at 62s with its phase, with no time left to see a recovery; found 3s; allowed: an earlier instant",
        ),
        (
            ["{at: 50s, phase: 15s, fault: node-kill, target: node-1}"],
            "timeline[0].at: after the end of the load; found 50s, 65s with its phase; allowed: 0s to 59s",
        ),
        (
            ["{at: 5s, phase: 2s, for: 2s, every: 3s, times: 2, fault: node-pause, target: node-1}"],
            "timeline[0].every: strikes node-1 again while the strike before still does; found 3s; allowed: 4.4s or more",
        ),
        (
            ["{at: 5s, phase: 1s, for: 1s, every: 2s, times: 4, fault: link-down, target: next-hop}"],
            "of which 1 may not be struck then; allowed: another time; `every` of 2.4s or more",
        ),
        (
            ["{at: 5s, for: 2s, fault: node-pause, target: node-1}", "{at: 9s, for: 2s, fault: conntrack-full, target: node-1}"],
            "timeline[1].at: strikes node-1 too soon after timeline[0]: it takes 5s to arm; found 9s; allowed: from 12.4s on",
        ),
        (
            ["{at: 5s, phase: 5s, scale: {nodes: 4}}", "{at: 8s, for: 1s, fault: node-pause, target: node-1}"],
            "timeline[0].phase: adds or removes nodes before or after timeline[1], as the seed has it; found 5s to 10s; allowed: outs",
        ),
    ],
)
def test_what_some_seed_could_not_be_planned_for_is_refused_for_every_one(
    tmp_path: Path, entries: list[str], expected: str
) -> None:
    for seed in SEEDS:
        with pytest.raises(ScenarioError) as caught:
            timeline(tmp_path, ", ".join(entries), seed=seed)
        assert expected in str(caught.value)


def test_every_trial_is_planned_before_the_first_one_starts() -> None:
    """Which node is replaced decides here whether two with the label are left: some trial's draw makes it one."""
    changes = {
        "duration": "60s",
        "slo": {},
        "cluster.nodes": 4,
        "cluster.node_labels": {"node-3": {"zone": "a"}, "node-4": {"zone": "a"}},
        "timeline": [
            {"at": "5s", "fault": "node-replace", "target": "any"},
            {"at": "20s", "for": "1s", "fault": "no-op", "target": {"labels": {"zone": "a"}, "count": 2}},
        ],
    }
    good = next(seed for seed in range(20) if _can_be_planned(changes, seed))
    load_request(NODE_KILL, changes, good)
    with pytest.raises(ScenarioError, match=r"timeline\[1\].target: cannot choose 2"):
        load_request(NODE_KILL, {**changes, "trials": 20}, good)


def _can_be_planned(changes: dict[str, object], seed: int) -> bool:
    try:
        load_request(NODE_KILL, changes, seed)
    except ScenarioError:
        return False
    return True


KILL = "{at: 5s, for: 9s, fault: node-kill, target: node-2}"


def waiting(event: str, *, fault: str = "fault: no-op, target: node-1", **trigger: str) -> str:
    keys = ", ".join(f"{key}: {value}" for key, value in {"event": event, **trigger}.items())
    return f"{{at: 4s, after: {{{keys}}}, {fault}}}"


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        (
            [waiting("node-not-ready")],
            "event: nothing else in the timeline brings it about; found node-not-ready; allowed: another",
        ),
        (
            ["{at: 5s, fault: no-op, target: node-2}", waiting("node-ready")],
            "event: nothing else in the timeline brings it about",
        ),
        (["{at: 5s, fault: lb-kill}", waiting("pod-evicted")], "event: nothing else in the timeline brings it about"),
        (
            [KILL, waiting("bfd-down")],
            "event: no path of the scenario can tell it; found bfd-down; allowed: with a path of kind bgp",
        ),
        ([KILL, waiting("bgp-session-down")], "event: no path of the scenario can tell it"),
        (
            [KILL, waiting("vip-acquired")],
            "event: no path of the scenario can tell it; found vip-acquired; allowed: with a path of",
        ),
        (
            [KILL, waiting("node-not-ready", of="node-3")],
            "of: nothing in the timeline makes node-not-ready name it; found 'node-3'; allowed: node-2",
        ),
        (
            [KILL, waiting("node-ready", of="node-9")],
            "of: no such node in this plan; found 'node-9'; allowed: node-1, node-2, node-3",
        ),
        (
            [KILL, waiting("step-done", of="node-stop")],
            "of: nothing in the timeline makes step-done name it; found 'node-stop'; allowed: 1-node-kill, node-kill",
        ),
        (["{at: 5s, fault: node-kill, target: node-2}", waiting("step-healed")], "event: nothing else in the timeline brings it"),
        (
            [KILL, waiting("node-not-ready", delay="70s")],
            "delay: 74s is after the end of the load; found 70s; allowed: up to 55s",
        ),
        (
            [KILL, waiting("node-not-ready", delay="55500ms")],
            "delay: 59.5s leaves no time to see a recovery; found 55.5s; allowed: up to 55s",
        ),
        # Each waits for the other.
        (
            [waiting("step-done", of="lb-kill"), waiting("step-done", of="no-op", fault="fault: lb-kill")],
            "event: nothing else in the timeline brings it about; found step-done",
        ),
    ],
)
def test_what_waits_in_vain_is_refused(tmp_path: Path, entries: list[str], expected: str) -> None:
    place = next(index for index, entry in enumerate(entries) if "after" in entry)
    with pytest.raises(ScenarioError) as caught:
        timeline(tmp_path, ", ".join(entries))
    assert f"timeline[{place}].after.{expected}" in str(caught.value)


@pytest.mark.parametrize(
    "entries",
    [
        [KILL, waiting("node-not-ready", of="node-2", delay="50s")],
        [KILL, waiting("endpoint-ready", of="node-3")],
        [KILL, waiting("server-down", of="node-3")],
        [KILL, waiting("endpoint-removed", of="default/service-test")],
        [KILL, waiting("step-healed", of="1-node-kill")],
        ["{at: 5s, for: 9s, fault: controlplane-down}", waiting("node-not-ready", of="node-3")],
        ["{at: 5s, scale: {nodes: 6}}", waiting("node-ready", of="node-6")],
        ["{at: 5s, for: 9s, fault: lb-kill}", waiting("server-up")],
        [KILL, waiting("step-effective", of="node-kill"), waiting("step-done", of="no-op", fault="fault: lb-reload")],
    ],
)
def test_what_may_come_can_be_waited_for(tmp_path: Path, entries: list[str]) -> None:
    assert [step.after is not None for step in timeline(tmp_path, ", ".join(entries))].count(True) == len(entries) - 1


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (
            "{fault: node-kill, target: node-1}",
            "timeline[0]: needs an instant; found {'fault': 'node-kill', 'target': 'node-1'}; allowed: `at: 10s`, or `after:",
        ),
        (
            "{at: 1s}",
            "timeline[0]: needs one kind; found {'at': '1s'}; allowed: one of `fault: <kind>`, `together: [...]`, `scale:",
        ),
        ("{at: 1s, every: 2s, fault: no-op, target: node-1}", "timeline[0]: repeats only with both `every` and `times`"),
        ("{at: 1s, every: 2s, times: 2, scale: {nodes: 6}}", "timeline[0]: repeats a rescale"),
        ("{at: 1s, every: 2s, times: 2, fault: scale, nodes: 6}", "timeline[0]: repeats a rescale"),
        (
            "{at: 59.5s, fault: no-op, target: node-1}",
            "timeline[0].at: leaves no time to see a recovery; found 59.5s; allowed: 0s to 59s",
        ),
        (
            '{at: "59.5s", fault: no-op, target: node-1}',
            "timeline[0].at: leaves no time to see a recovery; found 59.5s; allowed: 0s to 59s",
        ),
        ("{at: 59.5, fault: no-op, target: node-1}", "timeline[0].at: is not a duration; found 59.5; allowed: a number with"),
        (
            "{at: 1s, fault: loss, ratio: 0.0000001, target: node-1}",
            "timeline[0].ratio: is too small; found 1e-05%; allowed: 0.0001% or more",
        ),
        (
            "{at: 1s, fault: node-stop, drain: true, target: any}, {at: 0s, scale: {nodes: 1}}",
            "timeline[0].drain: the only node's",
        ),
        (
            "{at: 5s, for: 9s, fault: node-drain, target: {ratio: 100%}}",
            "timeline[0]: drains nodes while no other is left for their pods: all are drained or down at once; found node-1, node-2,",
        ),
        (
            "{at: 5s, for: 9s, fault: node-drain, target: {ratio: 80%}}, {at: 9s, for: 9s, fault: node-kill, target: any}",
            "timeline[0]: drains nodes while no other is left for their pods",
        ),
        ("{at: 1s, scale: {nodes: 0}}", "timeline[0].scale.nodes: is too small; found 0; allowed: a whole number, 1 or more"),
        ("{at: 1s, scale: {nodes: 300}}", "timeline[0].scale.nodes: more nodes than addresses"),
        ("{at: 1s, scale: {nods: 3}}", "timeline[0].scale.nods: unknown key (did you mean 'nodes'?)"),
        ("{at: 1s, scale: {nodes: 4}, drain: 1}", "timeline[0].drain: has the wrong type; found 1; allowed: true or false"),
        ("{at: 1s, scale: {nodes: 5}}", "timeline[0].scale: changes nothing: there are 5 nodes already"),
        (
            "{at: 1s, scale: {pods: 7}}, {at: 9s, scale: {pods: 7}}",
            "timeline[1].scale: changes nothing: there are 5 nodes and 7 p",
        ),
        (
            "{at: 1s, scale: {pods: 7, deployment: web}}",
            "timeline[0].scale.deployment: no such Deployment in the manifests; found",
        ),
        (
            "{at: 1s, for: 3s, together: [{fault: no-op, target: node-1}, {fault: lb-reload}]}",
            "timeline[0].for: a reload has no end",
        ),
        (
            "{at: 1s, together: [{fault: no-op, target: node-1}, {fault: lb-reload, for: 3s}]}",
            "timeline[0].together[1].for: a reload has no end",
        ),
        ("{after: {event: node-ready}, every: 2s, times: 2, fault: no-op, target: node-1}", "timeline[0]: repeats upon an event"),
        (
            "{after: {event: moonrise}, fault: no-op, target: node-1}",
            "timeline[0].after.event: is not known; found 'moonrise'; allowed: bfd-down, ",
        ),
        (
            "{at: 1s, together: [{fault: no-op, target: node-1}]}",
            "timeline[0].together: has too few; found [{'fault': 'no-op', 'target': 'node-1'}]; allowed: a list of at least 2",
        ),
        (
            "{at: 1s, target: node-1, together: [{fault: no-op, target: node-1}, {fault: no-op, target: node-2}]}",
            "timeline[0]: has target beside `together`; found ",
        ),
        (
            "{at: 1s, for: 1s, together: [{fault: no-op, target: node-1}, {fault: link-down, target: node-1}]}",
            "timeline[0].together[1].target: strikes node-1, as timeline[0].together[0] does at the same instant; found node-1; allowed: ano",
        ),
        (
            "{at: 1s, together: [{fault: no-op, target: x}, {fault: ice}]}",
            "timeline[0].together[1].fault: unknown fault; found 'ice'",
        ),
        ("{at: 1s, together: [{fault: no-op, target: x}, {fault: ice}]}", "timeline[0].together[0].target: no node 'x'"),
        (
            "{at: 1s, fault: no-op, target: {labels: {zone: c}}}",
            "timeline[0].target: no node matches; found node-1, node-2 (zone: a), node-3 (next-hop), node-4 (zone: a), node-5 (zone: b)",
        ),
        ("{at: 1s, fault: no-op, target: {count: 9}}", "timeline[0].target: cannot choose 9 of the nodes"),
        ("{at: 1s, fault: no-op, target: {count: 1, ratio: 5%}}", "timeline[0].target: names both count and ratio"),
        (
            "{at: 1s, fault: no-op, target: {colour: red}}",
            "timeline[0].target.colour: unknown key; allowed: count, labels, of, ratio",
        ),
        ("{at: 1s, fault: no-op, target: [node-1, node-1]}", "timeline[0].target: names a node twice"),
        ("{at: 1s, fault: no-op, target: []}", "timeline[0].target: a list holds names"),
        (
            "{at: 50s, every: 6s, times: 3, for: 1s, fault: no-op, target: node-1}",
            "timeline[0].times: strikes until 63s, with no time left to see a recovery; found 3; allowed: up to 2",
        ),
        (
            "{at: 61s, every: 6s, times: 3, for: 1s, fault: no-op, target: node-1}",
            "timeline[0].at: after the end of the load; found 61s",
        ),
        (
            "{at: 5s, for: 70s, together: [{fault: no-op, target: node-1, for: 1s}, {fault: no-op, target: node-2, for: 80s}]}",
            "timeline[0].together[1].for: ends at 85s, with no time left to see a recovery; found 80s; allowed: up to 54s",
        ),
        (
            "{at: 5s, every: 2s, times: 2, for: 3s, fault: no-op, target: node-1}",
            "timeline[0].every: strikes node-1 again while the strike before still does; found 2s; allowed: 3.4s or more",
        ),
        (
            "{at: 5s, every: 3s, times: 4, for: 2500ms, fault: agent-kill, target: node-1}",
            "timeline[0].every: strikes node-1 again while the strike before has it start again (1s); found 3s; allowed: 3.5s or more",
        ),
        (
            "{at: 5s, every: 1s, times: 4, fault: pod-kill, target: node-1}",
            "timeline[0].every: strikes node-1 again while the strike before has it start again (1.5s); found 1s; allowed: 1.5s or more",
        ),
        (
            "{at: 5s, every: 3s, times: 4, for: 2700ms, fault: link-down, target: node-1}",
            "timeline[0].every: strikes node-1 again too soon after the strike before: it takes 0.4s to arm; found 3s; allowed: 3.1s",
        ),
        (
            "{at: 5s, every: 3s, times: 4, fault: node-pause, target: node-1}",
            "timeline[0].every: strikes node-1 again while the strike before still does; found 3s; allowed: with a `for` that ends "
            "it before: up to 2.6s",
        ),
        (
            "{at: 5s, for: 5s, fault: lb-kill}, {at: 10s, for: 5s, fault: lb-pause}",
            "timeline[1].at: strikes loadbalancer while timeline[0] has it start again (1s); found 10s; allowed: from 11s on",
        ),
        (
            "{at: 5s, for: 5s, fault: link-down, target: node-1}, {at: 10s, for: 5s, fault: loss, ratio: 1%, target: node-1}",
            "timeline[1].at: strikes node-1 too soon after timeline[0]: it takes 0.4s to arm; found 10s; allowed: from 10.4s on",
        ),
        (
            "{after: {event: node-ready}, fault: no-op, target: node-1, for: 1s}, {at: 9s, for: 1s, fault: no-op, target: node-1}",
            "timeline[1].at: strikes node-1 while timeline[0] still does; found 9s; allowed: from 60s on",
        ),
        (
            "{at: 5s, fault: link-down, target: node-1}, {at: 9s, for: 1s, fault: no-op, target: node-1}",
            "strikes node-1 while timeline[0] still does; found 9s; allowed: another target, or a `for` that ends timeline[0] before",
        ),
        (
            "{at: 5s, fault: lb-kill}, {at: 9s, fault: lb-reload}",
            "strikes loadbalancer while timeline[0] still does; found 9s; allowed: another target, or a `for` that ends timeline[0]",
        ),
    ],
)
def test_a_timeline_that_cannot_be_is_refused(tmp_path: Path, entry: str, expected: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        timeline(tmp_path, entry)
    assert expected in str(caught.value)


def test_labels_reach_the_nodes_also_those_that_join_later(tmp_path: Path) -> None:
    plan = planned(tmp_path, "timeline: [{at: 5s, scale: {nodes: 6}}]")
    settings = plan.container("node-4").config["settings"]
    assert isinstance(settings, dict)
    assert settings["labels"] == {"zone": "a"}


def test_labels_of_a_node_that_cannot_be_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "labels.yaml"
    file.write_text(HEAD.replace("node-2: {zone: a}", "knot-1: {zone: a}"), encoding="utf-8")
    scenario = load_scenario(file)
    with pytest.raises(
        ScenarioError, match=r"cluster.node_labels.knot-1: no such node; found 'knot-1'; allowed: node-1 to node-"
    ):
        plan_run(scenario, load_manifests(NODE_KILL, scenario.manifests), KINDS, file=file)


def test_an_error_budget_becomes_the_number_of_failures_that_misses_the_objective(tmp_path: Path) -> None:
    # 1 % of 100/s in 60 s: 60 failures still meet the objective.
    stops = planned(tmp_path, 'stop_when: [{path: nodeport, error_budget: "100%"}, {path: nodeport, error_budget: "50%"}]').stops
    assert [(stop.failed, stop.connection_class, stop.is_objective) for stop in stops] == [(61, None, True), (31, None, False)]


def test_an_objective_of_one_class_stops_by_that_class(tmp_path: Path) -> None:
    (stop,) = planned(tmp_path, 'stop_when: [{path: static-route, error_budget: "100%"}]').stops
    assert (stop.connection_class, stop.failed) == ("new", 3001)


def test_the_control_probe_can_stop_the_run(tmp_path: Path) -> None:
    (stop,) = planned(tmp_path, "stop_when: [{path: control, failed: 5}]").stops
    assert (stop.path, stop.failed, stop.is_objective, stop.text) == ("control", 5, False, "5 failed requests of control")


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("{path: nodprt, failed: 1}", "stop_when[0].path: no such path; found 'nodprt'; allowed: control, nodeport"),
        ("{path: service-port-on-node, failed: 1}", "stop_when[0].path: service-port-on-node is a negative control"),
        ('{path: control, error_budget: "9%"}', "stop_when[0].error_budget: control has no availability objective"),
        ("{path: nodeport}", "stop_when[0]: needs one limit; found {'path': 'nodeport'}; allowed: either"),
        ("{path: nodeport, failed: 0}", "stop_when[0].failed: is too small; found 0; allowed: a whole number, 1 or more"),
        ('{path: nodeport, error_budget: "0%"}', "stop_when[0].error_budget: is no share; found 0%; allowed: above 0%"),
    ],
)
def test_a_stop_condition_that_cannot_be_is_refused(tmp_path: Path, condition: str, expected: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        planned(tmp_path, f"stop_when: [{condition}]")
    assert expected in str(caught.value)
