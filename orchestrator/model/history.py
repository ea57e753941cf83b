"""The history: one ordered list of what happened in a run, each with its source. Judges read it and nothing else."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing that happened. `t_mono_ns` is CLOCK_MONOTONIC of the engine's machine; `fields` is flat JSON."""

    t_mono_ns: int
    source: str
    event: str
    fields: Mapping[str, object] = field(default_factory=dict)

    @property
    def container(self) -> str:
        return self.source.partition("/")[0]

    def to_json(self) -> str:
        record = {"t_mono_ns": self.t_mono_ns, "source": self.source, "event": self.event, "fields": dict(self.fields)}
        return json.dumps(record, separators=(",", ":"), sort_keys=True)


def decode_event(line: str | bytes) -> Event | None:
    """The event in one line of output, or None when the line is plain log."""
    if line.lstrip()[:1] not in ("{", b"{"):
        return None
    try:
        record = json.loads(line)
    except ValueError:
        return None
    if not isinstance(record, dict) or not isinstance(record.get("event"), str):
        return None
    t_mono_ns, source, fields = record.get("t_mono_ns"), record.get("source"), record.get("fields", {})
    if not isinstance(t_mono_ns, int) or not isinstance(source, str) or not isinstance(fields, dict):
        return None
    return Event(t_mono_ns=t_mono_ns, source=source, event=record["event"], fields=fields)


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """Events in the order of their instants. `start_mono_ns` is the instant 0 of the load."""

    events: tuple[Event, ...]
    start_mono_ns: int | None

    def select(self, *names: str, since_ns: int = 0, **fields: object) -> Iterator[Event]:
        """Events with one of these names, not before `since_ns`, whose fields equal the given ones."""
        for event in self.events:
            named = event.event in names and event.t_mono_ns >= since_ns
            if named and all(event.fields.get(key) == value for key, value in fields.items()):
                yield event

    def first(self, *names: str, since_ns: int = 0, **fields: object) -> Event | None:
        return next(self.select(*names, since_ns=since_ns, **fields), None)

    def seconds(self, event: Event) -> float:
        """Seconds from the start of the load. Raises ValueError when the load never started."""
        if self.start_mono_ns is None:
            raise ValueError("the load never started")
        return (event.t_mono_ns - self.start_mono_ns) / 1e9


def order_events(events: Iterable[Event]) -> History:
    """The history of these events; the start is the `load-started` event's instant."""
    ordered = tuple(sorted(events, key=lambda event: event.t_mono_ns))
    start = next((event for event in ordered if event.event == "load-started"), None)
    return History(events=ordered, start_mono_ns=_start_of(start))


def _start_of(event: Event | None) -> int | None:
    if event is None:
        return None
    start = event.fields.get("start_mono_ns", event.t_mono_ns)
    return start if isinstance(start, int) else event.t_mono_ns


def save_history(history: History, file: Path) -> None:
    file.write_text("".join(f"{event.to_json()}\n" for event in history.events), encoding="utf-8")


def load_history(file: Path) -> History:
    lines = file.read_text(encoding="utf-8").splitlines()
    return order_events(event for event in map(decode_event, lines) if event is not None)
