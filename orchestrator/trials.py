"""Several trials of one scenario as one result: medians, paired differences, and whether they are worse than a baseline's."""

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from orchestrator.errors import ExitCode, UsageError
from orchestrator.metrics.regression import compare_with_baseline
from orchestrator.metrics.trials import pair_paths, subjects_of, summarise_trials
from orchestrator.model.outcome import Outcome
from orchestrator.model.trials import Change, Comparison, TrialSeries
from orchestrator.report.outcome_json import OutcomeJson, load_outcome
from orchestrator.store import RunDirectory

FILE = "trials.json"
_SERIES = TypeAdapter(TrialSeries)


def assess_series(directories: Sequence[RunDirectory], *, baseline: Path | None = None) -> TrialSeries:
    """From the outcomes that the trials wrote. Invalid trials do not count. Raises UsageError for what is no baseline."""
    outcomes = [_read(directory.path) for directory in directories]
    valid = [outcome.measurements for outcome in outcomes if outcome.exit_code in (ExitCode.PASS, ExitCode.SLO_FAILED)]
    seed = outcomes[0].seed
    paths = list(dict.fromkeys(path for path, _ in subjects_of(valid)))
    comparisons: tuple[Comparison, ...] = ()
    if baseline is not None:
        before = [outcome.measurements for outcome in read_baseline(baseline)]
        comparisons = compare_with_baseline(before, valid, seed=seed)
    return TrialSeries(
        scenario=outcomes[0].scenario,
        seed=seed,
        runs=tuple(directory.path.resolve().name for directory in directories),
        verdicts=tuple(outcome.verdict for outcome in outcomes),
        summaries=summarise_trials(valid, seed=seed),
        differences=tuple(item for pair in combinations(paths, 2) for item in pair_paths(valid, *pair, seed=seed)),
        comparisons=comparisons,
        baseline=None if baseline is None else str(baseline),
    )


def exit_code_of(series: TrialSeries, trials: Sequence[int]) -> ExitCode:
    """The worst trial's, or 3 for a regression and 2 where the comparison could not tell, or there was nothing to compare."""
    changes = {item.change for item in series.comparisons}
    found = max((ExitCode(code) for code in trials), default=ExitCode.PASS)
    if Change.REGRESSION in changes:
        return max(found, ExitCode.REGRESSION)
    return max(found, ExitCode.INVALID) if series.is_incomparable or Change.INCONCLUSIVE in changes else found


def save_series(series: TrialSeries, directory: Path) -> Path:
    """`trials.json` beside the trials' run directories, named by the first of them. It is a baseline for later series."""
    file = directory / f"{series.runs[0]}.{FILE}"
    file.write_bytes(_SERIES.dump_json(series, indent=1) + b"\n")
    return file


def read_baseline(file: Path) -> tuple[Outcome, ...]:
    """The valid outcomes of the runs that a `trials.json` names. Raises UsageError."""
    try:
        series = _SERIES.validate_json(file.read_bytes())
    except OSError as error:
        raise UsageError(
            f"baseline {file}: {error.strerror}", hint="the trials.json that a run with several trials wrote"
        ) from None
    except ValidationError as error:
        raise UsageError(f"baseline {file}: is no trials.json: {error.errors()[0]['msg']}") from None
    outcomes = tuple(_read(file.parent / run) for run in series.runs)
    valid = tuple(item for item in outcomes if item.exit_code in (ExitCode.PASS, ExitCode.SLO_FAILED))
    if not valid:
        raise UsageError(f"baseline {file}: none of its {len(outcomes)} trials was valid")
    return valid


def _read(path: Path) -> Outcome:
    file = path / OutcomeJson.file
    try:
        return load_outcome(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror}: the trial was not judged") from None
