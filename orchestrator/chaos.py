"""A chaos experiment: runs its matrix, cell by cell, and puts all outcomes into one result."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import TypeAdapter

from orchestrator.assessment import assess, write_reports
from orchestrator.errors import ScenarioError, TestbedError
from orchestrator.experiment import Host, Loaded, Observer, load_request, run_trial
from orchestrator.metrics.trials import estimate
from orchestrator.model.chaos import ChaosMatrix, ChaosResult, ChaosRun
from orchestrator.model.measurements import Outage
from orchestrator.model.outcome import Outcome, Verdict
from orchestrator.model.plan import Expectation, Plan
from orchestrator.planner.matrix import Cell, plan_matrix
from orchestrator.report.chaos import render_chaos_html, render_chaos_markdown
from orchestrator.scenario.chaos import Chaos, load_chaos
from orchestrator.store import RunDirectory

MATRIX = "matrix.json"
_MATRIX = TypeAdapter(ChaosMatrix)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChaosRequest:
    """An experiment every cell of which can be planned."""

    chaos: Chaos
    base: Loaded
    seed: int
    cells: tuple[Cell, ...]
    kernel_features: tuple[str, ...] = ()
    """What any of the cells needs, each once, sorted."""

    def load(self, cell: Cell) -> Loaded:
        return replace(self.base, scenario=cell.scenario, seed=self.seed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A cell that ran: its directory and outcome, or why there is none."""

    cell: Cell
    directory: RunDirectory | None
    outcome: Outcome | None
    problem: str


def load_chaos_request(file: Path, *, seed: int | None = None, trials: int | None = None) -> ChaosRequest:
    """Raises ScenarioError for whatever cannot be planned, before anything starts."""
    chaos = load_chaos(file)
    if trials is not None:
        chaos = chaos.model_copy(update={"trials": trials})
    base = load_request(file.parent / chaos.scenario, {}, seed)
    seed = chaos.seed if seed is None else seed
    request = ChaosRequest(chaos=chaos, base=base, seed=seed, cells=plan_matrix(chaos, base.scenario, seed=seed))
    features: set[str] = set()
    for cell in request.cells:
        try:
            features.update(request.load(cell).plan(trial=cell.trial).kernel_features)
        except ScenarioError as error:
            problems = [
                replace(item, key=item.key.replace("timeline[0]", f"faults[{cell.number - 1}]")) for item in error.problems
            ]
            raise ScenarioError(file, problems) from None
    return replace(request, kernel_features=tuple(sorted(features)))


def run_matrix(
    request: ChaosRequest,
    host: Host,
    *,
    results: Path,
    observe: Callable[[Cell], Observer],
    told: Callable[[Finished], None],
    run: Callable[..., RunDirectory] = run_trial,
) -> tuple[Finished, ...]:
    """Every cell in its order; one that fails by our own fault is noted and does not keep the others.

    What the kernel lacks for any of them is refused before the first: the last cell may be hours away.
    `run`: runs one trial, as `run_trial` does.

    Raises InterruptedRunError, EnvironmentUnmetError.
    """
    host.require_features(request.kernel_features)
    finished = []
    for cell in request.cells:
        finished.append(_run_cell(request, cell, host, results, observe(cell), run))
        told(finished[-1])
    return tuple(finished)


def _run_cell(
    request: ChaosRequest, cell: Cell, host: Host, results: Path, observer: Observer, run: Callable[..., RunDirectory]
) -> Finished:
    from orchestrator.errors import EnvironmentUnmetError, InterruptedRunError

    try:
        directory = run(request.load(cell), host, results=results, trial=cell.trial, observer=observer)
        outcome = assess(directory)
        write_reports(directory, outcome)
    except (InterruptedRunError, EnvironmentUnmetError):
        raise
    except TestbedError as error:
        return Finished(cell=cell, directory=None, outcome=None, problem=str(error))
    broken = [f"{check.name}: {check.found}" for check in outcome.validity if not check.valid]
    return Finished(cell=cell, directory=directory, outcome=outcome, problem="; ".join(broken))


def assess_matrix(request: ChaosRequest, finished: Sequence[Finished], *, root: Path) -> ChaosMatrix:
    """`root`: the directory that the matrix is written to."""
    ordered = sorted(finished, key=lambda item: (item.cell.number, item.cell.trial))
    plan = request.load(request.cells[0]).plan()
    expectations = {path.name: path.expect for path in plan.paths}
    return ChaosMatrix(
        name=request.chaos.name,
        question=request.chaos.question,
        seed=request.seed,
        trials=request.chaos.trials,
        planned=len(request.cells),
        method=describe_method(request.chaos, plan),
        runs=tuple(_run(item, root) for item in ordered),
        results=tuple(
            _result(number, fault, path, expect, [item for item in ordered if item.cell.number == number], request.seed)
            for number, fault in dict.fromkeys((item.cell.number, item.cell.fault) for item in ordered)
            for path, expect in expectations.items()
        ),
    )


