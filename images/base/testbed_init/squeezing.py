"""`python3 -m testbed_init.squeezing`: lets every process of the container run only a share of each 100 ms.

As under a quota of the CPU controller that is used up early in each period (sched-bwc: the default period is 100 ms), but by
SIGSTOP and SIGCONT, so that no rights over cgroups are needed. The kernel's own work for the container goes on.
Takes orders on standard input (testbed_init.orders): `strike SHARE`, `release`.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from testbed_init.orders import serve

PERIOD_S = 0.1
SETTLE_S = 2.0


class Squeeze:
    """Alternates between stopping and letting run."""

    def __init__(self) -> None:
        self._share = 1.0
        self._stopped = False
        self._struck = False
        self._turn_s = 0.0
        self._stopped_s = 0.0
        self._began_s = 0.0

    def obey(self, verb: str, words: list[str]) -> str | None:
        """One order; None for one that is not known."""
        match verb:
            case "strike":
                self._share, self._struck = float(words[0]), True
                struck_ns = time.monotonic_ns()
                self._stop()
                return f"{struck_ns} {await_stopped()}"
            case "release":
                self.end()
                return f"{self._stopped_s:.3f}"
        return None

    def descriptors(self) -> tuple[int, ...]:
        """Nothing comes by itself."""
        return ()

    def due_s(self) -> float | None:
        """Until the next turn."""
        return max(0.0, self._turn_s - time.monotonic()) if self._struck else None

    def advance(self) -> None:
        """Stop what runs, or let run what was stopped, when it is time."""
        if self._struck and time.monotonic() >= self._turn_s:
            if self._stopped:
                self._go_on(PERIOD_S * self._share)
            else:
                self._stop()

    def end(self) -> None:
        """Everything runs."""
        if self._struck:
            self._struck = False
            if self._stopped:
                self._go_on(0.0)
            signal_others(signal.SIGCONT)

    def _stop(self) -> None:
        signal_others(signal.SIGSTOP)
        self._stopped = True
        self._turn_s = time.monotonic() + PERIOD_S * (1 - self._share)
        self._began_s = time.monotonic()

    def _go_on(self, for_s: float) -> None:
        signal_others(signal.SIGCONT)
        self._stopped = False
        self._stopped_s += time.monotonic() - self._began_s
        self._turn_s = time.monotonic() + for_s


def signal_others(number: int) -> None:
    """kill(2) with pid -1: every process of the container but init and this one."""
    try:
        os.kill(-1, number)
    except ProcessLookupError:
        return  # there are none


def await_stopped() -> int:
    """How many processes are stopped, once the first is: on a busy machine the signal waits until its process is next to run."""
    ends_s = time.monotonic() + SETTLE_S
    while (stopped := count_stopped()) == 0 and time.monotonic() < ends_s:
        time.sleep(0.001)
    return stopped


def count_stopped() -> int:
    """Processes that are stopped (proc(5), `stat`: the state follows the name's closing bracket)."""
    stopped = 0
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
            except OSError:
                continue
            stopped += stat[stat.rindex(")") + 2] in "Tt"
    return stopped


if __name__ == "__main__":
    serve(Squeeze())
