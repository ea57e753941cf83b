"""What several trials of one scenario say together. Frozen numbers; None where too few trials, or none, gave one."""

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """The median of some values and its 95 % interval."""

    count: int
    unbounded: int
    """How many of them were infinite: trials that did not converge."""
    median: float | None
    low: float | None
    high: float | None
    """None without an interval: too few values, or an infinite one."""

    @property
    def is_conclusive(self) -> bool:
        return self.low is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialSummary:
    """One metric of one path and class over the trials."""

    path: str
    connection_class: str
    metric: str
    unit: str
    estimate: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedDifference:
    """The first path less the second one, in the same trials and of the same class: what differs between trials cancels out."""

    path: str
    other_path: str
    connection_class: str
    metric: str
    unit: str
    estimate: Estimate


class Change(StrEnum):
    NONE = "none"
    """No worse than the baseline, or not by enough, or not surely enough."""
    REGRESSION = "regression"
    INCONCLUSIVE = "inconclusive"
    """So few trials that even the greatest difference could have come by chance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One metric of one path and class against the baseline's trials."""

    path: str
    connection_class: str
    metric: str
    unit: str
    baseline_median: float
    median: float
    worsening: float
    """How much worse the median is, in the metric's unit; negative: better."""
    minimum_effect: float
    p_value: float
    """After Holm's correction for the number of comparisons."""
    change: Change


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialSeries:
    """The trials of one scenario, in the order in which they ran."""

    scenario: str
    seed: int
    runs: tuple[str, ...]
    verdicts: tuple[str, ...]
    summaries: tuple[TrialSummary, ...]
    differences: tuple[PairedDifference, ...]
    comparisons: tuple[Comparison, ...]
    """With the baseline's; empty without one, and where it has no path and class in common with these."""
    baseline: str | None = None
    """The trials.json that they were compared with."""

    @property
    def is_incomparable(self) -> bool:
        """There is a baseline, and nothing that could be held against it."""
        return self.baseline is not None and not self.comparisons
