"""A matrix runs cell by cell, whatever one of them comes to, and becomes one result."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.chaos import ChaosRequest, Finished, assess_matrix, load_chaos_request, run_matrix
from orchestrator.errors import EnvironmentUnmetError, InternalError, InterruptedRunError, TestbedError
from orchestrator.experiment import Host, Loaded
from orchestrator.model.chaos import ChaosMatrix, ChaosResult
from orchestrator.model.measurements import Outage
from orchestrator.model.outcome import Outcome, Verdict
from orchestrator.planner.matrix import Cell
from orchestrator.report.chaos import write_result
from orchestrator.store import RunDirectory, create_run_directory
from orchestrator.testbed.compose import load_compose
from orchestrator.testbed.fake import FakeEngine
from orchestrator.testbed.images import Images
from tests.unit.report.sample_outcome import calm_outcome, failing_outcome

ROOT = Path(__file__).resolve().parents[3]

TEXT = f"""\
name: small
question: Which?
scenario: {ROOT / "loadtests" / "scenarios" / "node-kill.yaml"}
faults: [{{fault: node-kill, target: any}}, {{fault: delay, target: any, delay: 5ms}}, {{fault: loss, target: any, ratio: 10%}}]
at: 3s
for: 5s
recovery: 4s
trials: 1
"""


@pytest.fixture
def request_(tmp_path: Path) -> ChaosRequest:
    file = tmp_path / "chaos.yaml"
    file.write_text(TEXT, encoding="utf-8")
    return load_chaos_request(file)


def host(require_features: Callable[[tuple[str, ...]], None] = lambda names: None) -> Host:
    images = Images(tags={}, base="", packages={}, python_packages={})
    return Host(
        engine=FakeEngine(),
        compose=load_compose(ROOT / "compose" / "testbed.yaml"),
        images=images,
        require_features=require_features,
    )


def run(
    request: ChaosRequest,
    results: Path,
    *,
    on_host: Host | None = None,
    problems: dict[str, TestbedError] | None = None,
) -> tuple[list[str], list[Finished]]:
    """The faults that were begun, and the cells that were told as finished; raised errors are kept for the caller."""
    begun: list[str] = []
    told: list[Finished] = []

    def one(loaded: Loaded, host: Host, *, results: Path, trial: int, observer: object) -> RunDirectory:
        kind = loaded.scenario.timeline[0].kind
        begun.append(kind)
        if problems and kind in problems:
            raise problems[kind]
        directory = create_run_directory(results, loaded.scenario.name, f"r{len(begun)}")
        directory.save_plan(loaded.plan(trial=trial))
        return directory

    try:
        run_matrix(
            request, on_host or host(), results=results, observe=lambda cell: lambda event: None, told=told.append, run=one
        )
    except TestbedError as error:
        begun.append(type(error).__name__)
    return begun, told


def test_what_the_kernel_lacks_for_any_cell_is_refused_before_the_first(request_: ChaosRequest, tmp_path: Path) -> None:
    asked: list[tuple[str, ...]] = []

    def refuse(names: tuple[str, ...]) -> None:
        asked.append(names)
        raise EnvironmentUnmetError("the kernel has no netem")

    begun, told = run(request_, tmp_path, on_host=host(refuse))
    of_cells = {name for cell in request_.cells for name in request_.load(cell).plan(trial=cell.trial).kernel_features}
    assert of_cells
    assert asked == [tuple(sorted(of_cells))]
    assert (begun, told) == (["EnvironmentUnmetError"], [])


def test_cell_that_fails_by_our_own_fault_is_noted_and_the_others_run(request_: ChaosRequest, tmp_path: Path) -> None:
    begun, told = run(request_, tmp_path, problems={begun_first(request_): InternalError("no address left")})
    assert sorted(begun) == ["delay", "loss", "node-kill"]
    assert [item.problem for item in told if item.directory is None] == ["no address left"]


def test_run_that_cannot_be_judged_keeps_its_directory_and_its_reason(request_: ChaosRequest, tmp_path: Path) -> None:
    _, told = run(request_, tmp_path)
    assert [item.directory is not None and (item.directory.path / "report.html").is_file() for item in told] == [True] * 3
    assert all("the run ended before its history was saved" in item.problem for item in told)
    assert {item.outcome.verdict for item in told if item.outcome is not None} == {Verdict.INVALID}


def test_interruption_ends_the_matrix_with_what_has_been_told(request_: ChaosRequest, tmp_path: Path) -> None:
    second = request_.cells[1].scenario.timeline[0].kind
    begun, told = run(request_, tmp_path, problems={second: InterruptedRunError("by a signal")})
    assert begun == [begun_first(request_), second, "InterruptedRunError"]
    assert len(told) == 1


def begun_first(request: ChaosRequest) -> str:
    return request.cells[0].scenario.timeline[0].kind


def finished(cell: Cell, outcome: Outcome | None, root: Path, problem: str = "") -> Finished:
    directory = None if outcome is None else RunDirectory(path=root / f"r{cell.number}")
    return Finished(cell=cell, directory=directory, outcome=outcome, problem=problem)


def assessed(request: ChaosRequest, outcome: Outcome | None, root: Path, problem: str = "") -> ChaosMatrix:
    return assess_matrix(request, [finished(cell, outcome, root, problem) for cell in request.cells], root=root / "chaos")


def of_path(matrix: ChaosMatrix, path: str) -> ChaosResult:
    return next(item for item in matrix.results if item.path == path)


def lossy(*outages: tuple[str, str, int, float | None]) -> Outcome:
    """(step, class, failed, convergence) of `nodeport`."""
    base = failing_outcome()
    template = next(item for item in base.measurements.outages if item.path == "nodeport")
    found: tuple[Outage, ...] = tuple(
        replace(template, step=step, connection_class=name, failed=failed, convergence_s=lasted)
        for step, name, failed, lasted in outages
    )
    return replace(base, measurements=replace(base.measurements, outages=found, rescales=()))


def test_a_path_has_one_result_for_each_fault_by_its_worst_class(request_: ChaosRequest, tmp_path: Path) -> None:
    matrix = assessed(request_, lossy(("1", "fresh", 40, 4.0), ("1", "keepalive", 3, 5.0)), tmp_path)
    assert [(item.number, item.path) for item in matrix.results] == [
        (number, path) for number in (1, 2, 3) for path in ("static-route", "nodeport", "service-port-on-node")
    ]
    result = of_path(matrix, "nodeport")
    assert (result.lost.median, result.convergence.median, result.valid_trials) == (40, 5.0, 1)
    assert [item.is_negative_control for item in matrix.results[:3]] == [False, False, True]


def test_an_invalid_run_counts_for_nothing(request_: ChaosRequest, tmp_path: Path) -> None:
    invalid = replace(calm_outcome(), verdict=Verdict.INVALID)
    matrix = assessed(request_, invalid, tmp_path, "sender lateness: p99 40 ms")
    assert of_path(matrix, "nodeport").valid_trials == 0
    assert {(run.verdict, run.problem) for run in matrix.runs} == {("invalid", "sender lateness: p99 40 ms")}


def test_runs_stand_in_the_order_of_the_file_with_their_directories_beside_the_matrix(
    request_: ChaosRequest, tmp_path: Path
) -> None:
    matrix = assessed(request_, calm_outcome(), tmp_path)
    assert [(run.number, run.directory) for run in matrix.runs] == [(1, "../r1"), (2, "../r2"), (3, "../r3")]
    assert [run.verdict for run in assessed(request_, None, tmp_path, "no address left").runs] == ["error"] * 3


def flapped(*strikes: tuple[float, int, float | None]) -> Outcome:
    """(effective, failed, convergence) of each strike, one window after the other."""
    ends = [*(at_s for at_s, _, _ in strikes[1:]), 20.0]
    base = lossy(*((str(number), "new", failed, lasted) for number, (_, failed, lasted) in enumerate(strikes)))
    outages = tuple(
        replace(item, effective_s=at_s, window_end_s=end_s)
        for item, (at_s, _, _), end_s in zip(base.measurements.outages, strikes, ends, strict=True)
    )
    return replace(base, measurements=replace(base.measurements, outages=outages))


def test_losses_of_a_fault_that_strikes_several_times_are_summed(request_: ChaosRequest, tmp_path: Path) -> None:
    result = of_path(assessed(request_, flapped((3.0, 10, 1.2), (5.0, 12, 1.1)), tmp_path), "nodeport")
    assert result.lost.median == 22
    assert result.convergence.median == pytest.approx(3.1)


def test_flap_converges_when_it_has_recovered_from_the_last_strike(request_: ChaosRequest, tmp_path: Path) -> None:
    between = of_path(assessed(request_, flapped((3.0, 10, None), (5.0, 0, 0.0)), tmp_path), "nodeport")
    assert between.convergence.median == pytest.approx(2.0)
    never = of_path(assessed(request_, flapped((3.0, 10, 1.0), (5.0, 9, None)), tmp_path), "nodeport")
    assert never.convergence.unbounded == 1


def test_what_a_rescale_lost_is_told_without_a_time(request_: ChaosRequest, tmp_path: Path) -> None:
    base = failing_outcome()
    rescale = next(item for item in base.measurements.rescales if item.path == "nodeport")
    measured = replace(base.measurements, outages=(), rescales=(replace(rescale, lost=7),))
    result = of_path(assessed(request_, replace(base, measurements=measured), tmp_path), "nodeport")
    assert (result.lost.median, result.convergence.median) == (7, None)
    assert write_result(result) == ("7 lost", "")


def test_result_says_how_it_was_measured_and_how_many_runs_were_planned(request_: ChaosRequest, tmp_path: Path) -> None:
    matrix = assess_matrix(request_, [finished(request_.cells[0], calm_outcome(), tmp_path)], root=tmp_path / "chaos")
    assert (matrix.planned, len(matrix.runs)) == (3, 1)
    assert matrix.method == (
        "Each fault strikes after 3 to 4 s of undisturbed load and, unless it says otherwise or has no end, is healed after 5 s; "
        "4 s follow. 200 requests/s of each connection class on each path."
    )
