"""Faults of processes, pods and tables in a real container: the effect on what a peer sees, and nothing left when healed."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import docker
import pytest

from fault_lab import Lab, fault_lab
from role_container import RoleContainer

pytestmark = pytest.mark.integration

NGINX = """
daemon on; worker_processes 1; user root;
pid /run/testbed/pods/uid/nginx.pid; error_log stderr;
events {}
http { access_log off; server { listen 8080; location / { return 200 "ok"; } } }
"""
ASK = """
import sys, urllib.request
try:
    print(urllib.request.urlopen(f"http://{sys.argv[1]}:8080/", timeout=1).read().decode())
except OSError as error:
    print(type(getattr(error, "reason", error)).__name__)
"""
STANDALONE = """
import os, signal, time
def answer(*_):
    open("/tmp/reloaded", "w").close()
signal.signal(signal.SIGHUP, answer)
open("/run/testbed/standalone.pid", "w").write(str(os.getpid()))
while True:
    time.sleep(1)
"""
SPIN = """
import time
began, used = time.monotonic(), time.process_time()
while time.monotonic() - began < 0.8:
    pass
print((time.process_time() - used) / (time.monotonic() - began))
"""
HOLD = """
import socket, sys, time
stream = socket.create_connection((sys.argv[1], 7001), timeout=3)
for _ in range(200):
    stream.sendall(b"x")
    stream.recv(1)
    print(time.monotonic(), flush=True)
    time.sleep(0.05)
"""
MIRROR = """
import socket
server = socket.create_server(("0.0.0.0", 7001))
while True:
    stream, _ = server.accept()
    while part := stream.recv(1):
        stream.sendall(part)
"""


@pytest.fixture(scope="module")
def engine():
    client = docker.from_env()
    yield client
    client.close()


@pytest.fixture(scope="module")
def lab(engine) -> Iterator[Lab]:
    processes = [{"name": "mirror", "argv": ["python3", "-c", MIRROR], "restart": True}]
    with fault_lab(engine, ground=["output"], processes=processes, files={"/etc/pod.conf": NGINX}) as built:
        subject = built.subject
        subject.run("mkdir", "-p", "/run/testbed/pods/uid")
        subject.run("sh", "-c", f"echo {built.addresses['subject']} > /run/testbed/pods/uid/address")
        subject.run("nft", "add table ip track { chain c { type filter hook input priority 0; ct state invalid counter; }; }")
        start_pod(subject)
        subject.background("python3", "-c", STANDALONE)
        wait_until(lambda: subject.run("sh", "-c", "cat /run/testbed/standalone.pid 2>/dev/null || true"), "the pid file")
        yield built


def start_pod(subject: RoleContainer) -> None:
    """As the node's agent does: nginx goes into the background when it listens."""
    subject.run("nginx", "-e", "stderr", "-c", "/etc/pod.conf")


def wait_until(holds: Callable[[], object], what: str) -> None:
    until_s = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < until_s, f"not within 10 s: {what}"
        time.sleep(0.05)


def ask(lab: Lab, source: RoleContainer) -> str:
    return source.run("python3", "-c", ASK, lab.addresses["subject"]).strip()


def stopped(lab: Lab) -> int:
    return lab.subject.run("ps", "-A", "-o", "state=").split().count("T")


def echo_dead(lab: Lab) -> None:
    assert lab.dial() == "ConnectionRefusedError"
    time.sleep(0.4)  # longer than init's restart takes
    assert lab.dial() == "ConnectionRefusedError"


def echo_lives(lab: Lab) -> None:
    wait_until(lambda: lab.dial().startswith("greeted"), "a greeting")


def echo_frozen(lab: Lab) -> None:
    """The kernel accepts, and nobody greets."""
    assert lab.dial() == "silence"
    assert ask(lab, lab.peer) == "ok"


def probes_refused(lab: Lab) -> None:
    assert ask(lab, lab.subject) == "ConnectionRefusedError"
    assert ask(lab, lab.peer) == "ok"


def pod_serves(lab: Lab) -> None:
    assert ask(lab, lab.subject) == ask(lab, lab.peer) == "ok"


def little_cpu(lab: Lab) -> None:
    assert float(lab.subject.run("python3", "-c", SPIN)) < 0.5


def nothing_stopped(lab: Lab) -> None:
    wait_until(lambda: stopped(lab) == 0, "no process stopped")


@dataclass(frozen=True, slots=True)
class Case:
    fault: str
    parameters: dict[str, object]
    during: Callable[[Lab], None]
    without: Callable[[Lab], None]


CASES = [
    Case("process-kill", {"process": "echo"}, echo_dead, echo_lives),
    Case("process-pause", {"process": "echo"}, echo_frozen, echo_lives),
    Case("pod-not-ready", {"count": 1}, probes_refused, pod_serves),
    Case("cpu-squeeze", {"share_ratio": 0.2}, little_cpu, nothing_stopped),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.fault)
def test_a_fault_strikes_and_leaves_no_trace_when_healed(lab: Lab, case: Case) -> None:
    case.without(lab)
    before = lab.snapshot()
    id = lab.strike(case.fault, case.parameters)
    case.during(lab)
    lab.heal(id)
    assert lab.snapshot() == before
    case.without(lab)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.fault)
def test_a_fault_that_nobody_heals_expires_and_leaves_no_trace(lab: Lab, case: Case) -> None:
    before = lab.snapshot()
    id = lab.strike(case.fault, case.parameters, ttl_s=0.3)
    lab.subject.wait_event("fault-expired", id=id)
    assert lab.snapshot() == before
    case.without(lab)


def test_a_killed_pod_refuses_connections_until_it_is_started_again(lab: Lab) -> None:
    id = lab.strike("pod-kill", {"count": 1})
    assert ask(lab, lab.peer) == "ConnectionRefusedError"
    start_pod(lab.subject)
    assert ask(lab, lab.peer) == "ok"
    lab.heal(id)


def test_a_process_with_a_pid_file_takes_an_order(lab: Lab) -> None:
    lab.strike("process-signal", {"process": "standalone", "signal": "HUP"})
    wait_until(lambda: lab.subject.run("sh", "-c", "ls /tmp/reloaded 2>/dev/null || true"), "the order's effect")


def test_a_full_table_drops_new_connections_and_keeps_known_ones(lab: Lab) -> None:
    entries = "/proc/sys/net/netfilter/nf_conntrack_count"
    held = lab.peer.background("python3", "-c", HOLD, lab.addresses["subject"])
    held.line(2)
    before = lab.snapshot()
    id = lab.strike("conntrack-full", {}, ahead_s=4.0)
    seen = len(lab.peer.run("cat", held.output).splitlines())
    assert lab.dial() == "silence"
    held.line(seen + 3)
    lab.heal(id)
    assert lab.snapshot() == before
    assert int(lab.subject.run("cat", entries)) < 1000
    echo_lives(lab)


def test_a_full_table_that_nobody_heals_empties_again(lab: Lab) -> None:
    id = lab.strike("conntrack-full", {}, ahead_s=4.0, ttl_s=0.3)
    lab.subject.wait_event("fault-expired", id=id)
    echo_lives(lab)


def test_an_orderly_end_tells_the_peer_and_gives_status_0(engine) -> None:
    """Last of its container, which is one of its own."""
    with fault_lab(engine, ground=[]) as own:
        own.strike("shutdown", {})
        assert own.subject.wait_exit() == 0
        assert own.subject.events("process-exited")[-1]["fields"]["status"] == -15
