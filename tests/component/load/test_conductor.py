"""A run of the load from ready to finished, with real arrivals on loopback, without Locust."""

import json

import gevent
import pytest
from gevent.event import Event
from loopback import clock, free_port, keep_answering, make_class, responding, stall

from loadtests.conductor import Conductor, Files, LoadStuckError
from loadtests.events import EventWriter, RecordedEvents, read_source
from loadtests.load_file import Expect, LoadFile, LoadFileError
from loadtests.open_load import plan_open_load
from loadtests.open_model import Recorder
from loadtests.responder import PodBodies
from loadtests.sample_log import SampleLog
from loadtests.start_gate import StartError, check_start, wait_for_start
from loadtests.tally import Tally
from orchestrator.model.samples import Outcome, read_raw_samples

NS_PER_S = 1_000_000_000


class Bench:
    """A conducted load; each class has a greenlet, as Locust's users are."""

    def __init__(self, directory, classes, *, duration_s=0.1, timeout_s=0.2, start_mono_ns=None):
        self.directory = directory
        self.events = RecordedEvents()
        self.load = LoadFile(
            start_mono_ns=start_mono_ns,
            duration_s=duration_s,
            timeout_s=timeout_s,
            in_flight_limit=500,
            seed=1,
            classes=tuple(classes),
        )
        log = SampleLog(directory)
        recorder = Recorder(log=log, pods=PodBodies(log.intern), on_request=lambda *_: None, warn=lambda _: None)
        self.workload = plan_open_load(self.load, recorder, clock)
        files = Files(start=directory / "start", output=directory)
        self.conductor = Conductor(self.load, self.workload, log, files, self.events, clock)
        self.users = [gevent.spawn(self.workload.run_class, arrivals) for arrivals in self.workload.classes]
        self.conducting = gevent.spawn(self.conductor.conduct)

    def start(self, in_s=0.02):
        (self.directory / "start").write_text(f"{clock() + round(in_s * NS_PER_S)}\n")

    def finish(self):
        self.conducting.get(timeout=5)
        gevent.killall(self.users)
        return json.loads((self.directory / "totals.json").read_text()), read_raw_samples(self.directory)


def counts(totals):
    return [(item["path"], item["class"], item["sent"], item["recorded"], item["ok"]) for item in totals["classes"]]


def test_load_waits_starts_at_its_instant_and_finishes_by_itself(tmp_path):
    with responding(keep_answering()) as pods, responding(keep_answering(b"HTTP/1.1 204 No Content\r\n\r\n")) as control:
        classes = [
            make_class(pods.url, rate_rps=100.0),
            make_class(pods.url, rate_rps=100.0, connection_class="keepalive", connections=3),
            make_class(control.url, path="control", rate_rps=50.0, expect=Expect.ANY),
        ]
        bench = Bench(tmp_path, classes)
        gevent.sleep(0.03)
        assert bench.events.seen == [("load-waiting", {"classes": 3})]
        bench.start()
        totals, samples = bench.finish()
    (started,) = bench.events.named("load-started")
    (finished,) = bench.events.named("load-finished")
    expected = [("nodeport", "new", 10, 10, 10), ("nodeport", "keepalive", 10, 10, 10), ("control", "new", 5, 5, 5)]
    assert counts(totals) == expected
    assert finished == totals
    assert not totals["bound_reached"]
    assert len(samples) == 25
    offsets_ns = samples.records["intended_ns"] - started["start_mono_ns"]
    assert offsets_ns.min() == 0
    assert offsets_ns.max() < 0.1 * NS_PER_S
    last = bench.events.named("load-progress")[-3:]
    assert [(item["path"], item["class"], item["sent"], item["ok"], item["failed"], item["in_flight"]) for item in last] == [
        ("nodeport", "new", 10, 10, 0, 0),
        ("nodeport", "keepalive", 10, 10, 0, 0),
        ("control", "new", 5, 5, 0, 0),
    ]


def test_stop_in_the_middle_records_all_that_was_sent(tmp_path):
    with responding(stall) as stalled, responding(keep_answering()) as answering:
        classes = [
            make_class(stalled.url, path="stalled", rate_rps=200.0),
            make_class(answering.url, path="answering", rate_rps=200.0),
            make_class(f"http://127.0.0.1:{free_port()}/", path="refused", rate_rps=200.0),
        ]
        bench = Bench(tmp_path, classes, duration_s=60)
        bench.start(in_s=0)
        gevent.sleep(0.15)
        stopped_ns = clock()
        bench.conductor.stop()
        totals, samples = bench.finish()
    assert (clock() - stopped_ns) / 1e9 < 1.5
    for item in totals["classes"]:
        records = samples.of(item["path"]).records
        assert item["sent"] == item["recorded"] == len(records) > 5
        assert records["sequence"].tolist() == list(range(len(records)))
    outcomes = {path: set(samples.of(path).records["outcome"].tolist()) for path in ("stalled", "answering", "refused")}
    assert outcomes == {"stalled": {Outcome.RESPONSE_TIMEOUT}, "answering": {Outcome.OK}, "refused": {Outcome.REFUSED}}


