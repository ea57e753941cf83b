"""The process that injected faults is killed: what they struck heals itself, and nobody is asked."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import docker
import pytest
from killed_faults import DRAINS, FAULTS, NODES
from run_world import RULES_OF_PODS, RunWorld, differences
from testbed_command import ROOT, Left, Testbed

from orchestrator.render.kubeconfig import read_kubeconfig
from orchestrator.testbed.kube import KubeClient

pytestmark = pytest.mark.e2e

SCENARIOS = Path(__file__).parent / "scenarios"
CALM, KILL = SCENARIOS / "calm.yaml", SCENARIOS / "kill.yaml"
EXCLUDE_LABEL = "node.kubernetes.io/exclude-from-external-load-balancers"
EXPIRE_S = 1.0
MARGIN_S = 30.0
"""A fault expires so long after its planned end."""
HEAL_DEADLINE_S = 40.0
UP_DEADLINE_S = 90.0
INJECT = """
import json, sys, time
from pathlib import Path
from typing import Any
from orchestrator.cli.interactive import _session
run, results, faults, drains, expire_s = sys.argv[1:]
with _session(run, Path(results)) as session:
    # What these stand on is laid once and stays: chains without rules, token buckets that nothing fills.
    ground = [item for item in json.loads(faults) if item["fault"] in ("partition", "loss", "rate", "delay")]
    session.heal(session.strike({"together": ground}, for_s=1.0, lasts_s=10.0))
    print("ready", flush=True)
    sys.stdin.readline()
    for drain in json.loads(drains):
        session.strike(drain, for_s=None, lasts_s=float(expire_s))
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
        argv = [sys.executable, "-c", INJECT, run_id, str(testbed.results), json.dumps(FAULTS), json.dumps(DRAINS), str(EXPIRE_S)]
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
        # A drain stands in the API, which is down.
        unchanged = set(before) - set(differences(before, struck, less=RULES_OF_PODS))
        assert unchanged == {"client", "gateway", "node-14"}
        time.sleep(max(0.0, struck_s + EXPIRE_S + MARGIN_S - time.monotonic()))
        ends_s = time.monotonic() + HEAL_DEADLINE_S
        while changed := differences(before, world.state(), less=RULES_OF_PODS):
            assert time.monotonic() < ends_s, json.dumps(changed, indent=1)
            time.sleep(0.5)
        while cordoned := cordoned_nodes(directory):
            assert time.monotonic() < ends_s, cordoned
            time.sleep(0.5)
        loaded = testbed("load", run_id, "--results", str(testbed.results), "--for", "3s", "--rate", "20/s")
        assert "nodeport: 100.00% of" in loaded.output, loaded.output
    finally:
        testbed("down", run_id)
    assert left_of(run_id) == []


def cordoned_nodes(directory: Path) -> list[str]:
    """Those that take no pods, or no connections of the load balancer."""
    config = read_kubeconfig((directory / "kubeconfig").read_text(encoding="utf-8"))
    kube = KubeClient(server=config.server, ca_pem=config.ca_pem, token=config.token)
    try:
        nodes: tuple[Any, ...] = kube.list("nodes")
    finally:
        kube.close()
    return [
        node["metadata"]["name"]
        for node in nodes
        if node["spec"].get("unschedulable") or EXCLUDE_LABEL in node["metadata"].get("labels", {})
    ]


def test_node_that_a_kept_run_killed_is_started_when_its_orchestrator_was_killed(
    testbed: Testbed, engine: docker.DockerClient, left_of: Left
) -> None:
    sets = ("--set", "timeline.0.at=1s", "--set", "timeline.0.for=1s")
    process = testbed.start("run", str(KILL), "--keep", "--results", str(testbed.results), *sets)
    ends_s = time.monotonic() + UP_DEADLINE_S
    while not (found := [item for item in testbed.results.glob("*/*/plan.json") if not item.parent.is_symlink()]):
        assert time.monotonic() < ends_s
        time.sleep(0.1)
    directory = found[0].parent.resolve()
    world = RunWorld(engine, directory)

    def is_off() -> bool:
        node = world.containers().get("node-1")
        return node is not None and node.status == "exited"

    try:
        while not is_off():
            assert time.monotonic() < ends_s
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        assert is_off()
        ends_s = time.monotonic() + 1.0 + MARGIN_S + HEAL_DEADLINE_S
        while is_off():
            assert time.monotonic() < ends_s
            time.sleep(0.5)
    finally:
        testbed("down", directory.name)
    assert left_of(directory.name) == []
