"""All measurements of one trial, from its plan, history, samples and the load balancer's connection log."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from orchestrator.errors import InternalError
from orchestrator.metrics.attribution import Connection
from orchestrator.metrics.instants import SCALE, begin_of, leads, measure_steps, measure_stop, settle_instants
from orchestrator.metrics.latency import measure_latency
from orchestrator.metrics.outages import measure_outage
from orchestrator.metrics.outcomes import count_outcomes
from orchestrator.metrics.ownership import NOBODY, Requests, select_requests
from orchestrator.metrics.quality import measure_load
from orchestrator.metrics.rescaling import end_of, measure_rescale, measure_served
from orchestrator.metrics.resources import measure_containers
from orchestrator.metrics.servers import measure_servers
from orchestrator.metrics.sources import measure_sources
from orchestrator.metrics.spans import Mask, time_availability
from orchestrator.model.history import History
from orchestrator.model.measurements import (
    ClassMeasurement,
    Latency,
    Measurements,
    Outage,
    Point,
    Rescale,
    Series,
)
from orchestrator.model.plan import LoadClassPlan, Plan
from orchestrator.model.samples import Outcome, Samples

SERIES_BIN_S = 0.5


def measure(
    plan: Plan,
    history: History,
    samples: Samples,
    *,
    connections: Sequence[Connection] = (),
    totals: Mapping[str, object] | None = None,
) -> Measurements:
    """Raises InternalError when the load never started: there is nothing to measure then."""
    if history.start_mono_ns is None:
        raise InternalError("the history has no start of the load: nothing was measured")
    plan = settle_instants(plan, history)
    trial = _Trial(plan, history, samples, connections)
    return Measurements(
        classes=tuple(trial.measure_class(item) for item in trial.classes),
        steps=trial.steps,
        outages=tuple(trial.outages()),
        rescales=tuple(trial.rescales()),
        served=measure_served(plan, history, samples),
        load=measure_load(plan, samples, totals),
        containers=measure_containers(history, plan.load.duration_s),
        series=tuple(trial.series(item) for item in trial.classes),
        servers=measure_servers(history, connections),
        sources=measure_sources(plan, samples),
        stopped=measure_stop(history),
    )


class _Trial:
    def __init__(self, plan: Plan, history: History, samples: Samples, connections: Sequence[Connection]) -> None:
        self._plan = plan
        self._history = history
        self._connections = connections
        self._start_ns = history.start_mono_ns or 0
        self.classes = tuple(item for item in plan.load.classes if item.path != plan.control_path)
        self.steps = measure_steps(plan, history)
        self._requests = {
            (item.path, item.connection_class): select_requests(plan, samples, item, self.steps, self._start_ns)
            for item in self.classes
        }

    def _of(self, load: LoadClassPlan) -> Requests:
        return self._requests[load.path, load.connection_class]

    def measure_class(self, load: LoadClassPlan) -> ClassMeasurement:
        requests = self._of(load)
        own, at_s, good = requests.own, requests.at_s, requests.good
        before_s, after_s = self._disturbed()
        return ClassMeasurement(
            path=load.path,
            connection_class=load.connection_class,
            rate_rps=load.rate_rps,
            resolution_s=1 / load.rate_rps,
            sent=len(own),
            ok=int(good.sum()),
            refused=int((own.records["outcome"] == Outcome.REFUSED).sum()),
            outcomes=count_outcomes(own),
            retried=int((own.records["attempt"] > 1).sum()),
            balance_ratio=fairness(own.where(at_s < before_s)),
            lost_outside=int((~good & self._outside(requests)).sum()),
            availability_ratio=float(good.mean()) if len(own) else None,
            time_availability_ratio=time_availability(at_s, good, duration_s=self._plan.load.duration_s),
            latency=measure_latency(own),
            latency_before=self._latency(own, at_s < before_s),
            latency_during=self._latency(own, (at_s >= before_s) & (at_s < after_s)),
            latency_after=self._latency(own, at_s >= after_s),
            share_by_pod=_shares(own, "pod_id"),
            share_by_node=_shares(own, "node_id"),
        )

    def _outside(self, requests: Requests) -> Mask:
        """Before the first step, and after a rescale is over and before the next step."""
        outside = requests.owners == NOBODY
        for index, step in enumerate(self.steps):
            if step.kind == SCALE:
                outside |= (requests.owners == index) & (requests.at_s >= end_of(step, self._plan.load.duration_s))
        return np.asarray(outside)

    def _disturbed(self) -> tuple[float, float]:
        """From the first step's begin to the last one's end; all of the load is `before` without steps."""
        ends = [step.done_s or step.healed_s or begin_of(step) for step in self.steps]
        return (
            min((begin_of(step) for step in self.steps), default=self._plan.load.duration_s),
            max(ends, default=self._plan.load.duration_s),
        )

    @staticmethod
    def _latency(own: Samples, mask: NDArray[np.bool_]) -> Latency | None:
        return measure_latency(own.where(mask))

    def outages(self) -> list[Outage]:
        faults = [index for index, step in enumerate(self.steps) if step.kind != SCALE and leads(step, self.steps)]
        return [
            measure_outage(self._plan, self._history, self.steps, index, self._of(load), self._connections)
            for index in faults
            for load in self.classes
        ]

    def rescales(self) -> list[Rescale]:
        found = []
        for index, (step, measured) in enumerate(zip(self._plan.timeline, self.steps, strict=True)):
            if step.kind == SCALE:
                for load in self.classes:
                    of, mine = self._of(load), self._of(load).owners == index
                    found.append(measure_rescale(self._plan, step, measured, of.path, load, of.own, self._start_ns, mine=mine))
        return found

    def series(self, load: LoadClassPlan) -> Series:
        requests = self._of(load)
        own, at_s, good = requests.own, requests.at_s, requests.good
        numbers = np.floor(at_s / SERIES_BIN_S).astype(np.int64)
        latency_ms = (own.records["end_ns"] - own.records["intended_ns"]) / 1e6
        points = []
        for number in range(int(np.ceil(self._plan.load.duration_s / SERIES_BIN_S))):
            inside = numbers == number
            answered = latency_ms[inside & own.ok]
            points.append(
                Point(
                    at_s=number * SERIES_BIN_S,
                    sent=int(inside.sum()),
                    ok=int(good[inside].sum()),
                    p99_ms=float(np.percentile(answered, 99)) if len(answered) else None,
                )
            )
        return Series(path=load.path, connection_class=load.connection_class, bin_s=SERIES_BIN_S, points=tuple(points))


def _shares(own: Samples, field: str) -> Mapping[str, float]:
    """Share of the ok requests that each pod or node answered."""
    answered = own.where(own.ok)
    names, counts = np.unique(answered.column(field), return_counts=True)
    return {str(name): float(count / len(answered)) for name, count in zip(names, counts, strict=True) if name}


def fairness(own: Samples) -> float | None:
    """Jain's fairness index, (sum x)^2 / (n sum x^2), of the ok requests x of n pods; None when no pod answered.

    Source: Jain, Chiu, Hawe: A Quantitative Measure of Fairness, DEC-TR-301, 1984.
    """
    pods, counts = np.unique(own.records["pod_id"][own.ok], return_counts=True)
    counts = counts[pods != 0].astype(np.float64)
    return float(counts.sum() ** 2 / (len(counts) * (counts**2).sum())) if len(counts) else None
