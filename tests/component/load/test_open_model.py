"""Open arrivals against responders on loopback: what leaves, when, and what is recorded of it."""

import gevent
import pytest
from loopback import clock, make_class

from loadtests.connections.seam import ConnectionClass
from loadtests.in_flight import InFlight
from loadtests.load_file import Expect
from loadtests.open_model import OpenArrivals, Recorder
from loadtests.outcomes import Outcome, RequestFailedError
from loadtests.responder import PodBodies
from loadtests.sample_log import SampleLog
from orchestrator.model.samples import read_raw_samples

NS_PER_MS = 1_000_000


class Scripted(ConnectionClass):
    """A connection class that answers by a script: a body, an outcome, or nothing for so many seconds."""

    def __init__(self, answer):
        self._answer = answer
        self.asked = 0

    def request(self, exchange):
        self.asked += 1
        exchange.sent_ns = clock()
        self._answer(exchange)

    def close(self):
        return


def pod(exchange, name="pod-a"):
    exchange.http_status = 200
    exchange.body = b'{"pod": "%s", "node": "node-1", "client": "198.18.0.2"}' % name.encode()


def stall_s(seconds):
    def answer(exchange):
        gevent.sleep(seconds)
        pod(exchange)

    return answer


@pytest.fixture
def run(tmp_path):
    """Run arrivals to their end: samples, tally, and the requests told to Locust."""

    def run(answer, *, offsets_ms, limit=100, **changes):
        told, troubles = [], []
        in_flight = InFlight(limit)
        log = SampleLog(tmp_path)
        recorder = Recorder(
            log=log, pods=PodBodies(log.intern), on_request=lambda *request: told.append(request), warn=troubles.append
        )
        load_class = make_class("http://198.18.0.3/", **changes)
        offsets_ns = (offset_ms * NS_PER_MS for offset_ms in offsets_ms)
        arrivals = OpenArrivals(load_class, offsets_ns, Scripted(answer), in_flight, recorder, clock)
        start_ns = clock()
        arrivals.dispatch(start_ns)
        departed_ns = clock()
        assert in_flight.none.wait(2)
        log.close()
        run.troubles, run.told, run.bound_reached = troubles, told, in_flight.bound_reached
        run.start_ns, run.departed_ns = start_ns, departed_ns
        return read_raw_samples(tmp_path), arrivals.tally

    return run


def test_stalled_path_does_not_delay_the_arrivals(run):
    samples, tally = run(stall_s(0.25), offsets_ms=range(0, 100, 2))
    late_ns = samples.records["sent_ns"] - samples.records["intended_ns"]
    assert (tally.sent, tally.recorded, tally.ok) == (50, 50, 50)
    # Every request left long before the first answer came.
    assert samples.records["sent_ns"].max() < samples.records["end_ns"].min()
    assert (late_ns >= 0).all()
    assert ((samples.records["end_ns"] - samples.records["intended_ns"]) >= 0.25e9).all()


def test_sample_keeps_the_instant_of_the_schedule_and_the_number_of_the_arrival(run):
    samples, _ = run(pod, offsets_ms=[0, 3, 10])
    assert ((samples.records["intended_ns"] - run.start_ns) / NS_PER_MS).tolist() == [0, 3, 10]
    assert samples.records["sequence"].tolist() == [0, 1, 2]
    assert (samples.column("path_id")[0], samples.column("class_id")[0]) == ("nodeport", "new")
    assert (samples.column("pod_id")[0], samples.column("node_id")[0]) == ("pod-a", "node-1")
    assert samples.column("client_id")[0] == "198.18.0.2"


def test_latency_told_to_locust_counts_from_the_intended_instant(run):
    run(stall_s(0.02), offsets_ms=[0])
    ((load_class, latency_ms, length, failure),) = run.told
    assert (load_class.subject, failure) == ("nodeport/new", None)
    assert 20 <= latency_ms < 200
    assert length == len(b'{"pod": "pod-a", "node": "node-1", "client": "198.18.0.2"}')


def test_arrival_above_the_in_flight_limit_is_recorded_as_never_sent_and_remembered(run):
    samples, tally = run(stall_s(0.1), offsets_ms=[0, 1, 2, 3], limit=2)
    never = samples.where(samples.records["sent_ns"] == 0)
    assert (tally.sent, tally.recorded, tally.ok) == (4, 4, 2)
    assert never.records["sequence"].tolist() == [2, 3]
    assert never.records["outcome"].tolist() == [Outcome.OTHER] * 2
    assert run.bound_reached


def test_bound_that_was_not_reached_is_not_reported(run):
    run(pod, offsets_ms=[0, 1])
    assert not run.bound_reached


def test_failed_request_is_recorded_with_its_outcome_and_told_to_locust(run):
    def refuse(_):
        raise RequestFailedError(Outcome.REFUSED, "Connection refused")

    samples, tally = run(refuse, offsets_ms=[0, 1])
    assert samples.records["outcome"].tolist() == [Outcome.REFUSED] * 2
    assert (tally.sent, tally.recorded, tally.ok) == (2, 2, 0)
    assert [str(failure) for *_, failure in run.told] == ["refused"] * 2
    assert run.troubles == []


def test_trouble_of_the_sender_itself_is_reported_once(run):
    def run_out_of_ports(_):
        raise RequestFailedError(Outcome.OTHER, "Cannot assign requested address")

    run(run_out_of_ports, offsets_ms=[0, 1, 2])
    assert run.troubles == ["nodeport/new: Cannot assign requested address (reported once)"]


def test_status_outside_2xx_is_a_failure_that_still_names_its_pod(run):
    def fail(exchange):
        pod(exchange)
        exchange.http_status = 503

    samples, _ = run(fail, offsets_ms=[0])
    assert samples.records["outcome"].tolist() == [Outcome.HTTP_STATUS]
    assert samples.records["http_status"].tolist() == [503]
    assert samples.column("pod_id").tolist() == ["pod-a"]


@pytest.mark.parametrize("body", [b"", b"hello", b"[]", b'{"pod": "pod-a"}', b'{"pod": 1, "node": "n", "client": "c"}', b"\xff"])
@pytest.mark.parametrize(("expect", "outcome"), [(Expect.POD, Outcome.BAD_BODY), (Expect.ANY, Outcome.OK)])
def test_body_that_is_not_a_pods_is_bad_only_where_a_pod_is_expected(run, body, expect, outcome):
    def answer(exchange):
        exchange.http_status, exchange.body = 200, body

    samples, _ = run(answer, offsets_ms=[0], expect=expect)
    assert samples.records["outcome"].tolist() == [outcome]
    assert samples.column("pod_id").tolist() == [""]


def test_killed_dispatch_sends_nothing_more(run):
    sent = []

    def count(exchange):
        sent.append(exchange)
        pod(exchange)

    greenlet = gevent.spawn(run, count, offsets_ms=[0, 5, 5000])
    gevent.sleep(0.05)
    assert len(sent) == 2
    greenlet.kill()
    gevent.sleep(0.01)
    assert len(sent) == 2


def test_bodies_are_decoded_once_and_forgotten_before_they_fill_the_memory():
    names = []
    pods = PodBodies(lambda name: names.append(name) or len(names), most_bodies=2)
    bodies = [b'{"pod": "%d", "node": "n", "client": "c"}' % number for number in range(3)]
    assert [pods.decode(body).pod_id for body in (bodies[0], bodies[0], bodies[1], bodies[2], bodies[0])] == [1, 1, 4, 7, 10]
