"""Every way out of a run leaves nothing behind, and what was measured stays."""

import os
import signal
import time
from pathlib import Path

import pytest
from testbed_command import Left, Testbed

from kubectl_programs import NEWEST

pytestmark = pytest.mark.e2e

DEADLINE_S = 60.0


def wait_until_gone(left_of: Left, run_id: str) -> None:
    ends = time.monotonic() + DEADLINE_S
    while left := left_of(run_id):
        assert time.monotonic() < ends, left
        time.sleep(0.2)


def run_directory(testbed: Testbed) -> Path:
    ends = time.monotonic() + DEADLINE_S
    while time.monotonic() < ends:
        if found := [item.parent for item in testbed.results.glob("*/*/plan.json")]:
            return found[0]
        time.sleep(0.02)
    raise AssertionError("no run directory came")


@pytest.mark.parametrize("delay_s", [0.0, 0.7, 1.5, 3.0], ids=lambda delay: f"{delay:g}s after its directory")
def test_sigint_during_bring_up_ends_with_130_and_leaves_nothing(testbed: Testbed, left_of: Left, delay_s: float) -> None:
    process = testbed.start("run", str(Path(__file__).parent / "scenarios" / "calm.yaml"), "--results", str(testbed.results))
    directory = run_directory(testbed)
    time.sleep(delay_s)
    os.kill(process.pid, signal.SIGINT)
    finished = testbed.finish(process, deadline_s=DEADLINE_S)
    assert finished.status == 130, finished.output
    assert left_of(directory.name) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_under_load_keeps_what_was_measured(testbed: Testbed, left_of: Left, number: signal.Signals) -> None:
    scenario = Path(__file__).parent / "scenarios" / "calm.yaml"
    process = testbed.start("run", str(scenario), "--results", str(testbed.results), "--set", "duration=60s")
    directory = run_directory(testbed)
    wait_for_samples(testbed, directory)
    os.kill(process.pid, number)
    finished = testbed.finish(process, deadline_s=DEADLINE_S)
    assert finished.status == 130, finished.output
    assert left_of(directory.name) == []
    assert (directory / "history.jsonl").stat().st_size > 0
    assert (directory / "load" / "samples.bin").stat().st_size > 0


def wait_for_samples(testbed: Testbed, directory: Path) -> None:
    """Until the load runs: the plain progress lines of a run without a terminal cannot be read while it runs, the engine can."""
    import docker

    client = docker.from_env()
    ends = time.monotonic() + DEADLINE_S
    try:
        while time.monotonic() < ends:
            for container in client.containers.list(filters={"label": f"ingress-testbed.run={directory.name}"}):
                if container.labels.get("ingress-testbed.role") == "client":
                    status, output = container.exec_run(["stat", "-c", "%s", "/var/log/testbed/load/samples.bin"])
                    if status == 0 and int(output) > 6400:
                        return
            time.sleep(0.2)
    finally:
        client.close()
    raise AssertionError("the load never began")


def test_sigkill_of_the_orchestrator_leaves_nothing(testbed: Testbed, left_of: Left) -> None:
    scenario = Path(__file__).parent / "scenarios" / "calm.yaml"
    process = testbed.start("run", str(scenario), "--results", str(testbed.results), "--set", "duration=60s")
    directory = run_directory(testbed)
    wait_for_samples(testbed, directory)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=DEADLINE_S)
    wait_until_gone(left_of, directory.name)


def test_bad_scenario_starts_nothing_and_exits_64(testbed: Testbed) -> None:
    scenario = Path(__file__).parent / "scenarios" / "calm.yaml"
    finished = testbed("run", str(scenario), "--results", str(testbed.results), "--set", "cluster.nodes=900")
    assert finished.status == 64, finished.output
    assert "cluster.nodes: more nodes than addresses" in finished.output
    assert not testbed.results.exists()


def test_kept_testbed_answers_kubectl_until_it_is_taken_down(testbed: Testbed, left_of: Left) -> None:
    import subprocess

    up = testbed("up", str(Path(__file__).parent / "scenarios" / "calm.yaml"), "--results", str(testbed.results))
    assert up.status == 0, up.output
    directory = up.directory
    assert directory is not None
    try:
        command = [str(NEWEST), "--kubeconfig", str(directory / "kubeconfig"), "--cache-dir", str(testbed.results / "cache")]
        service = subprocess.run(
            [*command, "get", "svc", "service-test"], capture_output=True, text=True, timeout=30, check=False
        )
        assert "10.3.241.152" in service.stdout, service.stderr
        assert "80:32213/TCP" in service.stdout
        nodes = subprocess.run([*command, "get", "nodes"], capture_output=True, text=True, timeout=30, check=False)
        assert nodes.stdout.count(" Ready ") == 2, nodes.stdout
    finally:
        down = testbed("down", directory.name)
    assert down.status == 0, down.output
    assert left_of(directory.name) == []
