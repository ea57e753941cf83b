"""From when until when a strike has its targets at the most, whatever the seed: one target suffers one step at a time. Pure."""

from collections.abc import Iterable

from orchestrator.model.plan import ORDERS_S, StepPlan
from orchestrator.planner.complaints import Complaints
from orchestrator.planner.strikes import Strike
from orchestrator.scenario.wording import key_path

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
    return min(duration_s, round(over_s(planned, duration_s) + _returns_s(planned[1]), 3))


def _returns_s(step: StepPlan) -> float:
    return max(ORDERS_S, BOOT_S if step.takes_down else step.returns_s)


def begin_s(planned: Planned) -> float:
    """When its targets must be free of any other at the latest: what takes long to arm is armed so much ahead of its instant."""
    strike, step = planned
    # What waits for an event is armed when that has come.
    return round(strike.earliest_s - (step.arming_s if step.after is None else 0.0), 3)


def meet(first: Planned, second: Planned, duration_s: float) -> bool:
    """Whether they may be in place at once."""
    if first[0].group == second[0].group:
        return True
    return begin_s(second) < free_s(first, duration_s) and begin_s(first) < free_s(second, duration_s)


def check_overlaps(planned: list[Planned], duration_s: float, complaints: Complaints) -> None:
    """One container can suffer one step at a time, or no evidence would belong to either."""
    flapping: set[object] = set()
    for index, later in enumerate(planned):
        for earlier in planned[:index]:
            shared = ", ".join(sorted(set(later[1].targets) & set(earlier[1].targets)))
            together = later[0].group == earlier[0].group
            if not shared or not (together or begin_s(later) < free_s(earlier, duration_s)):
                continue
            place = later[0].location[1]
            if together:
                _complain_of_group(later[0], earlier[0], shared, complaints)
            elif place != earlier[0].location[1]:
                _complain(later, earlier, shared, duration_s, complaints)
            elif place not in flapping:
                flapping.add(place)
                _complain_of_flap(later, earlier, shared, duration_s, complaints)


def _complain_of_group(strike: Strike, other: Strike, shared: str, complaints: Complaints) -> None:
    has_target = "target" in strike.options
    complaints.add(
        *strike.location,
        "target" if has_target else "fault",
        message=f"strikes {shared}, as {key_path(other.location)} does at the same instant",
        found=str(strike.options["target"]) if has_target else strike.kind,
        allowed="another target, or an entry of its own" if has_target else "an entry of its own",
    )


def _complain_of_flap(later: Planned, earlier: Planned, shared: str, duration_s: float, complaints: Complaints) -> None:
    """Of one entry: what is too short is the time between its strikes."""
    strike, step = earlier
    every_s = later[0].earliest_s - strike.earliest_s
    if lasts_on(step):
        allowed = f"with a `for` that ends it before: up to {every_s - _returns_s(step) - later[1].arming_s:g}s"
    else:
        allowed = f"{least_every_s(earlier, duration_s):g}s or more"
    complaints.add(
        "timeline",
        strike.location[1],
        "every",
        message=f"strikes {shared} again {_too_soon(later, earlier, duration_s, 'the strike before')}",
        found=f"{every_s:g}s",
        allowed=allowed,
    )


def least_every_s(planned: Planned, duration_s: float) -> float:
    """From one strike of an entry that comes to an end to the next one on the same targets, whatever the phases."""
    strike, step = planned
    return over_s(planned, duration_s) - strike.earliest_s + _returns_s(step) + step.arming_s


def _too_soon(later: Planned, earlier: Planned, duration_s: float, before: str) -> str:
    """What of the earlier one (`before`) keeps it from striking at that instant."""
    at_s, step = later[0].earliest_s, earlier[1]
    if at_s < over_s(earlier, duration_s):
        return f"while {before} still does"
    if at_s < free_s(earlier, duration_s) and _returns_s(step) > ORDERS_S:
        return f"while {before} has {'it start' if len(step.targets) == 1 else 'them start'} again ({_returns_s(step):g}s)"
    return f"too soon after {before}: it takes {max(ORDERS_S, at_s - begin_s(later)):g}s to arm"


def _complain(later: Planned, earlier: Planned, shared: str, duration_s: float, complaints: Complaints) -> None:
    strike, place = later[0], earlier[0].location[1]
    end_s, arming_s = free_s(earlier, duration_s), strike.earliest_s - begin_s(later)
    before = f"timeline[{place}]"
    still = _too_soon(later, earlier, duration_s, before)
    allowed = f"from {end_s + arming_s:g}s on"
    if earlier[1].after is None and lasts_on(earlier[1]):
        allowed = f"another target, or a `for` that ends timeline[{place}] before"
    complaints.add(
        "timeline",
        strike.location[1],
        "at",
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
