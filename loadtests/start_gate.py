"""The instant at which the load starts, given in a file after everything is ready. Must not start anything."""

from collections.abc import Callable
from pathlib import Path

from gevent.event import Event

POLL_S = 0.01


class StartError(Exception):
    """The start never came, or is not an instant, or has passed."""


# A start this far behind would make every class catch up at once: a burst that no scenario asked for.
MOST_LATE_NS = 1_000_000_000


def wait_for_start(file: Path, *, clock: Callable[[], int], stop: Event, deadline_s: float) -> int | None:
    """The instant in the file, as soon as it is there; None when `stop` comes first.

    A text without its newline is still being written, unless it stays the same until the next look.
    Raises StartError.
    """
    deadline_ns = clock() + round(deadline_s * 1e9)
    before = ""
    while not stop.is_set():
        text = _read(file)
        if text and (text.endswith("\n") or text == before):
            return check_start(text, clock())
        before = text
        if clock() >= deadline_ns:
            raise StartError(f"{file}: no start within {deadline_s:g} s; last content: {text!r}")
        stop.wait(POLL_S)
    return None


def check_start(text: str, now_ns: int) -> int:
    """Raises StartError for a text that is no instant, or one that has passed."""
    if not (text.strip().isascii() and text.strip().isdigit()):
        raise StartError(f"start: found {text[:40]!r}; allowed: CLOCK_MONOTONIC in ns, decimal")
    start_mono_ns = int(text)
    late_ns = now_ns - start_mono_ns
    if late_ns > MOST_LATE_NS:
        raise StartError(f"start: {start_mono_ns} was {late_ns / 1e9:.3f} s ago; allowed: at most {MOST_LATE_NS / 1e9:g} s")
    return start_mono_ns


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii", errors="replace")
    except FileNotFoundError:
        return ""
