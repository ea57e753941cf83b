"""Events on standard output: one compact JSON object per line, one write per line."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

Clock = Callable[[], int]
"""CLOCK_MONOTONIC in ns; all containers of one engine share it."""


class EventSink(Protocol):
    """Where a process reports what happened."""

    def emit(self, event: str, *, t_mono_ns: int | None = None, **fields: object) -> None:
        """Report `event`, stamped `t_mono_ns` (default: now)."""


def render_event(*, t_mono_ns: int, source: str, event: str, fields: dict[str, object]) -> bytes:
    """The line of one event, newline included."""
    record = {"t_mono_ns": t_mono_ns, "source": source, "event": event, "fields": fields}
    return json.dumps(record, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class EventWriter:
    """Writes events of `source` (`<container>/<process>`) to a file descriptor."""

    source: str
    clock: Clock = time.monotonic_ns
    fd: int = 1

    def emit(self, event: str, *, t_mono_ns: int | None = None, **fields: object) -> None:
        """Write one event; a line up to PIPE_BUF is atomic on a pipe (pipe(7)), so processes can share the stream."""
        stamp = self.clock() if t_mono_ns is None else t_mono_ns
        line = render_event(t_mono_ns=stamp, source=self.source, event=event, fields=fields)
        while line:
            line = line[os.write(self.fd, line) :]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedEvents:
    """The sink for tests: keeps `(event, fields)` in order."""

    seen: list[tuple[str, dict[str, object]]] = field(default_factory=list)

    def emit(self, event: str, *, t_mono_ns: int | None = None, **fields: object) -> None:
        """Keep the event; an explicit stamp is kept among the fields as `t_mono_ns`."""
        stamped = fields if t_mono_ns is None else {**fields, "t_mono_ns": t_mono_ns}
        self.seen.append((event, stamped))

    def named(self, event: str) -> list[dict[str, object]]:
        """The fields of every event of that name, in order."""
        return [fields for name, fields in self.seen if name == event]
