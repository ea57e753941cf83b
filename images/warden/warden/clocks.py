"""Both clocks of this machine at one instant, for the engine stamps its events with the other one."""

import time
from collections.abc import Callable

ATTEMPTS = 5

Clock = Callable[[], int]


def read_clocks(mono_ns: Clock = time.monotonic_ns, wall_ns: Clock = time.time_ns) -> tuple[int, int]:
    """CLOCK_MONOTONIC and CLOCK_REALTIME in ns. A process that is stopped between the two readings would see them apart:
    of several attempts, the one whose readings of the monotonic clock, before and after, are the closest counts."""
    attempts = [(mono_ns(), wall_ns(), mono_ns()) for _ in range(ATTEMPTS)]
    before, wall, after = min(attempts, key=lambda attempt: attempt[2] - attempt[0])
    return (before + after) // 2, wall
