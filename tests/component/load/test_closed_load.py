"""A user's own locustfile as a workload, without Locust: its events are called as Locust calls them."""

import errno
from types import SimpleNamespace

import gevent
import pytest
import requests.exceptions
from geventhttpclient.response import HTTPConnectionClosed
from loopback import clock

from loadtests.closed_load import ClosedLoad, outcome_of_exception
from loadtests.outcomes import Outcome
from loadtests.sample_log import SampleLog
from orchestrator.model.samples import read_raw_samples


class Runner:
    def __init__(self):
        self.stopped_ns = 0

    def stop(self):
        self.stopped_ns = clock()


def caused(error, cause):
    error.__cause__ = cause
    return error


REFUSED = OSError(errno.ECONNREFUSED, "Connection refused")


@pytest.mark.parametrize(
    ("exception", "status", "expected"),
    [
        (requests.exceptions.HTTPError("503"), 503, Outcome.HTTP_STATUS),
        (Exception("the user's own check"), 200, Outcome.BAD_BODY),
        (Exception("something"), 0, Outcome.OTHER),
        (REFUSED, 0, Outcome.REFUSED),
        (ConnectionResetError(errno.ECONNRESET, "reset"), 0, Outcome.RESET),
        (TimeoutError("timed out"), 0, Outcome.CONNECT_TIMEOUT),
        (requests.exceptions.ConnectTimeout(), 0, Outcome.CONNECT_TIMEOUT),
        (requests.exceptions.ReadTimeout(), 0, Outcome.RESPONSE_TIMEOUT),
        (requests.exceptions.SSLError(), 0, Outcome.TLS),
        (requests.exceptions.ChunkedEncodingError(), 200, Outcome.CLOSED),
        (HTTPConnectionClosed("connection closed."), 0, Outcome.CLOSED),
        (requests.exceptions.ConnectionError(caused(Exception("pool"), REFUSED)), 0, Outcome.REFUSED),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else str(value),
)
def test_failure_of_locusts_clients_means_an_outcome(exception, status, expected):
    assert outcome_of_exception(exception, status) is expected


def test_exceptions_that_cause_each_other_end_the_search():
    first, second = Exception("a"), Exception("b")
    first.__cause__, second.__cause__ = second, first
    assert outcome_of_exception(first, 0) is Outcome.OTHER


def test_users_are_held_until_the_start_recorded_as_closed_and_stopped_at_the_end(tmp_path):
    log, runner = SampleLog(tmp_path), Runner()
    workload = ClosedLoad(log, runner, duration_s=0.05, clock=clock)
    test_start = gevent.spawn(workload.on_test_start, environment=None)
    assert workload.ready.wait(1)
    start_ns = clock() + 20_000_000
    workload.begin(start_ns)
    test_start.get(timeout=1)
    assert clock() >= start_ns
    workload.on_request(
        request_type="GET", name="/", response_time=12.5, response_length=2, response=SimpleNamespace(status_code=200)
    )
    workload.on_request(request_type="GET", name="/cart", response_time=1.0, response_length=0, response=None, exception=REFUSED)
    workload.on_request(request_type="GET", name="/", response_time=None, response_length=0, exception=None)
    assert workload.over.wait(1)
    assert runner.stopped_ns >= start_ns + 50_000_000
    log.close()
    samples = read_raw_samples(tmp_path)
    assert samples.subjects == (("/", "closed"), ("/cart", "closed"))
    assert [(item.path, item.sent, item.recorded, item.ok) for item in workload.tallies] == [("/", 2, 2, 2), ("/cart", 1, 1, 0)]
    root = samples.of("/").records
    assert sorted(root["sequence"].tolist()) == [0, 1]
    assert max(root["end_ns"] - root["sent_ns"]) == 12_500_000
    assert samples.of("/cart").records["outcome"].tolist() == [Outcome.REFUSED]


def test_stop_ends_the_users_early(tmp_path):
    runner = Runner()
    with SampleLog(tmp_path) as log:
        workload = ClosedLoad(log, runner, duration_s=60, clock=clock)
        workload.begin(clock())
        gevent.sleep(0.01)
        workload.stop()
        assert workload.over.wait(1)
    assert runner.stopped_ns > 0
