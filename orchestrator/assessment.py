"""From a run directory to its outcome and reports: needs no Docker, so that any old run can be judged again."""

from pathlib import Path

from orchestrator.errors import InternalError
from orchestrator.judge import judge
from orchestrator.metrics.attribution import read_connections
from orchestrator.metrics.measure import measure
from orchestrator.model.measurements import NOTHING_MEASURED, Measurements
from orchestrator.model.outcome import Outcome
from orchestrator.model.plan import Plan
from orchestrator.model.samples import RECORDS, Samples, load_samples, read_raw_samples, save_samples
from orchestrator.registry import REPORTS
from orchestrator.slo import judge_objective
from orchestrator.store import CONNECTIONS, SAMPLES, RunDirectory


def assess(directory: RunDirectory) -> Outcome:
    """Measure and judge what the directory holds; a run that broke off is INVALID and says why.

    Raises InternalError when there is not even a plan.
    """
    plan = directory.load_plan()
    notes = [*directory.notes]
    try:
        measurements, troubles = _measure(directory, plan)
        notes += troubles
    except InternalError as error:
        measurements = NOTHING_MEASURED
        notes.append(str(error))
    return judge(
        plan, measurements, run_id=directory.run_id, judge_objective=judge_objective, versions=directory.versions, notes=notes
    )


def _measure(directory: RunDirectory, plan: Plan) -> tuple[Measurements, list[str]]:
    """The measurements, and what the history tells of our own troubles. Raises InternalError when something is missing."""
    history = directory.load_history()
    totals = directory.load_json(f"{SAMPLES}/totals.json")
    if totals is not None and not isinstance(totals, dict):
        raise InternalError(f"{directory.path / SAMPLES / 'totals.json'}: must be a mapping")
    connections = read_connections(directory.path / CONNECTIONS)
    measurements = measure(plan, history, _load_samples(directory.path), connections=connections, totals=totals)
    lost = history.select("output-lost", "logs-lost", "log-lines-dropped")
    troubles = [f"{event.event}: {dict(event.fields)}" for event in lost]
    balanced = {path.name for path in plan.paths if path.frontend is not None}
    # A load beside a kept testbed has no logs of its own.
    is_logged = (directory.path / CONNECTIONS).parents[1].is_dir()
    if is_logged and not connections and any(item.ok for item in measurements.classes if item.path in balanced):
        troubles.append(f"{CONNECTIONS}: tells of no connection, although requests went through the load balancer")
    return measurements, troubles


def write_reports(directory: RunDirectory, outcome: Outcome) -> tuple[Path, ...]:
    """Every format's file in the run directory."""
    plan = directory.load_plan()
    written = []
    for report in REPORTS.values():
        file = directory.path / report.file
        file.write_text(report.render(outcome, plan), encoding="utf-8")
        written.append(file)
    return tuple(written)


def _load_samples(path: Path) -> Samples:
    """The samples of a run; the first time they are read they are saved in their lasting form too."""
    if (path / RECORDS).is_file():
        return load_samples(path)
    samples = read_raw_samples(path / SAMPLES)
    save_samples(samples, path)
    return samples
