"""All classes of load.json as one workload of open arrivals."""

from collections.abc import Sequence

import gevent
from gevent.event import Event
from greenlet import greenlet

from loadtests.connections.registry import CONNECTION_CLASSES
from loadtests.connections.seam import Clock
from loadtests.connections.target import resolve_target
from loadtests.in_flight import InFlight
from loadtests.load_file import LoadFile, LoadFileError
from loadtests.open_model import OpenArrivals, Recorder
from loadtests.schedule import plan_offsets_ns, plan_phases_ns
from loadtests.tally import Tally


class OpenLoad:
    """Each class is run by a greenlet of its own, which the caller provides."""

    def __init__(self, classes: Sequence[OpenArrivals], in_flight: InFlight) -> None:
        self.classes = tuple(classes)
        self.ready = Event()
        self.over = Event()
        self._in_flight = in_flight
        self._begun = Event()
        self._start_mono_ns = 0
        self._dispatching: list[greenlet] = []
        self._left = len(self.classes)

    @property
    def tallies(self) -> Sequence[Tally]:
        return tuple(arrivals.tally for arrivals in self.classes)

    @property
    def bound_reached(self) -> bool:
        return self._in_flight.bound_reached

    def begin(self, start_mono_ns: int) -> None:
        self._start_mono_ns = start_mono_ns
        self._begun.set()

    def stop(self) -> None:
        for dispatching in self._dispatching:
            gevent.kill(dispatching)

    def run_class(self, arrivals: OpenArrivals) -> None:
        """Run one class in the current greenlet: wait for the start, then send everything."""
        self._dispatching.append(gevent.getcurrent())
        if len(self._dispatching) == len(self.classes):
            self.ready.set()
        try:
            self._begun.wait()
            arrivals.dispatch(self._start_mono_ns)
        finally:
            self._left -= 1
            if self._left == 0:
                gevent.spawn(self._drain)

    def _drain(self) -> None:
        self._in_flight.none.wait()
        for arrivals in self.classes:
            arrivals.close()
        self.over.set()


def plan_open_load(load: LoadFile, recorder: Recorder, clock: Clock) -> OpenLoad:
    """Raises LoadFileError for a class that is not known, TargetError for a URL that cannot be called."""
    in_flight = InFlight(load.in_flight_limit)
    classes = []
    for number, (load_class, phase_ns) in enumerate(zip(load.classes, plan_phases_ns(load.classes), strict=True)):
        make = CONNECTION_CLASSES.get(load_class.connection_class)
        if make is None:
            known = ", ".join(CONNECTION_CLASSES)
            raise LoadFileError(f"classes[{number}].class: found {load_class.connection_class!r}; allowed: {known}")
        target = resolve_target(load_class.url, connect_to=load_class.connect_to, ca_file=load_class.ca_file)
        connections = make(target, timeout_s=load.timeout_s, connections=load_class.connections, clock=clock)
        offsets_ns = plan_offsets_ns(load_class, duration_s=load.duration_s, phase_ns=phase_ns, seed=load.seed)
        classes.append(OpenArrivals(load_class, offsets_ns, connections, in_flight, recorder, clock))
    return OpenLoad(classes, in_flight)
