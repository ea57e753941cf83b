"""Entries of the timeline unrolled: each repetition and each member of a group becomes one strike with its instant. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass

from pydantic import JsonValue

from orchestrator.model.plan import TriggerPlan
from orchestrator.planner.chance import Chance, chance
from orchestrator.scenario.entries import Entry

Location = tuple[int | str, ...]
_Member = tuple[Location, str, float | None, dict[str, JsonValue]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Strike:
    """One thing that happens at one instant, before its targets are chosen."""

    location: Location
    """Where the user wrote it."""
    kind: str
    at_s: float
    for_s: float | None
    options: dict[str, JsonValue]
    group: str
    """Strikes of one repetition of one entry."""
    after: TriggerPlan | None


def unroll(entries: tuple[Entry, ...], seed: str) -> tuple[Strike, ...]:
    """In the order of their instants. Each entry draws from a source of its own, so that a new one does not move the others."""
    strikes = [strike for place, entry in enumerate(entries) for strike in _unroll(place, entry, chance(seed, place))]
    return tuple(sorted(strikes, key=lambda strike: strike.at_s))


def _unroll(place: int, entry: Entry, source: Chance) -> Iterator[Strike]:
    after = None
    if entry.after is not None:
        after = TriggerPlan(event=entry.after.event, of=entry.after.of, delay_s=entry.after.delay)
    for repetition in range(entry.times or 1):
        # Milliseconds, as every other instant that a user writes.
        phase_s = round(source.uniform(0, entry.phase), 3) if entry.phase is not None else 0.0
        at_s = (entry.at or 0.0) + repetition * (entry.every or 0.0) + phase_s
        group = f"{place + 1}" if entry.times is None else f"{place + 1}.{repetition + 1}"
        members: list[_Member] = [(("timeline", place), entry.kind, None, entry.options)]
        if entry.together is not None:
            members = [
                (("timeline", place, "together", index), member.fault, member.for_s, member.options)
                for index, member in enumerate(entry.together)
            ]
        for location, kind, for_s, options in members:
            yield Strike(
                location=location,
                kind=kind,
                at_s=round(at_s, 3),
                for_s=for_s if for_s is not None else entry.for_s,
                options=options,
                group=group,
                after=after,
            )
