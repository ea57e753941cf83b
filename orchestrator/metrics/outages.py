"""What one path and class lost to one fault: how long, in which stages, to which causes."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from orchestrator.metrics.attribution import UNEXPLAINED, Connection, attribute_losses
from orchestrator.metrics.bounds import Instants, explain
from orchestrator.metrics.instants import window_of, with_companions
from orchestrator.metrics.outage_bounds import bound_outage
from orchestrator.metrics.outcomes import count_outcomes
from orchestrator.metrics.ownership import Requests
from orchestrator.metrics.reused_ports import STALE_ENTRY, describe_reused
from orchestrator.metrics.routed_losses import attribute_routed_losses
from orchestrator.metrics.routing import NextHops, find_next_hops
from orchestrator.metrics.spans import Mask, Spans, Times, measure_spans
from orchestrator.metrics.stages import detected_at_s, find_stages, programmed_at_s
from orchestrator.model.history import History
from orchestrator.model.measurements import Outage, Recovery, StepMeasurement
from orchestrator.model.plan import PathPlan, Plan, Role, StepPlan
from orchestrator.model.samples import Samples


def measure_outage(
    plan: Plan,
    history: History,
    steps: tuple[StepMeasurement, ...],
    index: int,
    requests: Requests,
    connections: Sequence[Connection],
) -> Outage:
    """The outage of the step `index`, which must be effective. Formulas: docs/metrics.md, "Outage of one fault"."""
    step, path, mine = with_companions(plan.timeline[index], plan), requests.path, requests.owners == index
    since_s, until_s = window_of(steps[index], steps, plan.load.duration_s)
    # What was on its way when the fault struck is lost from that instant on.
    times = np.maximum(requests.at_s[mine], since_s)
    spans = measure_spans(
        times, requests.good[mine], since_s=since_s, until_s=until_s, validation_s=plan.convergence_validation_s
    )
    is_lost = mine & ~requests.good
    lost = requests.own.where(is_lost)
    hops = find_next_hops(path, step, history, since_s=since_s, until_s=until_s)
    instants = Instants(
        effective_s=since_s,
        until_s=until_s,
        detected_s=_detected_at_s(path, step, history, hops, since_s=since_s, until_s=until_s),
        programmed_s=programmed_at_s(plan, path, step, history, since_s=since_s, until_s=until_s),
        sustained_s=spans.sustained_s,
    )
    causes = np.array(_attribute(lost, step, requests, connections, history, instants, hops), dtype=np.object_)
    reused = requests.reused_of(lost)
    is_stale = np.array([item is not None for item in reused], dtype=np.bool_) & (causes == UNEXPLAINED)
    causes[is_stale] = STALE_ENTRY
    attribution = Counter(causes.tolist())
    stale = describe_reused(item for item, is_named in zip(reused, is_stale, strict=True) if item is not None and is_named)
    bound = bound_outage(path, _as_it_lasted(step, steps[index]), requests.load, plan)
    return Outage(
        step=step.step,
        kind=step.kind,
        path=path.name,
        connection_class=requests.load.connection_class,
        effective_s=since_s,
        window_end_s=until_s,
        resolution_s=1 / requests.load.rate_rps,
        failed=spans.failed,
        outcomes=count_outcomes(lost),
        first_loss_s=spans.first_loss_s,
        first_recovery_s=spans.first_recovery_s,
        last_loss_s=spans.last_loss_s,
        converged=spans.failed == 0 or spans.sustained_s is not None,
        convergence_s=_until_sustained(spans, since_s),
        outage_s=_until_sustained(spans, spans.first_loss_s),
        total_outage_s=spans.total_outage_s,
        brownout_s=spans.brownout_s,
        loss_derived_s=spans.failed / requests.load.rate_rps,
        stages=find_stages(plan, path, step, history, spans, since_s=since_s, until_s=until_s),
        attribution=attribution,
        bound_s=bound.at_most_s,
        bound_why=bound.why,
        explanations=explain(attribution, path, step, requests.load, history, plan.timings, times, instants, hops, stale),
        of_the_fault=_of_the_fault(requests, mine, is_lost, is_stale, times, plan, since_s=since_s, until_s=until_s),
    )


def _of_the_fault(
    requests: Requests, mine: Mask, is_lost: Mask, is_stale: Mask, times: Times, plan: Plan, *, since_s: float, until_s: float
) -> Recovery | None:
    """Without what stale entries cost, which an earlier loss has left; None where they cost nothing."""
    if not is_stale.any():
        return None
    good = requests.good.copy()
    good[np.flatnonzero(is_lost)[is_stale]] = True
    spans = measure_spans(times, good[mine], since_s=since_s, until_s=until_s, validation_s=plan.convergence_validation_s)
    return Recovery(convergence_s=_until_sustained(spans, since_s), last_loss_s=spans.last_loss_s)


def _as_it_lasted(step: StepPlan, measured: StepMeasurement) -> StepPlan:
    """A fault that was healed late, on a busy machine, may cost as much longer."""
    if step.for_s is None or measured.effective_s is None or measured.healed_s is None:
        return step
    # To 10 ms, upwards: it stands in the reasons of bounds, and no bound may be shorter for it.
    return replace(step, for_s=max(step.for_s, math.ceil(round((measured.healed_s - measured.effective_s) * 100, 6)) / 100))


def _attribute(
    lost: Samples,
    step: StepPlan,
    requests: Requests,
    connections: Sequence[Connection],
    history: History,
    instants: Instants,
    hops: NextHops | None,
) -> list[str]:
    if hops is not None and set(step.targets) != {Role.GATEWAY}:
        return attribute_routed_losses(
            lost,
            hops,
            start_mono_ns=history.start_mono_ns or 0,
            programmed_s=instants.programmed_s,
            until_s=instants.until_s,
            use_s=requests.load.connections / requests.load.rate_rps,
        )
    return attribute_losses(
        lost,
        requests.path,
        step,
        connections,
        start_mono_ns=history.start_mono_ns or 0,
        detected_s=instants.detected_s,
        programmed_s=instants.programmed_s,
        until_s=instants.until_s,
    )


def _detected_at_s(
    path: PathPlan, step: StepPlan, history: History, hops: NextHops | None, *, since_s: float, until_s: float
) -> float | None:
    """When nothing was led to the struck nodes any more, by the load balancer's verdict or by the route."""
    if hops is not None:
        return hops.left_s
    return detected_at_s(path.frontend, step, history, since_s=since_s, until_s=until_s) if path.frontend else None


def _until_sustained(spans: Spans, since_s: float | None) -> float | None:
    """0 when nothing was lost; None: not converged."""
    if spans.failed == 0:
        return 0.0
    return None if spans.sustained_s is None or since_s is None else spans.sustained_s - since_s
