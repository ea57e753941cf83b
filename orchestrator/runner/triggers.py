"""Steps that wait for an event, and conditions that end the run: both watch the history while the load runs."""

from dataclasses import dataclass, replace

from orchestrator.contracts import World
from orchestrator.errors import DeadlineError
from orchestrator.model.history import Event
from orchestrator.model.plan import StepPlan, StopPlan, TriggerPlan

LEAD_S = 0.4
"""Between the event and the strike at the least: time to hear of it and to arm the fault, which then fires on the clock. What
takes longer to arm strikes later."""
LOAD_LAG_S = 5.0
"""The load's progress and its end are told this much late at the most."""


def await_trigger(step: StepPlan, world: World, *, start_ns: int, end_ns: int) -> StepPlan:
    """The step with the instant at which it is to strike, once its event has come.

    Raises DeadlineError when the load ends first; InterruptedRunError.
    """
    trigger = step.after
    assert trigger is not None
    earliest_ns = start_ns + round(step.at_s * 1e9)
    world.clock.sleep_until_mono_ns(earliest_ns)
    event = world.wait_event(
        lambda event: tells(event, trigger),
        since_ns=earliest_ns,
        deadline_s=max(0.0, (end_ns - world.clock.now_mono_ns()) / 1e9),
        what=f"{trigger.event} of {trigger.of or 'anything'}, for which {step.step} waits",
    )
    lead_ns = round(max(LEAD_S, step.arming_s) * 1e9)
    due_ns = max(event.t_mono_ns + round(trigger.delay_s * 1e9), world.clock.now_mono_ns() + lead_ns)
    if due_ns >= end_ns:
        raise DeadlineError(f"{trigger.event} in time for {step.step}", (end_ns - start_ns) / 1e9, f"it came at the end: {event}")
    return replace(step, at_s=(due_ns - start_ns) / 1e9)


def tells(event: Event, trigger: TriggerPlan) -> bool:
    """Whether it is the event that the step waits for."""
    if event.event != trigger.event:
        return False
    return trigger.of is None or trigger.of == event.container or trigger.of in event.fields.values()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """A stop condition that came true, and the report that shows it."""

    condition: StopPlan
    event: Event


def await_stop(condition: StopPlan, world: World, *, start_ns: int, end_ns: int) -> Reached | None:
    """None when the load ends first. Raises InterruptedRunError."""

    def reached(event: Event) -> bool:
        found = event.fields
        failed = found.get("failed", 0)
        return (
            event.event == "load-progress"
            and found.get("path") == condition.path
            and condition.connection_class in (None, found.get("class"))
            and isinstance(failed, int)
            and failed >= condition.failed
        )

    deadline_s = (end_ns - world.clock.now_mono_ns()) / 1e9 + LOAD_LAG_S
    try:
        event = world.wait_event(
            lambda event: event.event == "load-finished" or reached(event),
            since_ns=start_ns,
            deadline_s=max(0.0, deadline_s),
            what=f"{condition.text}, or the load's end",
        )
    except DeadlineError:
        return None
    return Reached(condition=condition, event=event) if reached(event) else None
