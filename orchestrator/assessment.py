"""From a run directory to its outcome and reports: needs no Docker, so that any old run can be judged again."""

from pathlib import Path

from orchestrator.errors import InternalError
from orchestrator.judge import judge
from orchestrator.metrics.attribution import read_connections
from orchestrator.metrics.measure import measure
from orchestrator.model.outcome import Outcome
from orchestrator.model.samples import RECORDS, Samples, load_samples, read_raw_samples, save_samples
from orchestrator.registry import REPORTS
from orchestrator.slo import judge_objective
from orchestrator.store import CONNECTIONS, SAMPLES, RunDirectory


def assess(directory: RunDirectory) -> Outcome:
    """Measure and judge what the directory holds. Raises InternalError when there is not enough of it to measure anything."""
    plan, history = directory.load_plan(), directory.load_history()
    totals = directory.load_json(f"{SAMPLES}/totals.json")
    if totals is not None and not isinstance(totals, dict):
        raise InternalError(f"{directory.path / SAMPLES / 'totals.json'}: must be a mapping")
    measurements = measure(
        plan,
        history,
        _load_samples(directory.path),
        connections=read_connections(directory.path / CONNECTIONS),
        totals=totals,
    )
    notes = [*directory.notes]
    notes += [f"{event.event}: {dict(event.fields)}" for event in history.select("output-lost", "logs-lost", "log-lines-dropped")]
    return judge(
        plan, measurements, run_id=directory.run_id, judge_objective=judge_objective, versions=directory.versions, notes=notes
    )


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
