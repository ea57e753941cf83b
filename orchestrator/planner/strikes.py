"""Entries of the timeline unrolled: each repetition and each member of a group becomes one strike with its instant. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass

from pydantic import JsonValue

from orchestrator.model.plan import TriggerPlan
from orchestrator.planner.chance import Chance, chance
from orchestrator.scenario.entries import Entry

Location = tuple[int | str, ...]
_Member = tuple[Location, str, tuple[float | None, Location], dict[str, JsonValue]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Strike:
    """One thing that happens at one instant, before its targets are chosen."""

    location: Location
    """Where the user wrote it."""
    kind: str
    at_s: float
    earliest_s: float
    latest_s: float
    """Whatever the seed: between these it strikes."""
    for_s: float | None
    for_location: Location
    """Where the user wrote how long it lasts."""
    elsewhere: dict[str, Location]
    """Options that the user wrote elsewhere than below `location`."""
    options: dict[str, JsonValue]
    group: str
    """Strikes of one repetition of one entry."""
    after: TriggerPlan | None
    delay_latest_s: float
    """From the event of `after`, whatever the seed."""


def place_of(strike: Strike) -> int:
    """Of its entry in the timeline."""
    return int(strike.location[1])


def unroll(entries: tuple[Entry, ...], seed: str) -> tuple[Strike, ...]:
    """In the order of their earliest instants. Each entry draws from a source of its own: a new one does not move the others."""
    strikes = [strike for place, entry in enumerate(entries) for strike in _unroll(place, entry, chance(seed, place))]
    return tuple(sorted(strikes, key=lambda strike: strike.earliest_s))


def _unroll(place: int, entry: Entry, source: Chance) -> Iterator[Strike]:
    for repetition in range(entry.times or 1):
        # Milliseconds, as every other instant that a user writes.
        phase_s = round(source.uniform(0, entry.phase), 3) if entry.phase is not None else 0.0
        earliest_s, most_s, after = (entry.at or 0.0) + repetition * (entry.every or 0.0), entry.phase or 0.0, None
        if entry.after is not None:
            # A phase against whatever the event keeps time with: from the event on, not from the start of the load.
            delay_s = round(entry.after.delay + phase_s, 3)
            after, phase_s, most_s = TriggerPlan(event=entry.after.event, of=entry.after.of, delay_s=delay_s), 0.0, 0.0
        group = f"{place + 1}" if entry.times is None else f"{place + 1}.{repetition + 1}"
        lasts = (entry.for_s, ("timeline", place, "for"))
        members: list[_Member] = [(("timeline", place), entry.kind, lasts, entry.options)]
        if entry.together is not None:
            members = [
                (
                    ("timeline", place, "together", index),
                    member.fault,
                    lasts if member.for_s is None else (member.for_s, ("timeline", place, "together", index, "for")),
                    member.options,
                )
                for index, member in enumerate(entry.together)
            ]
        for location, kind, (for_s, for_location), options in members:
            yield Strike(
                location=location,
                kind=kind,
                at_s=round(earliest_s + phase_s, 3),
                earliest_s=round(earliest_s, 3),
                latest_s=round(earliest_s + most_s, 3),
                for_s=for_s,
                for_location=for_location,
                elsewhere={key: (*location, "scale", key) for key in entry.scale or ()},
                options=options,
                group=group,
                after=after,
                delay_latest_s=0.0 if entry.after is None else entry.after.delay + (entry.phase or 0.0),
            )
