"""The matrix of a chaos experiment as a page and as Markdown."""

import math

from orchestrator.model.chaos import ChaosMatrix, ChaosResult, ChaosRun
from orchestrator.model.trials import Estimate
from orchestrator.report.chaos import render_chaos_html, render_chaos_markdown, write_result


def estimated(median: float | None, *, count: int = 2, unbounded: int = 0) -> Estimate:
    return Estimate(count=count, unbounded=unbounded, median=median, low=None, high=None)


def result(path: str = "nodeport", *, lost: float | None = 40, lasted: float | None = 4.126, **changes: object) -> ChaosResult:
    values: dict[str, object] = {
        "number": 1,
        "fault": "node-kill target=any",
        "path": path,
        "is_negative_control": False,
        "valid_trials": 2,
        "lost": estimated(lost),
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
    return ChaosMatrix(name="small", question="Which <way>?", seed=4, trials=2, runs=runs or (run(1), run(2)), results=results)


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
