"""Open arrivals: requests leave on the clock, whatever became of the earlier ones (no coordinated omission).

Each arrival has a greenlet of its own, so a stalled path delays nobody. Must not know Locust.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import gevent
from greenlet import greenlet

from loadtests.connections.seam import Clock, ConnectionClass, Exchange
from loadtests.departures import Departures
from loadtests.in_flight import InFlight
from loadtests.load_file import Expect, LoadClass
from loadtests.outcomes import Outcome, RequestFailedError
from loadtests.responder import UNKNOWN, PodBodies, Responder
from loadtests.sample_log import SampleLog
from loadtests.tally import Tally

OnRequest = Callable[[LoadClass, float, int, RequestFailedError | None], None]
"""(class, latency in ms from the intended instant, length of the body, what went wrong): told of every request."""

# Made once: they are told and counted thousands of times, and an error made anew would carry a traceback each time.
FAILURES: Mapping[Outcome, RequestFailedError] = {
    outcome: RequestFailedError(outcome) for outcome in Outcome if outcome is not Outcome.OK
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorder:
    """Where the samples of every class go."""

    log: SampleLog
    pods: PodBodies
    on_request: OnRequest
    warn: Callable[[str], None]
    """Told of what is the sender's own trouble."""


class OpenArrivals:
    """One class of the load: dispatches its arrivals and records each exactly once."""

    def __init__(
        self,
        load_class: LoadClass,
        offsets_ns: Iterator[int],
        connections: ConnectionClass,
        in_flight: InFlight,
        recorder: Recorder,
        clock: Clock,
    ) -> None:
        self.load_class = load_class
        self.tally = Tally(path=load_class.path, connection_class=load_class.connection_class)
        self._departures = Departures(offsets_ns, self._depart, clock)
        self._connections = connections
        self._in_flight = in_flight
        self._recorder = recorder
        self._clock = clock
        self._path_id = recorder.log.intern(load_class.path)
        self._class_id = recorder.log.intern(load_class.connection_class)
        self._troubles: set[str] = set()
        self._hub = gevent.get_hub()

    def dispatch(self, start_mono_ns: int) -> None:
        """Start every request at its instant; returns when the last has left. Killing the greenlet ends it early."""
        self._departures.run(start_mono_ns)

    def close(self) -> None:
        self._connections.close()

    def _depart(self, intended_ns: int) -> None:
        sequence = self.tally.sent
        self.tally.sent += 1
        if self._in_flight.enter():
            self.tally.in_flight += 1
            # Runs at once, until its first wait, which comes back here.
            greenlet(self._carry_out, self._hub).switch(sequence, intended_ns)
        else:
            self._record(sequence, intended_ns, Exchange(), Outcome.OTHER, UNKNOWN)

    def _carry_out(self, sequence: int, intended_ns: int) -> None:
        exchange = Exchange()
        try:
            outcome, responder = self._outcome(exchange)
            self._record(sequence, intended_ns, exchange, outcome, responder)
        finally:
            self.tally.in_flight -= 1
            self._in_flight.leave()

    def _outcome(self, exchange: Exchange) -> tuple[Outcome, Responder]:
        try:
            self._connections.request(exchange)
        except RequestFailedError as error:
            if error.outcome is Outcome.OTHER:
                self._report_trouble(error.detail)
            return error.outcome, UNKNOWN
        return self._judge(exchange)

    def _judge(self, exchange: Exchange) -> tuple[Outcome, Responder]:
        pod = self._recorder.pods.decode(exchange.body) if self.load_class.expect is Expect.POD else UNKNOWN
        if not 200 <= exchange.http_status < 300:
            return Outcome.HTTP_STATUS, pod or UNKNOWN
        return (Outcome.OK, pod) if pod is not None else (Outcome.BAD_BODY, UNKNOWN)

    def _record(self, sequence: int, intended_ns: int, exchange: Exchange, outcome: Outcome, responder: Responder) -> None:
        end_ns = self._clock()
        self._recorder.log.append(
            intended_ns,
            exchange.sent_ns,
            exchange.first_byte_ns,
            end_ns,
            sequence,
            self._path_id,
            self._class_id,
            responder.pod_id,
            responder.node_id,
            responder.client_id,
            exchange.local_port,
            exchange.http_status,
            exchange.connection_use,
            outcome,
            exchange.attempt,
        )
        tally = self.tally
        tally.recorded += 1
        if outcome is Outcome.OK:
            tally.ok += 1
        self._recorder.on_request(self.load_class, (end_ns - intended_ns) / 1e6, len(exchange.body), FAILURES.get(outcome))

    def _report_trouble(self, detail: str) -> None:
        if detail not in self._troubles:
            self._troubles.add(detail)
            self._recorder.warn(f"{self.load_class.subject}: {detail} (reported once)")
