"""Events on standard output: one compact JSON object per line, one write per line (docs/contracts.md section 2)."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

PROCESS = "load"


class Events(Protocol):
    def emit(self, event: str, **fields: object) -> None:
        """Report what happened now."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class EventWriter:
    """Writes events of `source` (`<container>/load`) to a file descriptor."""

    source: str
    clock: Callable[[], int]
    fd: int = 1

    def emit(self, event: str, **fields: object) -> None:
        record = {"t_mono_ns": self.clock(), "source": self.source, "event": event, "fields": fields}
        # One write: a line up to PIPE_BUF stays whole among other writers' (pipe(7)).
        line = json.dumps(record, separators=(",", ":")).encode() + b"\n"
        while line:
            line = line[os.write(self.fd, line) :]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedEvents:
    """Keeps events in memory, for tests."""

    seen: list[tuple[str, dict[str, object]]] = field(default_factory=list)

    def emit(self, event: str, **fields: object) -> None:
        self.seen.append((event, fields))

    def named(self, event: str) -> list[dict[str, object]]:
        return [fields for name, fields in self.seen if name == event]


def read_source(config_file: Path) -> str:
    """This process's source; the container's name stands in its configuration, `client` without one."""
    try:
        config = json.loads(config_file.read_bytes())
    except FileNotFoundError:
        config = {}
    container = config.get("container") if isinstance(config, dict) else None
    return f"{container if isinstance(container, str) else 'client'}/{PROCESS}"
