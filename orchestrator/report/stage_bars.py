"""The stages of each outage as one bar: all bars of a step share one axis, from the fault's effective instant."""

from dataclasses import dataclass

from orchestrator.model.measurements import Outage, Stage
from orchestrator.model.outcome import Outcome
from orchestrator.report.charts import LEFT, RIGHT, WIDTH, Tick
from orchestrator.report.geometry import Scale, spread, ticks
from orchestrator.report.numbers import format_convergence, format_loss_of_connectivity

_MARKER_GAP = 19.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """`state`: good, down (nothing answered yet), brownout (answered again, but not for good)."""

    state: str
    left: float
    width: float
    tooltip: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Marker:
    number: int
    at: float
    """Where it happened."""
    drawn_at: float
    """Where its number stands: moved aside when its neighbours are too near."""
    name: str
    after: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StageBar:
    path: str
    connection_class: str
    failed: int
    convergence: str
    loss_of_connectivity: str
    segments: tuple[Segment, ...]
    markers: tuple[Marker, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StageChart:
    step: str
    kind: str
    bars: tuple[StageBar, ...]
    spared: tuple[str, ...]
    """Paths and classes that lost nothing."""
    ticks: tuple[Tick, ...]
    width: float = WIDTH
    left: float = LEFT
    right: float = WIDTH - RIGHT


def stage_charts(outcome: Outcome) -> tuple[StageChart, ...]:
    """One for each fault, in order of their instants."""
    outages = outcome.measurements.outages
    return tuple(_chart([item for item in outages if item.step == step]) for step in dict.fromkeys(item.step for item in outages))


def _chart(outages: list[Outage]) -> StageChart:
    lossy = [item for item in outages if item.failed]
    length_s = max((_shown_s(item) for item in lossy), default=1.0)
    x = Scale(low=0.0, high=length_s, start=LEFT, end=WIDTH - RIGHT)
    return StageChart(
        step=outages[0].step,
        kind=outages[0].kind,
        bars=tuple(_bar(item, x, length_s) for item in lossy),
        spared=tuple(f"{item.path}/{item.connection_class}" for item in outages if not item.failed),
        ticks=tuple(Tick(at=x(mark), label=f"+{mark:g} s") for mark in ticks(0.0, length_s, 12)),
    )


def _shown_s(outage: Outage) -> float:
    """Up to the last stage and a little more; all of its window when it did not converge."""
    if not outage.converged:
        return outage.window_end_s - outage.effective_s
    last_s = max((stage.at_s - outage.effective_s for stage in outage.stages), default=0.0)
    last_loss_s = 0.0 if outage.last_loss_s is None else outage.last_loss_s - outage.effective_s
    return 1.04 * max(last_s, last_loss_s, outage.convergence_s or 0.0)


def _bar(outage: Outage, x: Scale, length_s: float) -> StageBar:
    stages = sorted(outage.stages, key=lambda stage: stage.at_s)
    at = [x(stage.at_s - outage.effective_s) for stage in stages]
    drawn = spread(at, _MARKER_GAP, LEFT, WIDTH - RIGHT)
    return StageBar(
        path=outage.path,
        connection_class=outage.connection_class,
        failed=outage.failed,
        convergence=format_convergence(outage),
        loss_of_connectivity=format_loss_of_connectivity(outage),
        segments=tuple(_segments(outage, stages, x, length_s)),
        markers=tuple(
            Marker(
                number=number,
                at=at[number - 1],
                drawn_at=drawn[number - 1],
                name=stage.name,
                after=f"+{stage.at_s - outage.effective_s:.3f} s",
                source=stage.source,
            )
            for number, stage in enumerate(stages, start=1)
        ),
    )


def _segments(outage: Outage, stages: list[Stage], x: Scale, length_s: float) -> list[Segment]:
    """Between what the samples say: until the first loss, the first success, the sustained instant, the last loss."""
    sustained_s = outage.effective_s + outage.convergence_s if outage.converged and outage.convergence_s is not None else None
    end_s = outage.effective_s + length_s
    first_loss_s = end_s if outage.first_loss_s is None else outage.first_loss_s
    recovery_s = sustained_s if outage.first_recovery_s is None else outage.first_recovery_s
    settled_s = sustained_s
    if sustained_s is not None and outage.last_loss_s is not None:
        settled_s = max(sustained_s, outage.last_loss_s)
    edges = [
        ("good", outage.effective_s, first_loss_s, "no loss yet"),
        ("down", first_loss_s, recovery_s, "every request fails"),
        ("brownout", recovery_s, sustained_s, "some requests fail"),
        ("brownout", sustained_s, settled_s, "held for the validation time, then single requests fail"),
        ("good", settled_s, end_s, "every request is answered again"),
    ]
    found = []
    for state, begin_s, until_s, meaning in edges:
        if begin_s is None:
            continue
        until_s = end_s if until_s is None else until_s
        left, right = x(begin_s - outage.effective_s), x(until_s - outage.effective_s)
        if right > left:
            tooltip = f"{meaning}: +{begin_s - outage.effective_s:.3f} s to +{until_s - outage.effective_s:.3f} s"
            found.append(Segment(state=state, left=left, width=round(right - left, 2), tooltip=tooltip))
    return found
