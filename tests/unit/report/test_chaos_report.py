"""The matrix of a chaos experiment as a page and as Markdown."""

import math
from dataclasses import replace

from orchestrator.model.chaos import ChaosMatrix, ChaosResult, ChaosRun
from orchestrator.model.trials import Estimate
from orchestrator.report.chaos import render_chaos_html, render_chaos_markdown, write_result


def estimated(median: float | None, *, count: int = 2, unbounded: int = 0) -> Estimate:
    return Estimate(count=count, unbounded=unbounded, median=median, low=None, high=None)


def result(
    path: str = "nodeport", *, lost: "float | Estimate | None" = 40, lasted: float | None = 4.126, **changes: object
) -> ChaosResult:
    values: dict[str, object] = {
        "number": 1,
        "fault": "node-kill target=any",
        "path": path,
        "is_negative_control": False,
        "valid_trials": 2,
        "lost": lost if isinstance(lost, Estimate) else estimated(lost),
        "convergence": estimated(lasted),
        "bound_s": 7.1,
        **changes,
    }
    return ChaosResult(**values)  # type: ignore[arg-type]


def run(trial: int = 1, problem: str = "") -> ChaosRun:
    return ChaosRun(
        number=1,
        fault="node-kill target=any",
        trial=trial,
        run_id=f"r{trial}",
        directory=f"../../node-kill/r{trial}",
        verdict="invalid" if problem else "pass",
        targets=(f"node-{trial}",),
        problem=problem,
    )


def matrix(*results: ChaosResult, runs: tuple[ChaosRun, ...] = ()) -> ChaosMatrix:
    return ChaosMatrix(
        name="small",
        question="Which <way>?",
        seed=4,
        trials=2,
        planned=2,
        method="Each fault strikes after 3 s.",
        runs=runs or (run(1), run(2)),
        results=results,
    )


def test_a_loss_is_told_with_its_length_and_its_bound() -> None:
    assert write_result(result()) == ("40 lost", "4.13 s (bound 7.1 s)")
    assert write_result(result(bound_s=None)) == ("40 lost", "4.13 s")


def test_nothing_lost_and_nothing_measured_are_not_the_same() -> None:
    assert write_result(result(lost=0, lasted=0)) == ("nothing", "")
    assert write_result(result(valid_trials=0, lost=None, lasted=None)) == ("not measured", "")


def test_a_path_that_did_not_converge_has_no_number() -> None:
    found = result(convergence=estimated(math.inf, unbounded=1))
    assert write_result(found) == ("40 lost", "not converged in 1 of 2 (bound 7.1 s)")


def test_a_negative_control_must_be_refused() -> None:
    assert write_result(result(is_negative_control=True, lost=0)) == ("refused always", "")
    assert write_result(result(is_negative_control=True, lost=3)) == ("3 not refused", "")


def test_markdown_has_a_line_for_each_fault_and_a_column_for_each_path() -> None:
    text = render_chaos_markdown(matrix(result("static-route", lost=900), result()))
    assert "| fault | struck | static-route | nodeport |" in text
    assert "| node-kill target=any | node-1, node-2 | 900 lost 4.13 s (bound 7.1 s) | 40 lost 4.13 s (bound 7.1 s) |" in text
    assert "Not measured" not in text


def test_what_was_not_measured_is_named() -> None:
    broken = (run(1), run(2, problem="sender lateness: p99 40 ms"))
    assert "- node-kill target=any, trial 2 (r2): sender lateness: p99 40 ms" in render_chaos_markdown(
        matrix(result(), runs=broken)
    )
    page = render_chaos_html(matrix(result(), runs=broken))
    assert "not measured: sender lateness: p99 40 ms" in page


def test_the_page_links_the_runs_and_escapes_what_users_wrote() -> None:
    page = render_chaos_html(matrix(result()))
    assert 'href="../../node-kill/r1/report.html"' in page
    assert "Which &lt;way&gt;?" in page
    assert "<script" not in page


def test_a_path_that_never_converged_needs_no_count() -> None:
    found = result(convergence=estimated(math.inf, count=1, unbounded=1), bound_s=None)
    assert write_result(found) == ("40 lost", "not converged")


def test_median_of_enough_trials_has_its_interval() -> None:
    lost = Estimate(count=6, unbounded=0, median=1400, low=1200, high=1510)
    lasted = Estimate(count=6, unbounded=0, median=4.0, low=3.5, high=4.25)
    assert write_result(result(lost=lost, convergence=lasted, bound_s=None)) == (
        "1,400 [1,200, 1,510] lost",
        "4.00 s [3.50, 4.25]",
    )


def test_fewer_valid_trials_than_planned_are_told_in_the_cell() -> None:
    assert write_result(result(valid_trials=1, bound_s=None), trials=2) == ("40 lost", "4.13 s; 1 of 2 trials")
    assert write_result(result(valid_trials=1, lost=0, lasted=0), trials=2) == ("nothing", "1 of 2 trials")


def test_interrupted_experiment_says_how_much_of_it_ran() -> None:
    half = replace(matrix(result()), planned=6)
    assert "**Interrupted: 2 of 6 runs were made.**" in render_chaos_markdown(half)
    assert "<b>Interrupted: 2 of 6 runs were made.</b>" in render_chaos_html(half)
    assert "Interrupted" not in render_chaos_html(matrix(result()))


def test_reader_is_told_how_it_was_measured() -> None:
    assert "Each fault strikes after 3 s. Medians of 2 trials, seed 4." in render_chaos_markdown(matrix(result()))
    single = replace(matrix(result(), runs=(run(1),)), trials=1, planned=1)
    assert "One run each, seed 4." in render_chaos_html(single)


def test_run_without_objectives_is_valid_and_not_passed() -> None:
    page = render_chaos_html(matrix(result()))
    assert ">valid</td>" in page
    assert ">pass</td>" not in page
