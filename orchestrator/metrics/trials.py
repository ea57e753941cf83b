"""Several trials of one scenario: medians with their intervals, and differences between paths trial by trial."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from orchestrator.model.measurements import ClassMeasurement, Measurements
from orchestrator.model.trials import Estimate, PairedDifference, TrialSummary

MINIMUM_TRIALS = 6
"""From 6 values on an interval between two of them can hold the median with 95 %: 1 - 2 x 0.5^6 = 97 %, with 5 only 94 %."""
CONFIDENCE = 0.95
RESAMPLES = 9_999

Subject = tuple[str, str]
"""Path and connection class."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A number that every trial gives for each path and class; None where it had nothing to measure."""

    name: str
    unit: str
    is_higher_better: bool
    resolution: Callable[[ClassMeasurement], float]
    """Below this two values are the same."""
    read: Callable[[Measurements, ClassMeasurement], float | None]


def _convergence_s(measurements: Measurements, item: ClassMeasurement) -> float | None:
    """Of the worst fault; infinite when one did not converge."""
    outages = [outage for outage in measurements.outages if (outage.path, outage.connection_class) == _of(item)]
    values = [math.inf if outage.convergence_s is None else outage.convergence_s for outage in outages]
    return max(values, default=None)


METRICS: Mapping[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric(
            name="availability",
            unit="ratio",
            is_higher_better=True,
            resolution=lambda item: 1 / max(1, item.sent),
            read=lambda _, item: item.availability_ratio,
        ),
        Metric(
            name="failed",
            unit="count",
            is_higher_better=False,
            resolution=lambda _: 1.0,
            read=lambda _, item: float(item.sent - item.ok),
        ),
        Metric(
            name="convergence",
            unit="s",
            is_higher_better=False,
            resolution=lambda item: item.resolution_s,
            read=_convergence_s,
        ),
        Metric(
            name="latency_p99",
            unit="s",
            is_higher_better=False,
            resolution=lambda _: 0.001,
            read=lambda _, item: None if item.latency is None else item.latency.p99_ms / 1000,
        ),
    )
}


def summarise_trials(trials: Sequence[Measurements], *, seed: int) -> tuple[TrialSummary, ...]:
    """Each metric of each path and class over the trials; `seed` makes the bootstrap repeatable."""
    return tuple(
        TrialSummary(path=path, connection_class=name, metric=metric.name, unit=metric.unit, estimate=found)
        for path, name in subjects_of(trials)
        for metric in METRICS.values()
        if (found := estimate(values_of(trials, (path, name), metric), seed=seed)).count
    )


def pair_paths(trials: Sequence[Measurements], path: str, other_path: str, *, seed: int) -> tuple[PairedDifference, ...]:
    """`path` less `other_path`, for each class that both have; trials in which either gave no finite number are left out."""
    found = []
    for name in (name for own, name in subjects_of(trials) if own == path and (other_path, name) in subjects_of(trials)):
        for metric in METRICS.values():
            pairs = [(_read(trial, (path, name), metric), _read(trial, (other_path, name), metric)) for trial in trials]
            differences = [a - b for a, b in pairs if a is not None and b is not None and math.isfinite(a) and math.isfinite(b)]
            if differences:
                found.append(
                    PairedDifference(
                        path=path,
                        other_path=other_path,
                        connection_class=name,
                        metric=metric.name,
                        unit=metric.unit,
                        estimate=estimate(differences, seed=seed),
                    )
                )
    return tuple(found)


def estimate(values: Iterable[float], *, seed: int) -> Estimate:
    """Median and percentile bootstrap interval (Efron 1979; scipy.stats.bootstrap) of 9,999 resamples.

    No interval from fewer than `MINIMUM_TRIALS` values: inconclusive. None either when a value is infinite: no time bounds a path
    that did not converge.
    """
    found = np.array(list(values), dtype=np.float64)
    unbounded = int(np.isinf(found).sum())
    low = high = None
    if len(found) >= MINIMUM_TRIALS and not unbounded:
        from scipy import stats

        interval = stats.bootstrap(
            (found,),
            np.median,
            confidence_level=CONFIDENCE,
            n_resamples=RESAMPLES,
            method="percentile",
            random_state=np.random.default_rng(seed),
        ).confidence_interval
        # Interpolated quantiles may round past the values that they lie between.
        low, high = np.clip((float(interval.low), float(interval.high)), found.min(), found.max()).tolist()
    median = float(np.median(found)) if len(found) else None
    return Estimate(count=len(found), unbounded=unbounded, median=median, low=low, high=high)


def subjects_of(trials: Iterable[Measurements]) -> tuple[Subject, ...]:
    """Every path and class that a trial has, in order of appearance."""
    return tuple(dict.fromkeys(_of(item) for trial in trials for item in trial.classes))


def values_of(trials: Iterable[Measurements], subject: Subject, metric: Metric) -> tuple[float, ...]:
    """The metric of each trial that has one."""
    return tuple(value for trial in trials if (value := _read(trial, subject, metric)) is not None)


def _read(trial: Measurements, subject: Subject, metric: Metric) -> float | None:
    item = next((item for item in trial.classes if _of(item) == subject), None)
    return None if item is None else metric.read(trial, item)


def _of(item: ClassMeasurement) -> Subject:
    return item.path, item.connection_class
