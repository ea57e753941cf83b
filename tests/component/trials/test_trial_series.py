"""Several trials as one result: what is written, what counts, and the exit code."""

from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from orchestrator.errors import ExitCode, UsageError
from orchestrator.judge import judge
from orchestrator.metrics.trials import MINIMUM_TRIALS
from orchestrator.model.trials import Change
from orchestrator.report.outcome_json import OutcomeJson
from orchestrator.report.trials import render_trials
from orchestrator.slo import judge_objective
from orchestrator.store import RunDirectory, create_run_directory
from orchestrator.trials import assess_series, exit_code_of, read_baseline, save_series
from tests.unit.judge.outcome_builder import class_measured, load_sent, measured, offering_a_thousand, outage
from tests.unit.metrics.sample_builder import real_plan


def trial(results: Path, run_id: str, *, ok: int = 990, convergence_s: float | None = 5.0, late: bool = False) -> RunDirectory:
    directory = create_run_directory(results, "node-kill", run_id)
    found = replace(measured(), classes=(class_measured(ok=ok),), outages=(outage(convergence_s=convergence_s),))
    if late:
        found = replace(found, load=load_sent(lateness_p99_ms=50.0))
    plan = replace(offering_a_thousand(real_plan()), slos=())
    outcome = judge(plan, found, run_id=run_id, judge_objective=judge_objective, versions={})
    (directory.path / OutcomeJson.file).write_text(OutcomeJson().render(outcome, plan), encoding="utf-8")
    return directory


def trials(results: Path, name: str, *oks: int) -> list[RunDirectory]:
    return [trial(results, f"{name}{index}", ok=ok) for index, ok in enumerate(oks)]


def test_medians_and_intervals_of_the_trials(tmp_path: Path) -> None:
    series = assess_series(trials(tmp_path, "r", 980, 984, 986, 988, 990, 992))
    (availability,) = [item for item in series.summaries if item.metric == "availability"]
    assert availability.estimate.median == pytest.approx(0.987)
    assert availability.estimate.is_conclusive
    assert series.runs == ("r0", "r1", "r2", "r3", "r4", "r5")


def test_a_trial_that_was_not_well_measured_does_not_count(tmp_path: Path) -> None:
    series = assess_series([*trials(tmp_path, "r", 990, 990), trial(tmp_path, "late", ok=100, late=True)])
    (availability,) = [item for item in series.summaries if item.metric == "availability"]
    assert (availability.estimate.count, availability.estimate.median) == (2, pytest.approx(0.99))
    assert series.verdicts == ("pass", "pass", "invalid")


def test_the_same_trials_are_no_regression(tmp_path: Path) -> None:
    before = save_series(assess_series(trials(tmp_path, "a", *range(980, 992, 2))), tmp_path / "node-kill")
    series = assess_series(trials(tmp_path, "b", *range(980, 992, 2)), baseline=before)
    assert {item.change for item in series.comparisons} == {Change.NONE}
    assert exit_code_of(series, [0] * 6) is ExitCode.PASS


def test_trials_that_lose_more_are_a_regression_with_a_status_of_its_own(tmp_path: Path) -> None:
    before = save_series(assess_series(trials(tmp_path, "a", *range(980, 992))), tmp_path / "node-kill")
    series = assess_series(trials(tmp_path, "b", *range(900, 912)), baseline=before)
    assert [item.change for item in series.comparisons if item.metric == "availability"] == [Change.REGRESSION]
    assert exit_code_of(series, [0] * 12) is ExitCode.REGRESSION


def test_too_few_trials_are_inconclusive(tmp_path: Path) -> None:
    before = save_series(assess_series(trials(tmp_path, "a", 990, 991)), tmp_path / "node-kill")
    series = assess_series(trials(tmp_path, "b", 100, 101), baseline=before)
    assert {item.change for item in series.comparisons} == {Change.INCONCLUSIVE}
    assert exit_code_of(series, [0, 0]) is ExitCode.INVALID


def test_a_baseline_with_nothing_in_common_tells_nothing_and_does_not_pass(tmp_path: Path) -> None:
    before = save_series(assess_series(trials(tmp_path, "a", *range(980, 992))), tmp_path / "node-kill")
    other = replace(assess_series(trials(tmp_path, "b", 990), baseline=before), comparisons=())
    assert exit_code_of(other, [0]) is ExitCode.INVALID
    console = Console(width=140)
    with console.capture() as shown:
        console.print(render_trials(other, minimum_trials=MINIMUM_TRIALS))
    assert "inconclusive: the baseline has no path and class in common" in shown.get()


def test_the_worst_trial_decides_without_a_baseline(tmp_path: Path) -> None:
    series = assess_series(trials(tmp_path, "a", 990, 991))
    assert exit_code_of(series, [0, 1]) is ExitCode.SLO_FAILED


def test_what_is_no_baseline_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"baseline .*none.json: No such file"):
        read_baseline(tmp_path / "none.json")
    (tmp_path / "x.json").write_text("{}")
    with pytest.raises(UsageError, match=r"x.json: is no trials.json"):
        read_baseline(tmp_path / "x.json")
    file = save_series(assess_series([trial(tmp_path, "late", late=True)]), tmp_path / "node-kill")
    with pytest.raises(UsageError, match=r"none of its 1 trials was valid"):
        read_baseline(file)


def test_the_terminal_shows_medians_intervals_and_changes(tmp_path: Path) -> None:
    before = save_series(assess_series(trials(tmp_path, "a", *range(980, 992))), tmp_path / "node-kill")
    series = assess_series(trials(tmp_path, "b", *range(900, 912)), baseline=before)
    console = Console(width=140, record=True, file=None, quiet=False)
    with console.capture() as shown:
        console.print(render_trials(series, minimum_trials=MINIMUM_TRIALS))
    text = shown.get()
    assert "node-kill: 12 trials (12 pass)" in text
    assert "90.550 %" in text
    assert "regression" in text


def test_few_trials_say_that_there_is_no_interval(tmp_path: Path) -> None:
    console = Console(width=140)
    with console.capture() as shown:
        console.print(render_trials(assess_series(trials(tmp_path, "a", 990)), minimum_trials=MINIMUM_TRIALS))
    assert "no interval: it takes 6 valid trials" in shown.get()