def save_matrix(matrix: ChaosMatrix, root: Path) -> Path:
    """matrix.json, summary.md and report.html; returns the report."""
    root.mkdir(parents=True, exist_ok=True)
    (root / MATRIX).write_bytes(_MATRIX.dump_json(matrix, indent=1) + b"\n")
    (root / "summary.md").write_text(render_chaos_markdown(matrix), encoding="utf-8")
    report = root / "report.html"
    report.write_text(render_chaos_html(matrix), encoding="utf-8")
    return report


def _run(item: Finished, root: Path) -> ChaosRun:
    import os

    steps = item.outcome.measurements.steps if item.outcome is not None else ()
    return ChaosRun(
        number=item.cell.number,
        fault=item.cell.fault,
        trial=item.cell.trial,
        run_id=item.directory.run_id if item.directory is not None else "",
        directory=os.path.relpath(item.directory.path.resolve(), root.resolve()) if item.directory is not None else "",
        verdict=str(item.outcome.verdict) if item.outcome is not None else "error",
        targets=tuple(dict.fromkeys(name for step in steps for name in step.targets)),
        problem=item.problem,
    )


def describe_method(chaos: Chaos, plan: Plan) -> str:
    """One sentence for those who read the numbers."""
    begin = f"{chaos.at:g} s" if chaos.phase == 0 else f"{chaos.at:g} to {chaos.at + chaos.phase:g} s"
    rates = sorted({item.rate_rps for item in plan.load.classes if item.path != plan.control_path})
    rate = f"{rates[0]:g}" if len(rates) == 1 else f"{rates[0]:g} to {rates[-1]:g}"
    return (
        f"Each fault strikes after {begin} of undisturbed load and, unless it says otherwise or has no end, is healed after "
        f"{chaos.for_s:g} s; {chaos.recovery:g} s follow. {rate} requests/s of each connection class on each path."
    )


def _result(number: int, fault: str, path: str, expect: Expectation, finished: Sequence[Finished], seed: int) -> ChaosResult:
    outcomes = [item.outcome for item in finished if item.outcome is not None and item.outcome.verdict is not Verdict.INVALID]
    damages = [_damages(outcome, path) for outcome in outcomes]
    lasted = [[lasts_s for _, lasts_s in classes if lasts_s is not None] for classes in damages]
    bounds = [bound_s for outcome in outcomes for bound_s in _bounds_s(outcome, path)]
    return ChaosResult(
        number=number,
        fault=fault,
        path=path,
        is_negative_control=expect is Expectation.REFUSED,
        valid_trials=len(outcomes),
        lost=estimate([float(max((lost for lost, _ in classes), default=0)) for classes in damages], seed=seed),
        convergence=estimate([max(durations) for durations in lasted if durations], seed=seed),
        bound_s=max(bounds, default=None),
    )


def _damages(outcome: Outcome, path: str) -> list[tuple[int, float | None]]:
    """Of each connection class: requests lost to all steps, and for how long, None for a rescale, which has no such time."""
    measured = outcome.measurements
    outages = [item for item in measured.outages if item.path == path]
    rescales = [item for item in measured.rescales if item.path == path]
    damages = []
    classes = [*(item.connection_class for item in outages), *(item.connection_class for item in rescales)]
    for name in dict.fromkeys(classes):
        own = sorted((item for item in outages if item.connection_class == name), key=lambda item: item.effective_s)
        lost = sum(item.failed for item in own) + sum(item.lost for item in rescales if item.connection_class == name)
        damages.append((lost, _convergence_s(own) if own else None))
    return damages


def _bounds_s(outcome: Outcome, path: str) -> list[float]:
    """From the first strike on, as the convergence is."""
    outages = [item for item in outcome.measurements.outages if item.path == path]
    first_s = min((item.effective_s for item in outages), default=0.0)
    return [item.effective_s - first_s + item.bound_s for item in outages if item.bound_s is not None]


def _convergence_s(outages: Sequence[Outage]) -> float:
    """From the first strike until the path has recovered from the last: what flaps need not recover in between."""
    if outages[-1].convergence_s is None:
        return float("inf")
    ends = [
        item.effective_s - outages[0].effective_s + item.convergence_s
        if item.convergence_s is not None
        else item.window_end_s - outages[0].effective_s
        for item in outages
        if item.failed
    ]
    return max(ends, default=0.0)
