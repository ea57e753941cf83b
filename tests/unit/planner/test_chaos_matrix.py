"""A chaos experiment unrolled: every fault as often as there are trials, the same for a seed."""

from pathlib import Path

import pytest

from orchestrator.chaos import load_chaos_request
from orchestrator.errors import ScenarioError
from orchestrator.registry import ACTIONS

ROOT = Path(__file__).resolve().parents[3]
DEFAULT = ROOT / "loadtests" / "chaos" / "default.yaml"

TEXT = """\
name: small
question: Which?
scenario: {scenario}
faults: [{{fault: node-kill, target: any}}, {{fault: lb-reload, for: null}}, {{fault: link-down, target: next-hop, for: 2s}}]
at: 3s
for: 5s
recovery: 4s
phase: 1s
trials: 3
seed: 1
"""


def experiment(tmp_path: Path, text: str = TEXT) -> Path:
    file = tmp_path / "chaos.yaml"
    file.write_text(text.format(scenario=ROOT / "loadtests" / "scenarios" / "node-kill.yaml"), encoding="utf-8")
    return file


def test_every_fault_runs_as_often_as_there_are_trials_in_a_shuffled_order(tmp_path: Path) -> None:
    cells = load_chaos_request(experiment(tmp_path)).cells
    found = [(cell.number, cell.trial) for cell in cells]
    assert sorted(found) == [(number, trial) for number in (1, 2, 3) for trial in (1, 2, 3)]
    assert found != sorted(found)
    assert [(cell.number, cell.trial) for cell in load_chaos_request(experiment(tmp_path)).cells] == found
    assert [(cell.number, cell.trial) for cell in load_chaos_request(experiment(tmp_path), seed=2).cells] != found


def test_a_cell_is_the_scenario_with_one_fault_and_no_objective(tmp_path: Path) -> None:
    request = load_chaos_request(experiment(tmp_path))
    for cell in request.cells:
        plan = request.load(cell).plan(trial=cell.trial)
        (step,) = plan.timeline
        assert 3.0 <= step.at_s < 4.0
        assert step.for_s == {1: 5.0, 2: None, 3: 2.0}[cell.number]
        assert plan.slos == ()
        assert plan.load.duration_s == 13.0
        assert [path.name for path in plan.paths] == ["static-route", "nodeport", "service-port-on-node"]


def test_faults_of_one_trial_strike_at_the_same_phase_so_that_they_can_be_paired(tmp_path: Path) -> None:
    request = load_chaos_request(experiment(tmp_path))
    for trial in (1, 2, 3):
        assert len({request.load(cell).plan(trial=trial).timeline[0].at_s for cell in request.cells if cell.trial == trial}) == 1


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("target: any}}", "target: node-9}}", "chaos.yaml: faults[0].target: no node 'node-9'"),
        ("lb-reload, for: null", "moon", "chaos.yaml: faults[1].fault: unknown fault; found 'moon'"),
        ("trials: 3", "trials: none", "chaos.yaml: trials: "),
        ("seed: 1", "sead: 1", "chaos.yaml: sead: unknown key (did you mean 'seed'?)"),
    ],
)
def test_what_cannot_run_is_refused_before_anything_starts(tmp_path: Path, old: str, new: str, expected: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        load_chaos_request(experiment(tmp_path, TEXT.replace(old, new)))
    assert expected in str(caught.value)


def test_shipped_experiment_strikes_every_kind_of_fault_flaps_and_rescales() -> None:
    request = load_chaos_request(DEFAULT)
    entries = [cell.scenario.timeline[0] for cell in request.cells]
    # A rolling restart takes longer than a cell, and has a scenario of its own.
    assert {entry.kind for entry in entries} == set(ACTIONS) - {"rolling-restart"}
    assert [entry.times for entry in entries if entry.times is not None] == [4]
