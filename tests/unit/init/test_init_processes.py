"""The supervisor over a fake process table, and requests on the control socket."""

import json
import signal
from collections.abc import Mapping, Sequence

import pytest

from testbed_init.arming import Armoury
from testbed_init.config import ProcessConfig
from testbed_init.control import Control
from testbed_init.events import RecordedEvents
from testbed_init.fake_kernel import FakeKernel
from testbed_init.processes import RESTART_DELAY_NS, RESTART_LIMIT, STOP_GRACE_NS, Supervisor


class FakeSpawner:
    """Pids counted from 100; the test decides who ends."""

    def __init__(self) -> None:
        self.alive: dict[int, tuple[str, ...]] = {}
        self.ended: dict[int, int] = {}
        self.sent: list[tuple[int, int]] = []
        self.missing = False
        self.next_pid = 100

    def spawn(self, argv: Sequence[str]) -> int:
        if self.missing:
            raise FileNotFoundError(2, "No such file or directory")
        self.next_pid += 1
        self.alive[self.next_pid] = tuple(argv)
        return self.next_pid

    def signal(self, pid: int, number: int) -> None:
        self.sent.append((pid, number))
        if number == signal.SIGKILL:
            self.end(pid, -number)

    def end(self, pid: int, status: int) -> None:
        del self.alive[pid]
        self.ended[pid] = status

    def reap(self) -> Mapping[int, int]:
        ended, self.ended = self.ended, {}
        return ended


class Bench:
    """A supervisor of one process `agent`, with control over it."""

    def __init__(self, tmp_path, *, restart: bool = True) -> None:
        self.spawner = FakeSpawner()
        self.kernel = FakeKernel()
        self.events = RecordedEvents()
        self.supervisor = Supervisor(spawner=self.spawner, clock=self.kernel.clock, events=self.events)
        self.supervisor.add(ProcessConfig(name="agent", argv=("agent", "--serve"), restart=restart))
        armoury = Armoury(kernel=self.kernel, events=self.events)
        self.control = Control(supervisor=self.supervisor, armoury=armoury, run_dir=tmp_path)

    @property
    def pid(self) -> int | None:
        return self.supervisor.processes["agent"].pid

    def die(self, status: int = -9) -> None:
        self.spawner.end(self.pid, status)
        self.supervisor.reap()

    def advance(self, by_ns: int) -> None:
        self.kernel.now_ns += by_ns
        self.supervisor.advance(self.kernel.now_ns)

    def ask(self, **request: object) -> dict[str, object]:
        return json.loads(self.control.answer(json.dumps(request).encode()))


@pytest.fixture
def bench(tmp_path) -> Bench:
    return Bench(tmp_path)


def test_a_process_that_dies_is_restarted_after_the_delay(bench):
    bench.die()
    assert bench.supervisor.next_ns() == RESTART_DELAY_NS
    bench.advance(RESTART_DELAY_NS - 1)
    assert bench.pid is None
    bench.advance(1)
    assert bench.pid == 102
    assert bench.events.named("process-exited") == [{"process": "agent", "status": -9, "restarts_left": RESTART_LIMIT - 1}]


def test_the_restart_budget_is_finite(bench):
    for _ in range(RESTART_LIMIT):
        bench.die()
        bench.advance(RESTART_DELAY_NS)
    bench.die()
    bench.advance(RESTART_DELAY_NS)
    assert bench.pid is None
    assert bench.events.named("process-exited")[-1]["restarts_left"] == 0


def test_a_process_without_restart_stays_dead(tmp_path):
    bench = Bench(tmp_path, restart=False)
    bench.die(3)
    bench.advance(RESTART_DELAY_NS)
    assert bench.pid is None
    assert bench.events.named("process-exited") == [{"process": "agent", "status": 3, "restarts_left": 0}]


def test_a_program_that_is_missing_is_reported_and_tried_again(bench):
    bench.spawner.missing = True
    bench.die()
    bench.advance(RESTART_DELAY_NS)
    assert bench.events.named("process-failed") == [{"process": "agent", "error": "agent: [Errno 2] No such file or directory"}]
    bench.spawner.missing = False
    bench.advance(RESTART_DELAY_NS)
    assert bench.pid is not None


