"""A testbed that is left running: faults, rescales, load and a trace by hand, each a command of its own, and kubectl."""

import subprocess
from pathlib import Path

import pytest
from testbed_command import Left, Testbed

from kubectl_programs import NEWEST

pytestmark = pytest.mark.e2e

CALM = Path(__file__).parent / "scenarios" / "calm.yaml"


def test_a_testbed_is_worked_on_by_hand_and_removed(testbed: Testbed, left_of: Left) -> None:
    def run(*arguments: str, status: int = 0) -> str:
        finished = testbed(*arguments, "--results", str(testbed.results))
        assert finished.status == status, finished.output
        return finished.output

    run("up", str(CALM))
    (directory,) = testbed.results.glob("*/latest")
    run_id = directory.resolve().name
    try:
        check_kubectl(directory)
        struck = run("fault", "inject", run_id, "link-down", "target=node-2", "--for", "1s")
        assert [word for word in ("issued", "effective", "healed") if f"link-down-1: {word} on node-2" in struck] == [
            "issued",
            "effective",
            "healed",
        ]
        run("fault", "inject", run_id, "node-pause", "target=[node-1, node-2]")
        assert run("fault", "list", run_id).count("node-pause") >= 2
        assert run("fault", "heal", run_id).count(": healed on node-") == 2
        assert "no fault is in place" in run("fault", "list", run_id)
        assert "no node 'node-9' at that instant" in run("fault", "inject", run_id, "link-down", "target=node-9", status=64)
        assert ": effective on node-3" in run("scale", run_id, "nodes=3")
        assert "node-3" in testbed("exec", "--results", str(testbed.results), run_id, "node-3", "hostname").output
        failed = testbed("exec", "--results", str(testbed.results), run_id, "node-3", "--", "sh", "-c", "echo so far >&2; exit 3")
        assert (failed.status, failed.output) == (3, "so far\n")
        assert ": effective on node-2" in run("fault", "inject", run_id, "node-replace", "target=node-2")
        assert "no fault is in place" in run("fault", "list", run_id)
        assert ": effective on node-4" in run("fault", "inject", run_id, "link-down", "target=node-4", "--for", "1s")
        assert "allowed: node-1, node-3, node-4" in run("fault", "inject", run_id, "link-down", "target=node-2", status=64)
        traced = run("trace", run_id, "nodeport")
        assert "connection tracking" in traced
        assert "endpoint" in traced
        loaded = run("load", run_id, "--for", "2s", "--rate", "20/s")
        assert "nodeport: 100.00% of" in loaded
    finally:
        down = testbed("down", run_id)
    assert down.status == 0, down.output
    assert left_of(run_id) == []


def check_kubectl(directory: Path) -> None:
    """With the kubeconfig of the run directory."""

    def get(*what: str) -> str:
        command = [
            str(NEWEST),
            "--kubeconfig",
            str(directory / "kubeconfig"),
            "--cache-dir",
            str(directory / "cache"),
            "get",
            *what,
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    service = get("svc", "service-test")
    assert "10.3.241.152" in service
    assert "80:32213/TCP" in service
    assert get("nodes").count(" Ready ") == 2
