"""What a rescale cost each path and class, and how soon a new node served."""

import numpy as np

from orchestrator.metrics.instants import SCALE
from orchestrator.metrics.latency import measure_latency
from orchestrator.metrics.outcomes import count_outcomes, met
from orchestrator.metrics.spans import Mask
from orchestrator.model.history import Event, History
from orchestrator.model.measurements import Rescale, Served, StepMeasurement
from orchestrator.model.plan import LoadClassPlan, PathPlan, Plan, StepPlan
from orchestrator.model.samples import Samples

BEFORE_S = 5.0
"""How much of the time before a rescale its latency is compared with."""
SETTLE_S = 2.0
"""Losses up to this long after a rescale is done still belong to it: a node that left may be missed late."""


def end_of(measured: StepMeasurement, duration_s: float) -> float:
    """Until when losses are put to a rescale: `SETTLE_S` after it is done, or the end of the load when it never was."""
    return min(duration_s, (measured.done_s if measured.done_s is not None else duration_s) + SETTLE_S)


def measure_rescale(
    plan: Plan,
    step: StepPlan,
    measured: StepMeasurement,
    path: PathPlan,
    load: LoadClassPlan,
    own: Samples,
    start_ns: int,
    *,
    mine: Mask | None = None,
) -> Rescale:
    """Lost: requests between the step's instant and `end_of` that did not get what the path must answer.

    `mine`: the requests that belong to this step and to no later one (metrics/ownership.py); without it, all since its instant.
    """
    at_s = (own.records["intended_ns"] - start_ns) / 1e9
    mine = at_s >= step.at_s if mine is None else mine
    during = own.where(mine & (at_s < end_of(measured, plan.load.duration_s)))
    before = own.where((at_s >= step.at_s - BEFORE_S) & (at_s < step.at_s))
    lost = during.where(~met(during, path.expect))
    return Rescale(
        step=step.step,
        direction=_direction(plan, step),
        drained=bool(step.parameters.get("drain")),
        path=path.name,
        connection_class=load.connection_class,
        issued_s=step.at_s,
        done_s=measured.done_s,
        lost=len(lost),
        outcomes=count_outcomes(lost),
        latency_before=measure_latency(before),
        latency_during=measure_latency(during),
    )


def _direction(plan: Plan, step: StepPlan) -> str:
    """Down when nodes leave, or when only pods do: requests are lost to what is taken away."""
    if step.parameters.get("remove") or step.parameters.get("add"):
        return "down" if step.parameters.get("remove") else "up"
    before, after = _pods_before(plan, step), step.parameters.get("pods")
    return "down" if isinstance(after, int) and before is not None and after < before else "up"


def _pods_before(plan: Plan, step: StepPlan) -> int | None:
    """Replicas of the step's Deployment when it is issued: those of the rescale before it, else of the manifest."""
    wanted = step.parameters.get("deployment")
    for earlier in reversed([item for item in plan.timeline if item.kind == SCALE and item.at_s < step.at_s]):
        pods = earlier.parameters.get("pods")
        if isinstance(pods, int) and earlier.parameters.get("deployment") == wanted:
            return pods
    for body in plan.objects:
        metadata, spec = body.get("metadata"), body.get("spec")
        if body.get("kind") == "Deployment" and isinstance(metadata, dict) and wanted in (None, metadata.get("name")):
            replicas = spec.get("replicas", 1) if isinstance(spec, dict) else 1
            return replicas if isinstance(replicas, int) else None
    return None


def measure_served(plan: Plan, history: History, samples: Samples) -> tuple[Served, ...]:
    """Of each added node, seconds from the step's instant to: Ready, up behind the load balancer, first request answered."""
    start_ns = history.start_mono_ns
    if start_ns is None:
        return ()
    found = []
    for step in plan.timeline:
        added = step.parameters.get("add", ()) if step.kind == SCALE else ()
        for node in added if isinstance(added, list | tuple) else ():
            since_ns = start_ns + round(step.at_s * 1e9)
            answered = samples.records["end_ns"][
                samples.ok & (samples.column("node_id") == node) & (samples.records["intended_ns"] >= since_ns)
            ]
            found.append(
                Served(
                    node=str(node),
                    ready_s=_after(history.first("node-ready", since_ns=since_ns, node=node), since_ns),
                    in_load_balancer_s=_after(history.first("server-up", since_ns=since_ns, server=node), since_ns),
                    first_answer_s=float((np.min(answered) - since_ns) / 1e9) if len(answered) else None,
                )
            )
    return tuple(found)


def _after(event: Event | None, since_ns: int) -> float | None:
    return None if event is None else (event.t_mono_ns - since_ns) / 1e9
