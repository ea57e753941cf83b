"""Steps that are orders to the cluster need its API: while another step has it down, they cannot be carried out. Pure."""

from orchestrator.model.plan import Role, StepPlan
from orchestrator.planner.complaints import Complaints
from orchestrator.planner.draining import drains
from orchestrator.planner.lasting import Planned, free_s, lasts_on

ORDERS = frozenset({"node-replace", "rolling-restart", "scale"})
"""Beside drains: kinds that ask the API for what they do."""


def check_api(planned: list[Planned], duration_s: float, complaints: Complaints) -> None:
    """One problem for each entry. Of steps that wait for an event nothing is known but whom they strike with."""
    complained: set[object] = set()
    for one in planned:
        strike, step = one
        if not needs_api(step) or strike.location in complained:
            continue
        for down in (other for other in planned if has_api_down(other[1])):
            key, message, found, allowed = _find(one, down, duration_s)
            if key:
                complained.add(strike.location)
                location = strike.for_location if key == "for" else (*strike.location, key)
                complaints.add(*location, message=message, found=found, allowed=allowed)
                break


def needs_api(step: StepPlan) -> bool:
    """Whether it asks the API for what it does."""
    return drains(step) or step.kind in ORDERS


def has_api_down(step: StepPlan) -> bool:
    """Whether nobody answers there while it lasts."""
    return step.kind == "controlplane-down" and step.targets == (Role.CONTROLPLANE,)


_NOTHING = ("", "", "", "")


def _find(one: Planned, down: Planned, duration_s: float) -> tuple[str, str, str, str]:
    """Key, message, found, allowed."""
    strike, step = one
    place = f"timeline[{down[0].location[1]}]"
    if strike.group == down[0].group:
        return "fault", f"needs the API, which {place} has down from the same instant on", step.kind, "in an entry of its own"
    if step.after is not None or down[1].after is not None:
        return _NOTHING
    begin_s, end_s = down[0].earliest_s, free_s(down, duration_s)
    allowed = "before it is down" if lasts_on(down[1]) else f"before {begin_s:g}s, or from {end_s:g}s on"
    if begin_s <= strike.latest_s + (step.returns_s if step.kind in ORDERS else 0.0) and strike.earliest_s < end_s:
        return "at", f"needs the API while {place} has it down", f"{strike.earliest_s:g}s", allowed
    if step.for_s is None:
        return _NOTHING
    # The node is admitted again by the API, too.
    if begin_s <= strike.latest_s + step.for_s and strike.earliest_s + step.for_s < end_s:
        return "for", f"needs the API when it ends, while {place} has it down", f"{step.for_s:g}s", f"to end {allowed}"
    return _NOTHING
