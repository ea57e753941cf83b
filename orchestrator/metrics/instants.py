"""The steps of a run as they happened: planned, issued, effective, healed, done, in seconds from the start of the load."""

from orchestrator.model.history import Event, History
from orchestrator.model.measurements import StepMeasurement
from orchestrator.model.plan import Plan, StepPlan

SCALE = "scale"


def measure_steps(plan: Plan, history: History) -> tuple[StepMeasurement, ...]:
    """One for each step of the plan; `effective_s` is None where the history has no evidence."""
    return tuple(_measure_step(step, history) for step in plan.timeline)


def _measure_step(step: StepPlan, history: History) -> StepMeasurement:
    effective = history.first("step-effective", step=step.step)
    failed = history.first("step-failed", step=step.step)
    effective_s = _seconds(history, effective)
    return StepMeasurement(
        step=step.step,
        kind=step.kind,
        targets=step.targets,
        planned_s=step.at_s,
        effective_s=effective_s,
        # A rescale is effective when the cluster has followed: its deviation from the plan is no lateness.
        deviation_ms=None if effective_s is None or step.kind == SCALE else (effective_s - step.at_s) * 1000,
        healed_s=_seconds(history, history.first("step-healed", step=step.step)),
        done_s=_seconds(history, history.first("step-done", step=step.step)),
        evidence=str(effective.fields.get("evidence", "")) if effective else "",
        failure=None if failed is None else str(failed.fields.get("error", failed.fields.get("reason", "failed"))),
    )


def _seconds(history: History, event: Event | None) -> float | None:
    return None if event is None else history.seconds(event)


def window_of(step: StepMeasurement, steps: tuple[StepMeasurement, ...], duration_s: float) -> tuple[float, float]:
    """What is attributed to a step: from its instant to the next step's, or to the end of the load."""
    start = begin_of(step)
    later = [begin_of(other) for other in steps if begin_of(other) > start]
    return start, min([*later, duration_s])


def begin_of(step: StepMeasurement) -> float:
    """A fault begins when it is effective, a rescale when it is asked for."""
    return step.planned_s if step.kind == SCALE or step.effective_s is None else step.effective_s
