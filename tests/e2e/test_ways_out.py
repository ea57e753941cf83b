"""Every way out of a run leaves nothing behind, and what was measured stays."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from testbed_command import Left, Testbed

from tests.kept_output import execute

pytestmark = pytest.mark.e2e

CALM = Path(__file__).parent / "scenarios" / "calm.yaml"
DEADLINE_S = 60.0


def wait_until_gone(left_of: Left, run_id: str) -> None:
    ends = time.monotonic() + DEADLINE_S
    while left := left_of(run_id):
        assert time.monotonic() < ends, left
        time.sleep(0.2)


def run_directory(testbed: Testbed) -> Path:
    ends = time.monotonic() + DEADLINE_S
    while time.monotonic() < ends:
        if found := [item.parent for item in testbed.results.glob("*/*/plan.json") if not item.parent.is_symlink()]:
            return found[0]
        time.sleep(0.02)
    raise AssertionError("no run directory came")


@pytest.mark.parametrize("delay_s", [0.0, 0.7, 1.5, 3.0], ids=lambda delay: f"{delay:g}s after its directory")
def test_sigint_during_bring_up_ends_with_130_and_leaves_nothing(testbed: Testbed, left_of: Left, delay_s: float) -> None:
    process = testbed.start("run", str(CALM), "--results", str(testbed.results))
    directory = run_directory(testbed)
    time.sleep(delay_s)
    os.kill(process.pid, signal.SIGINT)
    finished = testbed.finish(process, deadline_s=DEADLINE_S)
    assert finished.status == 130, finished.output
    assert left_of(directory.name) == []


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A run whose load has begun."""

    testbed: Testbed
    process: subprocess.Popen[str]
    directory: Path


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[signal.Signals, Loaded]]:
    """One run for each signal, brought up side by side."""
    started = {}
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        testbed = Testbed(tmp_path_factory.mktemp(number.name) / "results")
        started[number] = testbed, testbed.start("run", str(CALM), "--results", str(testbed.results), "--set", "duration=120s")
    try:
        yield {
            number: Loaded(testbed=testbed, process=process, directory=wait_for_samples(run_directory(testbed)))
            for number, (testbed, process) in started.items()
        }
    finally:
        for testbed, _ in started.values():
            testbed.stop_all()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_under_load_keeps_what_was_measured(
    loaded: Mapping[signal.Signals, Loaded], left_of: Left, number: signal.Signals
) -> None:
    run = loaded[number]
    os.kill(run.process.pid, number)
    finished = run.testbed.finish(run.process, deadline_s=DEADLINE_S)
    assert finished.status == 130, finished.output
    assert left_of(run.directory.name) == []
    assert (run.directory / "history.jsonl").stat().st_size > 0
    assert (run.directory / "load" / "samples.bin").stat().st_size > 0


def wait_for_samples(directory: Path) -> Path:
    """Until the load runs: the plain progress lines of a run without a terminal cannot be read while it runs, the engine can."""
    import docker

    client = docker.from_env()
    ends = time.monotonic() + DEADLINE_S
    try:
        while time.monotonic() < ends:
            for container in client.containers.list(filters={"label": f"ingress-testbed.run={directory.name}"}):
                if container.labels.get("ingress-testbed.role") == "client":
                    status, output, _ = execute(container, ["stat", "-c", "%s", "/var/log/testbed/load/samples.bin"])
                    if status == 0 and int(output) > 6400:
                        return directory
            time.sleep(0.2)
    finally:
        client.close()
    raise AssertionError("the load never began")


def test_sigkill_of_the_orchestrator_leaves_nothing(loaded: Mapping[signal.Signals, Loaded], left_of: Left) -> None:
    run = loaded[signal.SIGKILL]
    os.kill(run.process.pid, signal.SIGKILL)
    run.process.communicate(timeout=DEADLINE_S)
    wait_until_gone(left_of, run.directory.name)


def test_bad_scenario_starts_nothing_and_exits_64(testbed: Testbed) -> None:
    finished = testbed("run", str(CALM), "--results", str(testbed.results), "--set", "cluster.nodes=900")
    assert finished.status == 64, finished.output
    assert "cluster.nodes: more nodes than addresses" in finished.output
    assert not testbed.results.exists()
