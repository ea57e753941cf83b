"""What the charts of report.html show, placed: one time axis, a panel for each path, the windows of faults and rescales."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from orchestrator.model.measurements import Point, Series, StepMeasurement
from orchestrator.model.outcome import Outcome
from orchestrator.model.plan import Plan
from orchestrator.report.geometry import Scale, decades, lanes, step_line, text_width, ticks
from orchestrator.report.numbers import format_instant, format_ms, format_ratio

WIDTH, LEFT, RIGHT = 1100.0, 64.0, 12.0
PANEL_HEIGHT, PANEL_TITLE, PANEL_GAP = 72.0, 20.0, 12.0
LANE_HEIGHT, AXIS_HEIGHT = 18.0, 34.0
SCALE_KIND = "scale"
_MAX_CELLS = 300
"""Tooltips in a panel: more than one for four pixels cannot be hit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    at: float
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A shaded span of the time axis."""

    kind: str
    """`fault` or `rescale`."""
    label: str
    tooltip: str
    left: float
    width: float
    label_left: float
    lane: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    connection_class: str
    number: int
    """Of its class among all classes: the same colour in every panel."""
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """An invisible column with a tooltip."""

    left: float
    width: float
    tooltip: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """A span in which some request failed: a few in thousands do not show in a line."""

    left: float
    width: float
    tooltip: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    title: str
    top: float
    losses: tuple[Loss, ...]
    ticks: tuple[Tick, ...]
    lines: tuple[Line, ...]
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeChart:
    name: str
    height: float
    plot_top: float
    plot_bottom: float
    panels: tuple[Panel, ...]
    windows: tuple[Window, ...]
    ticks: tuple[Tick, ...]
    width: float = WIDTH
    left: float = LEFT
    right: float = WIDTH - RIGHT
    panel_height: float = PANEL_HEIGHT


def class_numbers(outcome: Outcome) -> dict[str, int]:
    """Each connection class by name, numbered in order of appearance."""
    names = dict.fromkeys(series.connection_class for series in outcome.measurements.series)
    return {name: number for number, name in enumerate(names, start=1)}


def success_chart(outcome: Outcome, plan: Plan) -> TimeChart:
    """Share of the requests of each bin that got what the path must answer."""
    return _chart("success rate", outcome, plan, _success, lambda _: (0.0, 0.5, 1.0), lambda value: f"{value * 100:.0f} %")


def latency_chart(outcome: Outcome, plan: Plan) -> TimeChart:
    """p99 of the answered requests of each bin, on one logarithmic scale."""
    values = [point.p99_ms for series in outcome.measurements.series for point in series.points if point.p99_ms is not None]
    marks = decades(values)
    return _chart(
        "latency p99", outcome, plan, lambda point: point.p99_ms, lambda _: marks, lambda value: f"{value:g} ms", is_log=True
    )


def _success(point: Point) -> float | None:
    return point.ok / point.sent if point.sent else None


def _chart(
    name: str,
    outcome: Outcome,
    plan: Plan,
    value_of: Callable[[Point], float | None],
    marks_of: Callable[[Sequence[Series]], Sequence[float]],
    write: Callable[[float], str],
    *,
    is_log: bool = False,
) -> TimeChart:
    x = Scale(low=0.0, high=plan.load.duration_s, start=LEFT, end=WIDTH - RIGHT)
    windows = _windows(outcome.measurements.steps, x, plan.load.duration_s)
    plot_top = LANE_HEIGHT * (1 + max((item.lane for item in windows), default=-1)) + 4
    numbers = class_numbers(outcome)
    panels = []
    for index, path in enumerate(plan.paths):
        top = plot_top + index * (PANEL_TITLE + PANEL_HEIGHT + PANEL_GAP) + PANEL_TITLE
        own = [series for series in outcome.measurements.series if series.path == path.name]
        marks = marks_of(own)
        y = Scale(low=marks[0], high=marks[-1], start=top + PANEL_HEIGHT, end=top, is_log=is_log)
        lines = [
            Line(
                connection_class=series.connection_class,
                number=numbers[series.connection_class],
                path=step_line([(point.at_s, value_of(point)) for point in series.points], series.bin_s, x, y),
            )
            for series in own
        ]
        panels.append(
            Panel(
                title=path.name,
                top=top,
                losses=tuple(_losses(own, x)),
                ticks=tuple(Tick(at=y(mark), label=write(mark)) for mark in marks),
                lines=tuple(lines),
                cells=tuple(_cells(own, x)),
            )
        )
    plot_bottom = plot_top + len(panels) * (PANEL_TITLE + PANEL_HEIGHT + PANEL_GAP) - PANEL_GAP
    return TimeChart(
        name=name,
        height=plot_bottom + AXIS_HEIGHT,
        plot_top=plot_top,
        plot_bottom=plot_bottom,
        panels=tuple(panels),
        windows=windows,
        ticks=tuple(Tick(at=x(mark), label=f"{mark:g} s") for mark in ticks(0.0, plan.load.duration_s, 12)),
    )


def _windows(steps: Iterable[StepMeasurement], x: Scale, duration_s: float) -> tuple[Window, ...]:
    """Faults from effective to healed, rescales from planned to done; what never ended lasts to the end of the load."""
    spans = []
    for step in steps:
        is_rescale = step.kind == SCALE_KIND
        begin_s = step.planned_s if is_rescale or step.effective_s is None else step.effective_s
        end_s = step.done_s if is_rescale else (step.healed_s or step.done_s)
        spans.append((step, is_rescale, begin_s, end_s))
    spans.sort(key=lambda item: item[2])
    label_lefts = [min(x(begin_s), WIDTH - RIGHT - text_width(step.step)) for step, _, begin_s, _ in spans]
    rows = lanes([(left, left + text_width(step.step)) for left, (step, *_) in zip(label_lefts, spans, strict=True)])
    return tuple(
        Window(
            kind="rescale" if is_rescale else "fault",
            label=step.step,
            tooltip=f"{step.step} ({step.kind} {', '.join(step.targets)}): {format_instant(begin_s)} to {format_instant(end_s)}",
            left=x(begin_s),
            width=max(2.0, round(x(duration_s if end_s is None else end_s) - x(begin_s), 2)),
            label_left=left,
            lane=lane,
        )
        for (step, is_rescale, begin_s, end_s), left, lane in zip(spans, label_lefts, rows, strict=True)
    )


def _losses(series: Sequence[Series], x: Scale) -> Iterable[Loss]:
    """Neighbouring bins with a failure in any class are one span."""
    failed: dict[float, int] = {}
    for item in series:
        for point in item.points:
            if point.ok < point.sent:
                failed[point.at_s] = failed.get(point.at_s, 0) + point.sent - point.ok
    bin_s = series[0].bin_s if series else 0.0
    spans: list[tuple[float, float, int]] = []
    for at_s in sorted(failed):
        if spans and at_s - spans[-1][1] < bin_s / 2:
            spans[-1] = (spans[-1][0], at_s + bin_s, spans[-1][2] + failed[at_s])
        else:
            spans.append((at_s, at_s + bin_s, failed[at_s]))
    for begin_s, end_s, number in spans:
        tooltip = f"{number} failed between {begin_s:g} s and {end_s:g} s"
        yield Loss(left=x(begin_s), width=max(2.0, round(x(end_s) - x(begin_s), 2)), tooltip=tooltip)


def _cells(series: Sequence[Series], x: Scale) -> Iterable[Cell]:
    """One for each bin; of a long load, for every few bins, saying the worst of them."""
    if not series:
        return
    every = -(-len(series[0].points) // _MAX_CELLS)
    for first in range(0, len(series[0].points), every):
        groups = [(item, item.points[first : first + every]) for item in series]
        begin_s, end_s = groups[0][1][0].at_s, groups[0][1][-1].at_s + groups[0][0].bin_s
        lines = [f"{begin_s:g} s to {end_s:g} s"]
        lines += [f"{item.connection_class}: {_describe(points)}" for item, points in groups if points]
        yield Cell(left=x(begin_s), width=round(x(end_s) - x(begin_s), 2), tooltip="\n".join(lines))


def _describe(points: Sequence[Point]) -> str:
    sent, ok = sum(point.sent for point in points), sum(point.ok for point in points)
    if not sent:
        return "nothing sent"
    p99_ms = max((point.p99_ms for point in points if point.p99_ms is not None), default=None)
    return f"{ok} of {sent} as expected ({format_ratio(ok / sent)}), p99 {format_ms(p99_ms)}"
