"""One run of the load from ready to finished: start, progress, log, totals. Must not know how requests are made, nor Locust."""

import gc
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from gevent.event import Event

from loadtests.events import Events
from loadtests.load_file import LoadFile
from loadtests.sample_log import SampleLog
from loadtests.start_gate import check_start, wait_for_start
from loadtests.tally import Tally, render_totals

TOTALS_FILE = "totals.json"
# What a SIGKILL can cost at most, less than half a second together with the wait of a busy loop.
FLUSH_S = 0.25
PROGRESS_NS = 1_000_000_000
READY_DEADLINE_S = 30.0
START_DEADLINE_S = 600.0
# Beyond the last request's own deadline, for a machine that is late.
DRAIN_MARGIN_S = 2.0


class LoadStuckError(Exception):
    """Requests that were due did not leave, or those in flight outlived their time-out."""


class Workload(Protocol):
    """What is conducted: open arrivals, or a user's own locustfile."""

    @property
    def ready(self) -> Event:
        """Set when it can begin at once."""
        ...

    @property
    def over(self) -> Event:
        """Set when no further request leaves and none is in flight."""
        ...

    @property
    def tallies(self) -> Sequence[Tally]: ...

    @property
    def bound_reached(self) -> bool: ...

    def begin(self, start_mono_ns: int) -> None: ...

    def stop(self) -> None:
        """Let no further request leave; those in flight end by themselves. Called once at most."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    start: Path
    output: Path


class Conductor:
    def __init__(
        self,
        load: LoadFile,
        workload: Workload,
        log: SampleLog,
        files: Files,
        events: Events,
        clock: Callable[[], int],
        *,
        drain_margin_s: float = DRAIN_MARGIN_S,
    ) -> None:
        self._load = load
        self._workload = workload
        self._log = log
        self._files = files
        self._events = events
        self._clock = clock
        self._drain_margin_s = drain_margin_s
        self._stop = Event()
        self.finished = Event()

    def conduct(self) -> None:
        """Blocks until everything is recorded and written. Raises StartError, LoadStuckError, OSError."""
        try:
            if not self._workload.ready.wait(READY_DEADLINE_S):
                raise LoadStuckError(f"Locust did not start its users within {READY_DEADLINE_S:g} s")
            # A collection stops every greenlet, for tens of ms when it walks all of Locust. Requests leave no cycles, so memory
            # does not grow without it: the last one is now, before anything depends on an instant.
            gc.collect()
            gc.freeze()
            self._events.emit("load-waiting", classes=len(self._workload.tallies))
            start_mono_ns = self._wait_for_start()
            if start_mono_ns is not None:
                self._run(start_mono_ns)
        finally:
            self._finish()
            self.finished.set()

    def stop(self) -> None:
        """End early; `finished` is set when what was sent is recorded."""
        self._stop.set()

    @property
    def stop_deadline_s(self) -> float:
        """How long after `stop` everything is written at the latest."""
        return self._load.timeout_s + self._drain_margin_s

    def _wait_for_start(self) -> int | None:
        if self._load.start_mono_ns is not None:
            return None if self._stop.is_set() else check_start(str(self._load.start_mono_ns), self._clock())
        return wait_for_start(self._files.start, clock=self._clock, stop=self._stop, deadline_s=START_DEADLINE_S)

    def _run(self, start_mono_ns: int) -> None:
        gc.disable()
        try:
            self._workload.begin(start_mono_ns)
            self._stop.wait((start_mono_ns - self._clock()) / 1e9)
            self._events.emit("load-started", start_mono_ns=start_mono_ns)
            self._follow(start_mono_ns)
        finally:
            gc.enable()

    def _follow(self, start_mono_ns: int) -> None:
        workload = self._workload
        end_ns = start_mono_ns + round((self._load.duration_s + self.stop_deadline_s) * 1e9)
        progress_ns = start_mono_ns + PROGRESS_NS
        stopped = False
        while not workload.over.wait(FLUSH_S) and self._clock() < end_ns:
            if self._stop.is_set() and not stopped:
                stopped = True
                end_ns = min(end_ns, self._clock() + round(self.stop_deadline_s * 1e9))
                workload.stop()
            self._log.flush()
            if self._clock() >= progress_ns:
                progress_ns += PROGRESS_NS
                self._report_progress()
        self._report_progress()
        if not workload.over.is_set():
            flying = ", ".join(f"{item.path}/{item.connection_class}: {item.in_flight} in flight" for item in workload.tallies)
            raise LoadStuckError(f"the load was not over {self.stop_deadline_s:g} s after its end: {flying}")

    def _report_progress(self) -> None:
        for tally in self._workload.tallies:
            self._events.emit("load-progress", **tally.render_progress())

    def _finish(self) -> None:
        self._log.close()
        totals = render_totals(self._workload.tallies, bound_reached=self._workload.bound_reached)
        (self._files.output / TOTALS_FILE).write_text(json.dumps(totals, indent=2) + "\n", encoding="utf-8")
        self._events.emit("load-finished", **totals)
