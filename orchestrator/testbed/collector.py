"""Collects the events of a run from every source, in the order of their arrival, and lets others wait for one."""

import threading
from collections import deque
from collections.abc import Callable, Sequence

from orchestrator.contracts import Clock, Stop
from orchestrator.errors import DeadlineError, InterruptedRunError
from orchestrator.model.history import Event, History, order_events

STOP_SLICE_S = 0.05
"""How long an interrupt may go unnoticed by a wait: a stop cannot wake the condition that the wait sleeps on."""
LAST_EVENTS = 5


class HistoryCollector:
    """Thread-safe. `observer` sees each event once, one at a time, in the order in which it is kept."""

    def __init__(self, *, observer: Callable[[Event], None] | None = None) -> None:
        self._observer = observer
        self._events: list[Event] = []
        self._observer_error: Exception | None = None
        self._grown = threading.Condition()

    def add(self, event: Event) -> None:
        with self._grown:
            self._events.append(event)
            self._grown.notify_all()
            if self._observer is not None and self._observer_error is None:
                try:
                    self._observer(event)
                except Exception as error:  # noqa: BLE001 - raised by the next wait, in a thread where somebody hears it
                    self._observer_error = error

    def history(self) -> History:
        with self._grown:
            return order_events(self._events)

    def wait(
        self,
        condition: Callable[[Event], bool],
        *,
        since_ns: int,
        deadline_s: float,
        what: str,
        clock: Clock,
        stop: Stop,
        state: Callable[[], str] | None = None,
    ) -> Event:
        """The first event from `since_ns` on that meets the condition; it is asked outside the lock, once for each.

        Raises:
            DeadlineError, InterruptedRunError.
        """
        deadline_ns = clock.now_mono_ns() + round(deadline_s * 1e9)
        seen = 0
        while True:
            fresh = self._fresh(seen, deadline_ns, clock, stop)
            seen += len(fresh)
            for event in fresh:
                if event.t_mono_ns >= since_ns and condition(event):
                    return event
            if stop.is_set():
                raise InterruptedRunError(f"interrupted while waiting: {what}")
            if not fresh and clock.now_mono_ns() >= deadline_ns:
                raise DeadlineError(what, deadline_s, state() if state is not None else self._tail())

    def wait_state(
        self,
        fold: Callable[[Event], object],
        lacking: Callable[[], Sequence[str]],
        *,
        deadline_s: float,
        what: str,
        clock: Clock,
        stop: Stop,
    ) -> None:
        """Fold what there is, then what comes, until nothing lacks. Raises DeadlineError, InterruptedRunError."""
        deadline_ns = clock.now_mono_ns() + round(deadline_s * 1e9)
        seen, lacks = 0, lacking()
        while True:
            fresh = self._fresh(seen, deadline_ns, clock, stop)
            seen += len(fresh)
            for event in fresh:
                fold(event)
            if fresh:
                lacks = lacking()
            if stop.is_set():
                raise InterruptedRunError(f"interrupted while waiting: {what}")
            if not lacks:
                return
            if not fresh and clock.now_mono_ns() >= deadline_ns:
                raise DeadlineError(what, deadline_s, "; ".join(lacks))

    def _fresh(self, seen: int, deadline_ns: int, clock: Clock, stop: Stop) -> list[Event]:
        """What came after the first `seen` events; none when a slice of the wait, or all of it, has passed."""
        with self._grown:
            if len(self._events) == seen and not stop.is_set():
                remaining_s = (deadline_ns - clock.now_mono_ns()) / 1e9
                self._grown.wait(max(0.0, min(remaining_s, STOP_SLICE_S)))
            if self._observer_error is not None:
                raise self._observer_error
            return self._events[seen:]

    def _tail(self) -> str:
        with self._grown:
            telling = (event for event in reversed(self._events) if event.event not in ("resources", "load-progress"))
            last = deque((event.to_json() for event, _ in zip(telling, range(LAST_EVENTS), strict=False)))
        return "; ".join(reversed(last)) or "no event so far"
