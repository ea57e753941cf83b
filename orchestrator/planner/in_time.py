"""Whether strikes come, and end, early enough for a recovery to be seen, whatever the seed draws. Pure."""

import math

from orchestrator.planner.complaints import Complaints
from orchestrator.planner.strikes import Strike, place_of
from orchestrator.scenario.schema import Scenario


def check_instants(scenario: Scenario, strike: Strike, complaints: Complaints) -> None:
    """With the whole phase: whether there is time must not depend on the draw."""
    latest_s = latest_end_s(scenario)
    due_s = strike.latest_s + strike.delay_latest_s
    if _check_repetitions(scenario, strike, latest_s, complaints):
        return
    drawn = " with its phase" if strike.latest_s > strike.earliest_s else ""
    if due_s > latest_s:
        waits = strike.latest_s <= latest_s
        is_over = due_s >= scenario.duration
        late = f"{'is ' * waits}after the end of the load" if is_over else "leaves no time to see a recovery"
        complaints.add(
            "timeline",
            place_of(strike),
            *(("after", "delay") if waits else ("at",)),
            message=f"{due_s:g}s {late}" if waits else late,
            found=f"{strike.delay_latest_s:g}s" if waits else f"{strike.earliest_s:g}s" + (drawn and f", {due_s:g}s{drawn}"),
            allowed=f"up to {latest_s - strike.latest_s:g}s" if waits else f"0s to {latest_s:g}s",
        )
    elif strike.for_s is not None and due_s + strike.for_s > latest_s:
        complaints.add(
            *strike.for_location,
            message=f"ends at {due_s + strike.for_s:g}s{drawn}, with no time left to see a recovery",
            found=f"{strike.for_s:g}s",
            allowed=f"up to {latest_s - due_s:g}s" if due_s < latest_s else "an earlier instant",
        )


def _check_repetitions(scenario: Scenario, strike: Strike, latest_s: float, complaints: Complaints) -> bool:
    """Whether it is one of an entry whose first strike is in time, and its last is not: told once, of how many there may be."""
    entry = scenario.timeline[place_of(strike)]
    if entry.times is None or entry.every is None or entry.at is None:
        return False
    lasts_s = (entry.phase or 0.0) + (strike.for_s or 0.0)
    most = math.floor(round((latest_s - entry.at - lasts_s) / entry.every, 6)) + 1
    if not 0 < most < entry.times:
        return False
    last_s = entry.at + (entry.times - 1) * entry.every
    complaints.add(
        "timeline",
        place_of(strike),
        "times",
        message=f"strikes until {last_s + lasts_s:g}s, with no time left to see a recovery",
        found=str(entry.times),
        allowed=f"up to {most}",
    )
    return True


def latest_end_s(scenario: Scenario) -> float:
    """Until then a fault may last: a recovery takes its time to be seen."""
    return max(0.0, scenario.duration - scenario.convergence_validation)
