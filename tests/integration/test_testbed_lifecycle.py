"""Testbeds on Docker from claim to clean-up, however they end."""

import json
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from orchestrator.errors import CommandError
from orchestrator.faults.node_kill import NodeKill
from orchestrator.model.plan import StepPlan
from orchestrator.testbed.cleaning import clean, find_runs
from orchestrator.testbed.connection import answering_client
from orchestrator.testbed.docker_engine import DockerEngine
from orchestrator.testbed.labels import RUN
from tests.integration.testbed_lab import bare_testbed, lab_claim, newest_image
from tests.unit.testbed.scripted_cluster import ROOT, compose_file

pytestmark = pytest.mark.integration

REAPED_WITHIN_S = 30.0
SERVE = """
import http.server
http.server.HTTPServer(("0.0.0.0", 6443), http.server.SimpleHTTPRequestHandler).serve_forever()
"""


@pytest.fixture
def engine() -> Iterator[DockerEngine]:
    engine = DockerEngine(answering_client())
    yield engine
    engine.close()


def left_of(engine: DockerEngine, run_id: str) -> list[str]:
    found = (*engine.containers({RUN: run_id}), *engine.networks({RUN: run_id}))
    return [item.name for item in found]


def await_reaped(engine: DockerEngine, run_id: str) -> None:
    """Containers, networks and guard rules gone, without anybody's help."""
    deadline = time.monotonic() + REAPED_WITHIN_S
    while left_of(engine, run_id) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert left_of(engine, run_id) == []
    assert run_id not in orphaned_guards(engine, run_id)


def orphaned_guards(engine: DockerEngine, run_id: str) -> tuple[str, ...]:
    """Runs whose guard rules were found although nothing else of them is there."""
    cleaned = clean(engine, compose_file(), warden_image=newest_image("warden"), now_unix_s=0, run_id=run_id)
    return cleaned.guards


@contextmanager
def orphan(directory: Path, *options: str) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """An orchestrator in a process of its own, and its run id once its testbed is up."""
    argv = [sys.executable, "-m", "tests.integration.orphan_program", str(directory), *options]
    process = subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        run_id = process.stdout.readline().strip()
        assert run_id, "the orchestrator ended before its testbed was up"
        yield process, run_id
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def test_a_testbed_that_ends_leaves_nothing_but_its_logs(engine: DockerEngine, tmp_path: Path) -> None:
    with bare_testbed(tmp_path) as testbed:
        run_id = testbed._claim.run.run_id
        testbed.execute("node-1", ["sh", "-c", "echo trace > /var/log/testbed/trace.txt"], deadline_s=10)
        assert left_of(engine, run_id) != []
    assert left_of(engine, run_id) == []
    assert run_id not in orphaned_guards(engine, run_id)
    assert (tmp_path / "logs" / "node-1" / "trace.txt").read_text() == "trace\n"


def test_an_orchestrator_that_is_killed_is_cleaned_up_after(engine: DockerEngine, tmp_path: Path) -> None:
    with orphan(tmp_path) as (process, run_id):
        assert len(engine.containers({RUN: run_id})) == 8
        process.send_signal(signal.SIGKILL)
        await_reaped(engine, run_id)


def test_a_kept_testbed_stays_until_it_is_cleaned(engine: DockerEngine, tmp_path: Path) -> None:
    with orphan(tmp_path, "keep") as (process, run_id):
        assert process.wait(60) == 0
        try:
            found = next(run for run in find_runs(engine) if run.run_id == run_id)
            assert found.has_warden
            assert "node-1" in found.container_names()
            assert (tmp_path / "kubeconfig").exists()
        finally:
            cleaned = clean(engine, compose_file(), warden_image=newest_image("warden"), now_unix_s=0, run_id=run_id)
        assert (cleaned.runs, cleaned.guards) == ((run_id,), (run_id,))
        assert left_of(engine, run_id) == []


def test_a_kept_run_removes_itself_when_it_expires(engine: DockerEngine, tmp_path: Path) -> None:
    with lab_claim(tmp_path, expires_in_s=3) as claim:
        claim.warden.keep()
    run_id = claim.run.run_id
    assert left_of(engine, run_id) != []
    await_reaped(engine, run_id)


def test_two_testbeds_live_side_by_side_in_slots_of_their_own(tmp_path: Path) -> None:
    with lab_claim(tmp_path / "a") as first, lab_claim(tmp_path / "b") as second:
        assert first.slot != second.slot
        for one in first.networks:
            assert not any(one.subnet.overlaps(other.subnet) for other in second.networks)


def test_the_published_port_leads_to_the_control_plane(tmp_path: Path) -> None:
    with bare_testbed(tmp_path) as testbed:
        testbed.spawn("controlplane", ["python3", "-c", SERVE])
        url = f"http://127.0.0.1:{testbed.host_port('controlplane', 6443)}/etc/hostname"
        deadline = time.monotonic() + 10
        while True:
            try:
                with urllib.request.urlopen(url, timeout=2) as answer:
                    assert answer.read() == b"controlplane\n"
                break
            except OSError:
                assert time.monotonic() < deadline, "the published port does not answer"
                time.sleep(0.1)


def test_a_node_is_killed_at_its_instant_and_comes_back_as_itself(tmp_path: Path) -> None:
    with bare_testbed(tmp_path) as testbed:
        step = StepPlan(step="1-node-kill", kind="node-kill", at_s=0, for_s=1, targets=("node-1",), parameters={"ttl_s": 30.0})
        before = testbed.execute("node-1", ["ip", "-json", "-4", "addr", "show", "scope", "global"], deadline_s=10)
        at_ns = testbed.clock.now_mono_ns() + 1_000_000_000
        NodeKill().arm(step, testbed, at_ns)
        NodeKill().inject(step, testbed, at_ns)
        assert not testbed.is_running("node-1")
        NodeKill().heal(step, testbed)
        NodeKill().heal(step, testbed)
        assert testbed.is_running("node-1")
        after = testbed.execute("node-1", ["ip", "-json", "-4", "addr", "show", "scope", "global"], deadline_s=10)
        effective, healed = testbed.history().first("step-effective"), testbed.history().first("step-healed")
    assert effective is not None
    assert healed is not None
    assert 0 <= effective.t_mono_ns - at_ns < 1_000_000_000
    assert str(effective.fields["evidence"]) == "eth0 down; the engine saw it die with status 99"
    assert [link["addr_info"][0]["local"] for link in json.loads(after)] == [
        link["addr_info"][0]["local"] for link in json.loads(before)
    ]


def test_the_engines_death_notice_is_within_its_offset_of_the_inits(tmp_path: Path) -> None:
    with bare_testbed(tmp_path) as testbed:
        with pytest.raises(CommandError, match="status 137"):  # it goes down with its container
            testbed.execute("node-2", ["python3", "-c", "import os, time; os.kill(1, 15); time.sleep(9)"], deadline_s=10)
        died = testbed.wait_event(
            lambda event: event.event == "engine" and event.fields == {"action": "die", "container": "node-2", "exit_code": 0},
            since_ns=0,
            deadline_s=10,
            what="the death of node-2",
        )
        assert 0 <= testbed.clock.now_mono_ns() - died.t_mono_ns < 5_000_000_000
