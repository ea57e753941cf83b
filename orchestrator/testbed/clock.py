"""CLOCK_MONOTONIC of the engine's machine, and waiting on it."""

import time

from orchestrator.contracts import Stop
from orchestrator.errors import InterruptedRunError


class EngineClock:
    """This machine's clock plus the measured offset to the engine's; 0 when they are the same machine."""

    def __init__(self, *, offset_ns: int, stop: Stop) -> None:
        self.offset_ns = offset_ns
        self._stop = stop

    def now_mono_ns(self) -> int:
        return time.monotonic_ns() + self.offset_ns

    def sleep_until_mono_ns(self, t_mono_ns: int) -> None:
        while (remaining_ns := t_mono_ns - self.now_mono_ns()) > 0:
            if self._stop.wait(remaining_ns / 1e9):
                break
        if self._stop.is_set():
            raise InterruptedRunError("the run was interrupted")

    def under(self, stop: Stop) -> "EngineClock":
        return EngineClock(offset_ns=self.offset_ns, stop=stop)
