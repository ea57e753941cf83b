"""Reports on standard output, one event a line (docs/contracts.md section 2)."""

import json
import os
import time

from warden.clocks import read_clocks


def emit(event: str, *, t_mono_ns: int | None = None, **fields: object) -> None:
    stamp = time.monotonic_ns() if t_mono_ns is None else t_mono_ns
    record = {"t_mono_ns": stamp, "source": "warden/warden", "event": event, "fields": fields}
    os.write(1, json.dumps(record, separators=(",", ":")).encode() + b"\n")


def emit_clocks(event: str, **fields: object) -> None:
    """An event that says what the wall clock showed at its instant."""
    mono_ns, wall_ns = read_clocks()
    emit(event, t_mono_ns=mono_ns, t_wall_ns=wall_ns, **fields)