def test_stop_before_the_start_leaves_empty_results(tmp_path):
    bench = Bench(tmp_path, [make_class(f"http://127.0.0.1:{free_port()}/")])
    gevent.sleep(0.02)
    bench.conductor.stop()
    totals, samples = bench.finish()
    assert counts(totals) == [("nodeport", "new", 0, 0, 0)]
    assert len(samples) == 0
    assert [name for name, _ in bench.events.seen] == ["load-waiting", "load-finished"]


def test_start_given_in_the_load_file_needs_no_start_file(tmp_path):
    with responding(keep_answering()) as pods:
        bench = Bench(tmp_path, [make_class(pods.url)], duration_s=0.02, start_mono_ns=clock() + 20_000_000)
        totals, _ = bench.finish()
    assert counts(totals) == [("nodeport", "new", 4, 4, 4)]


class NeverOver:
    """A workload that hangs with a request in flight."""

    def __init__(self):
        self.ready, self.over = Event(), Event()
        self.ready.set()
        self.tallies = (Tally(path="nodeport", connection_class="new", sent=1, in_flight=1),)
        self.bound_reached = False

    def begin(self, start_mono_ns):
        return

    def stop(self):
        return


def test_load_that_never_ends_is_an_error_and_its_totals_show_what_is_missing(tmp_path):
    load = LoadFile(start_mono_ns=clock(), duration_s=0.01, timeout_s=0.01, in_flight_limit=1, seed=1, classes=())
    files = Files(start=tmp_path / "start", output=tmp_path)
    conductor = Conductor(load, NeverOver(), SampleLog(tmp_path), files, RecordedEvents(), clock, drain_margin_s=0.0)
    with pytest.raises(LoadStuckError, match="nodeport/new: 1 in flight"):
        conductor.conduct()
    assert counts(json.loads((tmp_path / "totals.json").read_text())) == [("nodeport", "new", 1, 0, 0)]
    assert conductor.finished.is_set()


def test_class_that_is_not_known_is_refused_with_the_known_ones(tmp_path):
    with pytest.raises(LoadFileError, match=r"classes\[0\]\.class: found 'carrier-pigeon'; allowed: new, keepalive"):
        Bench(tmp_path, [make_class("http://127.0.0.1/", connection_class="carrier-pigeon")])


def wait(file, *, deadline_s=1.0):
    return wait_for_start(file, clock=clock, stop=Event(), deadline_s=deadline_s)


def test_start_that_is_still_being_written_is_not_read(tmp_path):
    file = tmp_path / "start"
    instant = clock() + NS_PER_S
    waiting = gevent.spawn(wait, file)
    with file.open("w") as writing:
        for digit in str(instant):
            writing.write(digit)
            writing.flush()
            gevent.sleep(0.003)
        writing.write("\n")
    assert waiting.get(timeout=1) == instant


def test_start_without_newline_is_taken_when_it_stays_the_same(tmp_path):
    (tmp_path / "start").write_text(str(clock() + NS_PER_S))
    assert wait(tmp_path / "start") == int((tmp_path / "start").read_text())


def test_start_that_never_comes_is_an_error(tmp_path):
    with pytest.raises(StartError, match=r"start: no start within 0\.02 s; last content: ''"):
        wait(tmp_path / "start", deadline_s=0.02)


@pytest.mark.parametrize("text", ["soon\n", "-5\n", "1.5\n", "٣\n"])
def test_start_that_is_no_instant_is_an_error(text):
    with pytest.raises(StartError, match="allowed: CLOCK_MONOTONIC in ns"):
        check_start(text, 0)


def test_start_long_past_is_an_error_instead_of_a_burst():
    assert check_start("5000000000", 5_900_000_000) == 5_000_000_000
    with pytest.raises(StartError, match=r"was 1\.500 s ago"):
        check_start("5000000000", 6_500_000_000)


def test_event_is_one_compact_line(capfd):
    EventWriter(source="client/load", clock=lambda: 7).emit("load-started", start_mono_ns=9)
    assert capfd.readouterr().out == (
        '{"t_mono_ns":7,"source":"client/load","event":"load-started","fields":{"start_mono_ns":9}}\n'
    )


def test_source_is_the_container_of_the_configuration(tmp_path):
    file = tmp_path / "config.json"
    assert read_source(file) == "client/load"
    file.write_text('{"container": "client-2"}')
    assert read_source(file) == "client-2/load"
