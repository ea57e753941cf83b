"""Trials against the trials of a baseline: worse by more than matters, and more surely than chance."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from orchestrator.metrics.trials import METRICS, Metric, Subject, subjects_of, values_of
from orchestrator.model.measurements import Measurements
from orchestrator.model.trials import Change, Comparison

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIGNIFICANCE = 0.05
MINIMUM_EFFECT_RATIO = 0.10
"""Of the baseline's median (of what failed, for availability): a smaller worsening is not worth a failed build."""
RESAMPLES = 9_999


def compare_with_baseline(
    baseline: Sequence[Measurements],
    trials: Sequence[Measurements],
    *,
    seed: int,
    minimum_effect_ratio: float = MINIMUM_EFFECT_RATIO,
    significance: float = SIGNIFICANCE,
) -> tuple[Comparison, ...]:
    """Each metric of each path and class that both have.

    One-sided permutation test of mean ranks (Wilcoxon, Mann and Whitney; scipy.stats.permutation_test): ranks do not care how far
    off a trial is that did not converge. Exact when there are at most 9,999 ways to deal the trials to the two sides. It is a
    regression when it is significant after Holm's correction and the median is worse by at least `minimum_effect_ratio`. With so
    few trials that not even the smallest possible p-value is significant: inconclusive.
    """
    drafts = [
        (subject, metric, values_of(baseline, subject, metric), values_of(trials, subject, metric))
        for subject in subjects_of(trials)
        for metric in METRICS.values()
    ]
    drafts = [draft for draft in drafts if draft[2] and draft[3]]
    raw = [_p_value(before, after, metric, seed=seed) for _, metric, before, after in drafts]
    corrected = holm(raw)
    return tuple(
        _compare(baseline, *draft, p_value, len(drafts), minimum_effect_ratio, significance)
        for draft, p_value in zip(drafts, corrected, strict=True)
    )


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction: the k-th smallest of n times n - k + 1, never below a smaller one, at most 1.

    Source: Holm, A Simple Sequentially Rejective Multiple Test Procedure, Scandinavian Journal of Statistics 6, 1979.
    """
    corrected = [0.0] * len(p_values)
    highest = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda index: p_values[index])):
        highest = max(highest, min(1.0, p_values[index] * (len(p_values) - rank)))
        corrected[index] = highest
    return corrected


def smallest_p_value(before: int, after: int) -> float:
    """That no dealing of so many trials can fall below."""
    return 1 / min(math.comb(before + after, after), RESAMPLES + 1)


def _p_value(before: Sequence[float], after: Sequence[float], metric: Metric, *, seed: int) -> float:
    if min(len(before), len(after)) < 2:
        return 1.0
    from scipy import stats

    values = np.array([*before, *after], dtype=np.float64)
    ranks = stats.rankdata(-values if metric.is_higher_better else values)

    def worsening(first: "NDArray[np.float64]", second: "NDArray[np.float64]", axis: int) -> "NDArray[np.float64]":
        return np.asarray(second.mean(axis=axis) - first.mean(axis=axis))

    result = stats.permutation_test(
        (ranks[: len(before)], ranks[len(before) :]),
        worsening,
        alternative="greater",
        n_resamples=RESAMPLES,
        vectorized=True,
        random_state=np.random.default_rng(seed),
    )
    return float(result.pvalue)


def _finite(values: Sequence[float]) -> "NDArray[np.float64]":
    """Not converged is longer than any time, but infinity less infinity is no number: a day stands for it."""
    return np.minimum(np.array(values, dtype=np.float64), 86_400.0)


def _compare(
    baseline: Sequence[Measurements],
    subject: Subject,
    metric: Metric,
    before: Sequence[float],
    after: Sequence[float],
    p_value: float,
    comparisons: int,
    minimum_effect_ratio: float,
    significance: float,
) -> Comparison:
    old, new = float(np.median(_finite(before))), float(np.median(_finite(after)))
    worsening = old - new if metric.is_higher_better else new - old
    item = next(item for trial in baseline for item in trial.classes if (item.path, item.connection_class) == subject)
    scale = 1 - old if metric.is_higher_better else old
    minimum_effect = max(minimum_effect_ratio * scale, metric.resolution(item))
    if smallest_p_value(len(before), len(after)) * comparisons > significance:
        change = Change.INCONCLUSIVE
    else:
        is_worse = p_value <= significance and worsening >= minimum_effect
        change = Change.REGRESSION if is_worse else Change.NONE
    return Comparison(
        path=subject[0],
        connection_class=subject[1],
        metric=metric.name,
        unit=metric.unit,
        baseline_median=old,
        median=new,
        worsening=worsening,
        minimum_effect=minimum_effect,
        p_value=p_value,
        change=change,
    )
