"""The process that injected faults is killed: what they struck heals itself, and nobody is asked."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import docker
import pytest
from run_world import RunWorld, differences
from testbed_command import ROOT, Left, Testbed

pytestmark = pytest.mark.e2e

CALM = Path(__file__).parent / "scenarios" / "calm.yaml"
FAULTS = [
    {"target": "node-1", "fault": "node-kill"},
    {"target": "node-2", "fault": "node-stop"},
    {"target": "node-3", "fault": "node-pause"},
    {"target": "node-4", "fault": "link-down"},
    {"target": "node-5", "fault": "partition", "from": "control-plane"},
    {"target": "node-6", "fault": "loss", "ratio": "30%"},
    {"target": "node-7", "fault": "rate", "mbit_per_s": 1},
    {"target": "node-8", "fault": "delay", "delay": "50ms"},
    {"target": "node-9", "fault": "cpu-squeeze", "cpu": "20%"},
    {"target": "node-10", "fault": "agent-kill"},
    {"target": "node-11", "fault": "agent-pause"},
    {"fault": "lb-pause"},
    {"fault": "controlplane-down"},
]
NODES = 11
EXPIRE_S = 1.0
MARGIN_S = 30.0
"""A fault expires so long after its planned end."""
HEAL_DEADLINE_S = 40.0
INJECT = """
import json, sys, time
from pathlib import Path
from orchestrator.cli.interactive import _session
run, results, faults, expire_s = sys.argv[1:]
with _session(run, Path(results)) as session:
    # What these stand on is laid once and stays: chains without rules, token buckets that nothing fills.
    ground = [item for item in json.loads(faults) if item["fault"] in ("partition", "loss", "rate", "delay")]
    session.heal(session.strike({"together": ground}, for_s=1.0, lasts_s=10.0))
    print("ready", flush=True)
    sys.stdin.readline()
    session.strike({"together": json.loads(faults)}, for_s=None, lasts_s=float(expire_s))
    print("struck", flush=True)
    time.sleep(600)
"""


def test_every_fault_expires_when_its_orchestrator_was_killed(
    testbed: Testbed, engine: docker.DockerClient, left_of: Left
) -> None:
    up = testbed("up", str(CALM), "--results", str(testbed.results), "--set", f"cluster.nodes={NODES}")
    assert up.status == 0, up.output
    run_id, directory = up.run_id, up.directory
    assert directory is not None
    world = RunWorld(engine, directory)
    try:
        argv = [sys.executable, "-c", INJECT, run_id, str(testbed.results), json.dumps(FAULTS), str(EXPIRE_S)]
        injector = subprocess.Popen(
            argv, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        assert injector.stdin is not None
        assert injector.stdout is not None
        try:
            assert injector.stdout.readline() == "ready\n"
            before = world.state()
            injector.stdin.write("go\n")
            injector.stdin.flush()
            assert injector.stdout.readline() == "struck\n"
        finally:
            os.kill(injector.pid, signal.SIGKILL)
            injector.communicate()
        struck_s = time.monotonic()
        struck = world.state()
        # A delay stands in netfilter's queue and in a process that is not init's own: nothing of it is in this state.
        unchanged = [name for name, state in before.items() if struck[name] == state]
        assert len(unchanged) <= len(before) - len(FAULTS) + 1, unchanged
        time.sleep(max(0.0, struck_s + EXPIRE_S + MARGIN_S - time.monotonic()))
        ends_s = time.monotonic() + HEAL_DEADLINE_S
        while (after := world.state()) != before:
            assert time.monotonic() < ends_s, json.dumps(differences(before, after), indent=1)
            time.sleep(0.5)
        loaded = testbed("load", run_id, "--results", str(testbed.results), "--for", "3s", "--rate", "20/s")
        assert "nodeport: 100.00% of" in loaded.output, loaded.output
    finally:
        testbed("down", run_id)
    assert left_of(run_id) == []