def test_a_stopped_process_is_not_restarted_and_start_brings_it_back(bench):
    assert bench.ask(op="stop", process="agent") == {"ok": True}
    assert (101, signal.SIGTERM) in bench.spawner.sent
    bench.die(0)
    bench.advance(10 * RESTART_DELAY_NS)
    assert bench.pid is None
    bench.ask(op="start", process="agent")
    assert bench.pid == 102


def test_a_process_deaf_to_sigterm_is_killed_after_the_grace(bench):
    bench.ask(op="stop", process="agent")
    bench.advance(STOP_GRACE_NS)
    bench.supervisor.reap()
    assert bench.spawner.sent[-1] == (101, signal.SIGKILL)
    assert bench.pid is None


def test_start_of_a_running_process_changes_nothing(bench):
    bench.ask(op="start", process="agent")
    assert bench.pid == 101


def test_orphans_are_reaped_without_an_event(bench):
    bench.spawner.ended[4711] = 0
    bench.supervisor.reap()
    assert bench.events.seen == []


def test_status_names_processes_and_faults(bench):
    bench.ask(op="arm", id="step-1", fault="no-op", at_mono_ns=5, ttl_s=1)
    assert bench.ask(op="status") == {
        "ok": True,
        "processes": [{"name": "agent", "pid": 101, "running": True, "restarts": 0}],
        "faults": [{"id": "step-1", "fault": "no-op", "state": "armed", "at_mono_ns": 5}],
    }


def test_a_signal_reaches_the_process_by_name(bench):
    assert bench.ask(op="signal", process="agent", signal="STOP") == {"ok": True, "sent": True}
    assert bench.spawner.sent == [(101, signal.SIGSTOP)]


def test_a_signal_reaches_a_process_with_a_pid_file(bench, tmp_path):
    (tmp_path / "haproxy.pid").write_text("1\n")
    assert bench.ask(op="signal", process="haproxy", signal="HUP") == {"ok": True, "sent": True}
    assert bench.spawner.sent == [(1, signal.SIGHUP)]


def test_heal_of_an_unknown_id_is_ok(bench):
    assert bench.ask(op="heal", id="never") == {"ok": True, "state": "unknown"}


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        ({"op": "dance"}, "unknown op 'dance'; allowed: ['arm', 'heal', 'signal', 'start', 'status', 'stop']"),
        ({}, "unknown op None; allowed: ['arm', 'heal', 'signal', 'start', 'status', 'stop']"),
        ({"op": "heal"}, "heal: missing ['id']"),
        ({"op": "heal", "id": 7}, "heal: id must be a non-empty string, got 7"),
        ({"op": "status", "verbose": True}, "status: unknown keys ['verbose']; allowed: []"),
        ({"op": "stop", "process": "nobody"}, "no process 'nobody'; this container has ['agent']"),
        ({"op": "signal", "process": "nobody", "signal": "KILL"}, "no process 'nobody'; this container has ['agent']"),
        ({"op": "signal", "process": "agent", "signal": "LOUD"}, "unknown signal 'LOUD'"),
        (
            {"op": "arm", "id": "a", "fault": "no-op", "at_mono_ns": 1.5, "ttl_s": 1},
            "arm: at_mono_ns must be an integer, got 1.5",
        ),
        (
            {"op": "arm", "id": "a", "fault": "no-op", "at_mono_ns": 1, "ttl_s": 0},
            "arm: ttl_s must be a number above 0, got 0",
        ),
        (
            {"op": "arm", "id": "a", "fault": "no-op", "at_mono_ns": 1, "ttl_s": 1, "parameters": []},
            "arm: parameters must be an object, got []",
        ),
    ],
)
def test_a_request_outside_the_contract_is_answered_with_the_reason(bench, request_, error):
    assert bench.ask(**request_) == {"ok": False, "error": error}


@pytest.mark.parametrize("line", [b"{", b"\xff", b"[1]", b"null"])
def test_garbage_is_answered_and_does_no_harm(bench, line):
    assert json.loads(bench.control.answer(line))["ok"] is False
