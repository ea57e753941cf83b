"""What needs the API while another step has it down: orders to the cluster, and killed programs that come back. Pure."""

from orchestrator.model.plan import ORDERS_S, Role, StepPlan
from orchestrator.planner.complaints import Complaints
from orchestrator.planner.draining import drains
from orchestrator.planner.lasting import Planned, free_s, lasts_on
from orchestrator.planner.strikes import Strike

AWAITS = "awaits"
"""Parameter of a step: what a killed program of a node tells when it is back, and cannot without the API."""
AWAITED_S = 5.0
"""So long at the most is it waited for."""
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


def check_revivals(planned: list[Planned], duration_s: float, complaints: Complaints) -> None:
    """A killed program of a node whose first acts need the API is not back while that is down: nothing is armed there in time."""
    complained: set[object] = set()
    outages = [other for other in planned if has_api_down(other[1])]
    for one in planned:
        for killed in planned:
            pair = one[0].location[1], killed[0].location[1]
            if pair in complained or not _follows(one, killed):
                continue
            down = next((other for other in outages if _is_healed_during(killed, other, duration_s)), None)
            free_at_s = killed[0].latest_s + (killed[1].for_s or 0.0) + AWAITED_S + ORDERS_S
            if down is not None and one[0].earliest_s < free_at_s:
                complained.add(pair)
                _complain_of_revival(one[0], killed[0], down[0], free_at_s, complaints)


def _complain_of_revival(strike: Strike, killed: Strike, down: Strike, free_at_s: float, complaints: Complaints) -> None:
    place, before = strike.location[1], killed.location[1]
    is_flap = place == before
    since_s = killed.earliest_s if is_flap else 0.0
    whose = "the strike before" if is_flap else f"timeline[{before}]"
    complaints.add(
        "timeline",
        place,
        "every" if is_flap else "at",
        message=f"strikes while what {whose} has killed waits for the API, which timeline[{down.location[1]}] has down",
        found=f"{strike.earliest_s - since_s:g}s",
        allowed=f"{free_at_s - since_s:g}s or more, or while the API answers",
    )


def _follows(one: Planned, killed: Planned) -> bool:
    """Whether it strikes what the other one has killed and healed before; of steps that wait for an event nothing is known."""
    if one[1].after is not None or killed[1].after is not None or one[0].group == killed[0].group:
        return False
    is_shared = bool(set(one[1].targets) & set(killed[1].targets))
    return is_shared and bool(killed[1].parameters.get(AWAITS)) and killed[1].for_s is not None and killed[0].at_s < one[0].at_s


def _is_healed_during(killed: Planned, down: Planned, duration_s: float) -> bool:
    lasts_s = killed[1].for_s or 0.0
    return down[0].earliest_s <= killed[0].latest_s + lasts_s and killed[0].earliest_s + lasts_s < free_s(down, duration_s)


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
