"""Calls something at each instant of a schedule, from gevent's loop. Must not know what departs."""

from collections.abc import Callable, Iterator

import gevent
from gevent.event import Event


class Departures:
    """One timer after the other in the loop itself.

    A greenlet that sleeps and then spawns would cost the loop two more rounds for every request, a sixth of the sender's CPU.
    """

    def __init__(self, offsets_ns: Iterator[int], depart: Callable[[int], None], clock: Callable[[], int]) -> None:
        """`depart` is given the intended instant; it runs in the loop and must not block."""
        self._offsets_ns = offsets_ns
        self._depart = depart
        self._clock = clock
        self._loop = gevent.get_hub().loop
        self._timer = self._loop.timer(0)
        self._due_ns = 0
        self._start_mono_ns = 0
        self._all_left = Event()

    def run(self, start_mono_ns: int) -> None:
        """Returns when the last has left; killing the greenlet ends it early."""
        self._start_mono_ns = start_mono_ns
        try:
            self._next()
            self._all_left.wait()
        finally:
            self._timer.close()

    def _next(self) -> None:
        offset_ns = next(self._offsets_ns, None)
        if offset_ns is None:
            self._all_left.set()
            return
        self._due_ns = self._start_mono_ns + offset_ns
        self._sleep()

    def _sleep(self) -> None:
        self._timer.close()
        self._timer = self._loop.timer(max(self._due_ns - self._clock(), 0) / 1e9)
        self._timer.start(self._wake)

    def _wake(self) -> None:
        due_ns = self._due_ns
        if self._clock() < due_ns:
            # The loop's clock is read once a round and may be a little behind ours.
            self._sleep()
            return
        # First the next timer: whatever the departure does, it cannot end the schedule.
        self._next()
        self._depart(due_ns)
