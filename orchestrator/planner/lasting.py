"""From when until when a strike has its targets at the most, whatever the seed: one target suffers one step at a time. Pure."""

from collections.abc import Iterable

from orchestrator.model.plan import StepPlan
from orchestrator.planner.complaints import Complaints
from orchestrator.planner.strikes import Strike

BOOT_S = 2.0
"""A container that was down is given this long to start and to take orders; on a busy machine a node takes 1 s."""

Planned = tuple[Strike, StepPlan]


def names_of(step: StepPlan, key: str) -> tuple[str, ...]:
    """Nodes that a step adds or removes (`key`)."""
    value = step.parameters.get(key, ())
    return tuple(str(item) for item in value) if isinstance(value, list | tuple) else ()


def lasts_on(step: StepPlan) -> bool:
    """Until the end of the load, for all that the plan knows."""
    return step.after is not None or (step.for_s is None and not step.is_momentary)


def over_s(planned: Planned, duration_s: float) -> float:
    """When the last of it is over in its targets at the latest, less their start."""
    strike, step = planned
    return duration_s if lasts_on(step) else strike.latest_s + (step.for_s or 0.0)


def free_s(planned: Planned, duration_s: float) -> float:
    """When its targets can be struck again."""
    return min(duration_s, over_s(planned, duration_s) + (BOOT_S if planned[1].takes_down else 0.0))


def begin_s(planned: Planned) -> float:
    """When its targets must be free of any other at the latest: what takes long to arm is armed so much ahead of its instant."""
    strike, step = planned
    # What waits for an event is armed when that has come.
    return strike.earliest_s - (step.arming_s if step.after is None else 0.0)


def meet(first: Planned, second: Planned, duration_s: float) -> bool:
    """Whether they may be in place at once."""
    if first[0].group == second[0].group:
        return True
    return begin_s(second) < free_s(first, duration_s) and begin_s(first) < free_s(second, duration_s)


def check_overlaps(planned: list[Planned], duration_s: float, complaints: Complaints) -> None:
    """One container can suffer one step at a time, or no evidence would belong to either."""
    for index, later in enumerate(planned):
        for earlier in planned[:index]:
            shared = ", ".join(sorted(set(later[1].targets) & set(earlier[1].targets)))
            if shared and (later[0].group == earlier[0].group or begin_s(later) < free_s(earlier, duration_s)):
                _complain(later, earlier, shared, duration_s, complaints)


def _complain(later: Planned, earlier: Planned, shared: str, duration_s: float, complaints: Complaints) -> None:
    strike, place, together = later[0], earlier[0].location[1], later[0].group == earlier[0].group
    end_s, arming_s = free_s(earlier, duration_s), strike.earliest_s - begin_s(later)
    if together or strike.earliest_s < over_s(earlier, duration_s):
        still = f"while timeline[{place}] still does"
    elif strike.earliest_s < end_s:
        still = f"while timeline[{place}] has it start again ({BOOT_S:g}s)"
    else:
        still = f"too soon after timeline[{place}]: it takes {arming_s:g}s to arm"
    allowed = "another target" if together else f"from {end_s + arming_s:g}s on"
    if earlier[1].after is None and lasts_on(earlier[1]) and not together:
        allowed = f"another target, or a `for` that ends timeline[{place}] before"
    complaints.add(
        "timeline",
        strike.location[1],
        "target" if together else "at",
        message=f"strikes {shared} {still}",
        found=f"{strike.earliest_s:g}s",
        allowed=allowed,
    )


def check_order(planned: list[Planned], complaints: Complaints) -> None:
    """Which nodes there are must not depend on the draw: what adds or removes some shares no window with another strike."""
    for changing, step in planned:
        if not (names_of(step, "add") or names_of(step, "remove")):
            continue
        for other in _others_within(changing, (strike for strike, _ in planned)):
            complaints.add(
                "timeline",
                changing.location[1],
                "phase" if changing.latest_s > changing.earliest_s else "at",
                message=f"adds or removes nodes before or after timeline[{other.location[1]}], as the seed has it",
                found=f"{changing.earliest_s:g}s to {changing.latest_s:g}s",
                allowed=f"outside of {other.earliest_s:g}s to {other.latest_s:g}s",
            )


def _others_within(strike: Strike, others: Iterable[Strike]) -> list[Strike]:
    """One of each entry that may strike before this one as well as after it."""
    found = {
        other.location[1]: other
        for other in others
        if other.group != strike.group and other.earliest_s < strike.latest_s and strike.earliest_s < other.latest_s
    }
    return list(found.values())
