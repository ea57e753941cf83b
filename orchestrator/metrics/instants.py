"""The steps of a run as they happened: planned, issued, effective, healed, done, in seconds from the start of the load."""

from dataclasses import replace

from orchestrator.model.history import Event, History
from orchestrator.model.measurements import StepMeasurement, Stopped
from orchestrator.model.plan import Plan, StepPlan

SCALE = "scale"


def settle_instants(plan: Plan, history: History) -> Plan:
    """The plan as it was carried out: steps that waited for an event at the instants they were given, in order (one whose event
    never came keeps its earliest), and a load that a stop condition ended as long as it lasted."""
    timeline = sorted((_settled(step, history) for step in plan.timeline), key=lambda step: step.at_s)
    return replace(plan, timeline=tuple(timeline), load=replace(plan.load, duration_s=_lasted_s(plan, history)))


def _lasted_s(plan: Plan, history: History) -> float:
    stopped = history.first("stop-condition")
    if stopped is None:
        return plan.load.duration_s
    # The sender ends a moment after it is told to.
    ended = history.first("load-finished") or stopped
    return min(plan.load.duration_s, max(history.seconds(stopped), history.seconds(ended)))


def _settled(step: StepPlan, history: History) -> StepPlan:
    issued = None if step.after is None else history.first("step-issued", step=step.step)
    at_s = None if issued is None else issued.fields.get("at_s")
    return replace(step, at_s=at_s) if isinstance(at_s, int | float) else step


def measure_stop(history: History) -> Stopped | None:
    event = history.first("stop-condition")
    if event is None:
        return None
    failed = event.fields.get("failed")
    return Stopped(
        at_s=history.seconds(event),
        condition=str(event.fields.get("text")),
        failed=failed if isinstance(failed, int) else 0,
        is_objective=event.fields.get("is_objective") is True,
    )


def measure_steps(plan: Plan, history: History) -> tuple[StepMeasurement, ...]:
    """One for each step of the plan; `effective_s` is None where the history has no evidence."""
    return tuple(_measure_step(step, history) for step in plan.timeline)


def _measure_step(step: StepPlan, history: History) -> StepMeasurement:
    effective = history.first("step-effective", step=step.step)
    failed = history.first("step-failed", step=step.step)
    effective_s = _seconds(history, effective)
    strikes = [event for event in history.select("fault-effective", id=step.step) if event.container in step.targets]
    return StepMeasurement(
        step=step.step,
        kind=step.kind,
        targets=step.targets,
        group=step.group,
        planned_s=step.at_s,
        effective_s=effective_s,
        # A rescale is effective when the cluster has followed: its deviation from the plan is no lateness.
        deviation_ms=None if effective_s is None or step.kind == SCALE else (effective_s - step.at_s) * 1000,
        healed_s=_seconds(history, history.first("step-healed", step=step.step)),
        done_s=_seconds(history, history.first("step-done", step=step.step)),
        evidence=str(effective.fields.get("evidence", "")) if effective else "",
        late_ms=max((late for event in strikes if (late := _late_ms(event)) is not None), default=None),
        known_within_ms=max((known for event in strikes if (known := _known_ms(event)) is not None), default=None),
        failure=None if failed is None else str(failed.fields.get("evidence") or "failed"),
    )


def _late_ms(strike: Event) -> float | None:
    at_mono_ns = strike.fields.get("at_mono_ns")
    return (strike.t_mono_ns - at_mono_ns) / 1e6 if isinstance(at_mono_ns, int) else None


def _known_ms(strike: Event) -> float | None:
    known = strike.fields.get("known_within_ms")
    return float(known) if isinstance(known, int | float) else None


def _seconds(history: History, event: Event | None) -> float | None:
    return None if event is None else history.seconds(event)


def window_of(step: StepMeasurement, steps: tuple[StepMeasurement, ...], duration_s: float) -> tuple[float, float]:
    """What is attributed to a step: from its instant to the next one's that is not of its group, or to the end of the load."""
    start = begin_of(step)
    later = [begin_of(other) for other in steps if begin_of(other) > start and not _together(step, other)]
    return start, min([*later, duration_s])


def leads(step: StepMeasurement, steps: tuple[StepMeasurement, ...]) -> bool:
    """Whether losses are put to it: of steps that strike together only to the first that was effective."""
    others = [other for other in steps if _together(step, other) and other.effective_s is not None]
    return step.effective_s is not None and step == min([step, *others], key=begin_of)


def with_companions(step: StepPlan, plan: Plan) -> StepPlan:
    """The step with the targets of all that strike together with it."""
    if step.group is None:
        return step
    targets = dict.fromkeys(name for other in plan.timeline if other.group == step.group for name in other.targets)
    return replace(step, targets=tuple(targets))


def _together(step: StepMeasurement, other: StepMeasurement) -> bool:
    return step.group is not None and step.group == other.group


def begin_of(step: StepMeasurement) -> float:
    """A fault begins when it is effective, a rescale when it is asked for."""
    return step.planned_s if step.kind == SCALE or step.effective_s is None else step.effective_s
