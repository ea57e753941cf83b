"""Watches the connection to the orchestrator: a byte stream with one command a line, whose end means that nobody is there."""

import os
import select
import time
from collections.abc import Callable
from enum import Enum, auto


class End(Enum):
    """Why the watch is over."""

    DONE = auto()
    ORPHANED = auto()
    EXPIRED = auto()


def watch(
    descriptor: int,
    *,
    expires_mono_s: float,
    on_time: Callable[[], None],
    clock: Callable[[], float] = time.monotonic,
) -> End:
    """Until the stream ends, or the run expires. `time` asks for the clock, `keep` lets the run outlive the stream, and
    `done` says that the orchestrator has removed everything itself."""
    kept, pending = False, b""
    while (remaining_s := expires_mono_s - clock()) > 0:
        if not select.select([descriptor], [], [], remaining_s)[0]:
            continue
        chunk = os.read(descriptor, 4096)
        if not chunk:
            if not kept:
                return End.ORPHANED
            select.select([], [], [], max(0.0, expires_mono_s - clock()))
            continue
        *lines, pending = (pending + chunk).split(b"\n")
        for line in lines:
            if line == b"done":
                return End.DONE
            if line == b"keep":
                kept = True
            elif line == b"time":
                on_time()
    return End.EXPIRED
