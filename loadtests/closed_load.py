"""A user's own locustfile as a workload: a closed model, whose users wait for each answer before they send again.

Labelled `closed` in every record: a stall of the system under test slows these users, so nothing here is a latency from an
intended instant. Must not change what the user's file does.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import gevent
import requests.exceptions
from gevent.event import Event
from geventhttpclient.response import HTTPConnectionClosed

from loadtests.outcomes import Outcome, outcome_of
from loadtests.sample_log import SampleLog
from loadtests.tally import Tally

CONNECTION_CLASS = "closed"


class Stoppable(Protocol):
    """Of Locust's runner, what is needed here."""

    def stop(self) -> None:
        """Returns when every user has stopped."""
        ...


class ClosedLoad:
    """Holds the users back until the start, records what they do, and stops them at the end."""

    def __init__(self, log: SampleLog, runner: Stoppable, *, duration_s: float, clock: Callable[[], int]) -> None:
        self._log = log
        self._runner = runner
        self._duration_ns = round(duration_s * 1e9)
        self._clock = clock
        self._tallies: dict[str, Tally] = {}
        self._begun = Event()
        self._stop = Event()
        self.ready = Event()
        self.over = Event()

    @property
    def tallies(self) -> Sequence[Tally]:
        return tuple(self._tallies.values())

    @property
    def bound_reached(self) -> bool:
        return False

    def begin(self, start_mono_ns: int) -> None:
        gevent.spawn(self._run, start_mono_ns)

    def stop(self) -> None:
        self._stop.set()

    def on_test_start(self, **_: object) -> None:
        """Locust's `test_start`, which comes before its first user: blocks until the start."""
        self.ready.set()
        self._begun.wait()

    def on_request(
        self,
        name: str,
        response_time: float | None,
        response: object = None,
        exception: BaseException | None = None,
        **_: object,
    ) -> None:
        """Locust's `request`: one record. The instant at which it was sent is the end less Locust's response time."""
        end_ns = self._clock()
        sent_ns = end_ns - round((response_time or 0.0) * 1e6)
        status = getattr(response, "status_code", None)
        http_status = status if isinstance(status, int) else 0
        outcome = Outcome.OK if exception is None else outcome_of_exception(exception, http_status)
        tally = self._tallies.setdefault(name, Tally(path=name, connection_class=CONNECTION_CLASS))
        path_id, class_id = self._log.intern(name), self._log.intern(CONNECTION_CLASS)
        self._log.append(sent_ns, sent_ns, 0, end_ns, tally.sent, path_id, class_id, 0, 0, 0, 0, http_status, 0, outcome, 1)
        tally.sent += 1
        tally.recorded += 1
        tally.ok += outcome is Outcome.OK

    def _run(self, start_mono_ns: int) -> None:
        if not self._stop.wait(max(start_mono_ns - self._clock(), 0) / 1e9):
            self._begun.set()
            self._stop.wait(max(start_mono_ns + self._duration_ns - self._clock(), 0) / 1e9)
        self._runner.stop()
        self.over.set()


# Most specific first: a ConnectTimeout of requests is also a ConnectionError, and every one of them an OSError without a number.
_BY_CLASS: tuple[tuple[type[BaseException], Outcome], ...] = (
    (requests.exceptions.ConnectTimeout, Outcome.CONNECT_TIMEOUT),
    (requests.exceptions.ReadTimeout, Outcome.RESPONSE_TIMEOUT),
    (requests.exceptions.SSLError, Outcome.TLS),
    (requests.exceptions.ChunkedEncodingError, Outcome.CLOSED),
    (HTTPConnectionClosed, Outcome.CLOSED),
)


def outcome_of_exception(exception: BaseException, http_status: int) -> Outcome:
    """The outcome that a failure of Locust's clients, or of a user's own check, means.

    A status outside 2xx is what failed whatever was made of it; else the network's own error, looked for through the chain of
    what caused what; else, with a good status, the user's check of the body.
    """
    if http_status and not 200 <= http_status < 300:
        return Outcome.HTTP_STATUS
    for error in _chain(exception):
        for kind, outcome in _BY_CLASS:
            if isinstance(error, kind):
                return outcome
        if isinstance(error, TimeoutError) or (isinstance(error, OSError) and error.errno is not None):
            return outcome_of(error, connected=False)
    return Outcome.BAD_BODY if http_status else Outcome.OTHER


def _chain(exception: BaseException) -> Iterator[BaseException]:
    """An exception, its causes, and the exceptions that libraries wrap as arguments or as `reason`."""
    waiting, seen = [exception], set[int]()
    while waiting:
        error = waiting.pop(0)
        if id(error) in seen:
            continue
        seen.add(id(error))
        yield error
        wrapped = (error.__cause__, error.__context__, getattr(error, "reason", None), *error.args)
        waiting += [item for item in wrapped if isinstance(item, BaseException)]
