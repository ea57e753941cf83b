"""Several trials in a terminal: medians with their intervals, paired differences, changes against the baseline."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

from orchestrator.model.trials import Change, Estimate, PairedDifference, TrialSeries, TrialSummary
from orchestrator.report.numbers import NOTHING

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

_Row = TypeVar("_Row", TrialSummary, PairedDifference)
_WRITE: Mapping[str, Callable[[float], str]] = {
    "ratio": lambda value: f"{value * 100:.3f} %",
    "count": lambda value: f"{value:,.1f}".removesuffix(".0"),
    "s": lambda value: "not converged" if value == float("inf") else f"{value:.3f} s",
}
_STYLES = {Change.NONE: "green", Change.REGRESSION: "bold red", Change.INCONCLUSIVE: "yellow"}


def render_trials(series: TrialSeries, *, minimum_trials: int) -> "RenderableType":
    """`minimum_trials`: from how many on there are intervals."""
    from rich.console import Group
    from rich.text import Text

    verdicts = ", ".join(f"{series.verdicts.count(name)} {name}" for name in dict.fromkeys(series.verdicts))
    parts: list[RenderableType] = [Text(f"{series.scenario}: {len(series.runs)} trials ({verdicts})", style="bold")]
    parts.append(_table("median of the trials", series.summaries, lambda item: item.path))
    if series.differences:
        parts.append(_table("difference, trial by trial", series.differences, lambda item: f"{item.path} - {item.other_path}"))
    estimates = [*(item.estimate for item in series.summaries), *(item.estimate for item in series.differences)]
    if not all(estimate.is_conclusive for estimate in estimates):
        note = f"no interval: it takes {minimum_trials} valid trials, each of which converged"
        parts.append(Text(note, style="yellow"))
    if series.comparisons:
        parts.append(_comparisons(series))
    if series.is_incomparable:
        parts.append(Text("inconclusive: the baseline has no path and class in common with these trials", style="yellow"))
    return Group(*parts)


def _table(title: str, rows: Sequence[_Row], name: Callable[[_Row], str]) -> "Table":
    table = _headed(title, "path", "class", "metric", "median", "95 % interval")
    for row in rows:
        median, interval = write_estimate(row.estimate, row.unit)
        table.add_row(name(row), row.connection_class, row.metric, median, interval)
    return table


def _comparisons(series: TrialSeries) -> "Table":
    from rich.text import Text

    table = _headed("against the baseline", "path", "class", "metric", "baseline", "now", "p", "")
    for item in series.comparisons:
        write = _WRITE[item.unit]
        change = Text(item.change, style=_STYLES[item.change])
        values = (write(item.baseline_median), write(item.median), f"{item.p_value:.3f}")
        table.add_row(item.path, item.connection_class, item.metric, *values, change)
    return table


def write_estimate(estimate: Estimate, unit: str) -> tuple[str, str]:
    """Median and interval as text."""
    write = _WRITE[unit]
    median = NOTHING if estimate.median is None else write(estimate.median)
    if estimate.low is None or estimate.high is None:
        return median, NOTHING
    return median, f"{write(estimate.low)} to {write(estimate.high)}"


def _headed(title: str, *headings: str) -> "Table":
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=None, header_style="bold", pad_edge=False)
    for heading in headings:
        table.add_column(heading, justify="right" if heading in ("median", "baseline", "now", "p") else "left")
    return table
