"""Time as a parameter: the loop's clock, and one that tests move by hand. Nothing else in this package reads a clock."""

from __future__ import annotations

import asyncio
import heapq
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Timer(Protocol):
    """A call that is due later."""

    def cancel(self) -> None:
        """Forget the call."""


class Clock(Protocol):
    """Monotonic time for durations, the time of day for what objects show."""

    def monotonic_ns(self) -> int:
        """CLOCK_MONOTONIC."""

    def now(self) -> datetime:
        """The time of day, in UTC."""

    def call_later(self, delay_s: float, call: Callable[[], None]) -> Timer:
        """Call once, `delay_s` from now."""


class LoopClock:
    """The real clocks; calls run in the event loop."""

    def monotonic_ns(self) -> int:
        return time.monotonic_ns()

    def now(self) -> datetime:
        # Shown in objects only; no duration is taken from it.
        return datetime.fromtimestamp(time.time_ns() / 1e9, UTC)

    def call_later(self, delay_s: float, call: Callable[[], None]) -> Timer:
        return asyncio.get_running_loop().call_later(delay_s, call)


class _ManualTimer:
    __slots__ = ("call", "cancelled")

    def __init__(self, call: Callable[[], None]) -> None:
        self.call = call
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class ManualClock:
    """A clock that stands still until `advance`; due calls run in order of their instants."""

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._start = start
        self._elapsed_ns = 0
        self._due: list[tuple[int, int, _ManualTimer]] = []
        self._count = 0

    def monotonic_ns(self) -> int:
        return self._elapsed_ns

    def now(self) -> datetime:
        return self._start + timedelta(microseconds=self._elapsed_ns // 1000)

    def call_later(self, delay_s: float, call: Callable[[], None]) -> Timer:
        timer = _ManualTimer(call)
        self._count += 1
        heapq.heappush(self._due, (self._elapsed_ns + round(delay_s * 1e9), self._count, timer))
        return timer

    def advance(self, seconds: float) -> None:
        """Move on, running what becomes due at its own instant."""
        until_ns = self._elapsed_ns + round(seconds * 1e9)
        while self._due and self._due[0][0] <= until_ns:
            due_ns, _, timer = heapq.heappop(self._due)
            self._elapsed_ns = max(self._elapsed_ns, due_ns)
            if not timer.cancelled:
                timer.call()
        self._elapsed_ns = until_ns


def render_time(moment: datetime) -> str:
    """RFC 3339 in seconds: `metav1.Time`."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def render_micro_time(moment: datetime) -> str:
    """RFC 3339 in microseconds: `metav1.MicroTime`."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse_time(text: str) -> datetime:
    """RFC 3339, with or without a fraction.

    Raises:
        ValueError: it is none.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    return moment.astimezone(UTC)
