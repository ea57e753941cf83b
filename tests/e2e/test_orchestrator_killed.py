"""The process that injected faults is killed: what they struck heals itself, and nobody is asked."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import docker
import pytest
from killed_faults import DRAINS, FAULTS, NODES, SCALE_DOWN
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
import json, sys, threading, time
from pathlib import Path
from typing import Any
from orchestrator.cli.by_hand import open_kept
run, results, faults, drains, scale_down, leaving, expire_s = sys.argv[1:]
with open_kept(run, Path(results)) as session:
    # What these stand on is laid once and stays: chains without rules, token buckets that nothing fills.
    ground = [item for item in json.loads(faults) if item["fault"] in ("partition", "loss", "rate", "delay")]
    session.heal(session.strike({"together": ground}, for_s=1.0, lasts_s=10.0))
    print("ready", flush=True)
    sys.stdin.readline()
    for drain in json.loads(drains):
        session.strike(drain, for_s=None, lasts_s=float(expire_s))
    ends = {"for_s": None, "lasts_s": float(expire_s)}
    scaling = threading.Thread(target=session.strike, args=(json.loads(scale_down),), kwargs=ends, daemon=True)
    scaling.start()
    while not session.world.kube.get("nodes", leaving)["spec"].get("unschedulable"):
        time.sleep(0.05)
    session.strike({"together": json.loads(faults)}, **ends)
    assert scaling.is_alive()
    print("struck", flush=True)
    time.sleep(600)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Struck:
    """A testbed whose faults have lost their orchestrator."""

    testbed: Testbed
    directory: Path
    world: RunWorld
    before: dict[str, Any]
    during: dict[str, Any]
    killed_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A run to be kept that was killed while a node of it was off."""

    world: RunWorld
    killed_s: float

    @property
    def is_off(self) -> bool:
        node = self.world.containers().get("node-1")
        return node is not None and node.status == "exited"


@pytest.fixture(scope="module")
def struck(tmp_path_factory: pytest.TempPathFactory, engine: docker.DockerClient, left_of: Left) -> Iterator[Struck]:
    testbed = Testbed(tmp_path_factory.mktemp("struck") / "results")
    up = testbed("up", str(CALM), "--results", str(testbed.results), "--set", f"cluster.nodes={NODES}")
    assert up.status == 0, up.output
    run_id, directory = up.run_id, up.directory
    assert directory is not None
    world = RunWorld(engine, directory)
    try:
        strikes = (json.dumps(FAULTS), json.dumps(DRAINS), json.dumps(SCALE_DOWN), f"node-{NODES}")
        argv = [sys.executable, "-c", INJECT, run_id, str(testbed.results), *strikes, str(EXPIRE_S)]
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
        killed_s = time.monotonic()
        yield Struck(testbed=testbed, directory=directory, world=world, before=before, during=world.state(), killed_s=killed_s)
    finally:
        testbed("down", run_id)
    assert left_of(run_id) == []


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory, engine: docker.DockerClient, left_of: Left) -> Iterator[Kept]:
    testbed = Testbed(tmp_path_factory.mktemp("kept") / "results")
    sets = ("--set", "timeline.0.at=1s", "--set", "timeline.0.for=1s")
    process = testbed.start("run", str(KILL), "--keep", "--results", str(testbed.results), *sets)
    ends_s = time.monotonic() + UP_DEADLINE_S
    while not (found := [item for item in testbed.results.glob("*/*/plan.json") if not item.parent.is_symlink()]):
        assert time.monotonic() < ends_s
        time.sleep(0.1)
    directory = found[0].parent.resolve()
    run = Kept(world=RunWorld(engine, directory), killed_s=0.0)
    try:
        while not run.is_off:
            assert time.monotonic() < ends_s
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        yield replace(run, killed_s=time.monotonic())
    finally:
        testbed("down", directory.name)
    assert left_of(directory.name) == []


def test_every_fault_is_in_place_when_its_orchestrator_is_killed(struck: Struck) -> None:
    unchanged = set(struck.before) - set(differences(struck.before, struck.during, less=RULES_OF_PODS))
    # A drain stands in the API, which is down.
    assert unchanged == {"client", "gateway", "node-14", f"node-{NODES}"}


def test_node_that_a_kept_run_killed_is_started_when_its_orchestrator_was_killed(kept: Kept) -> None:
    """While the faults of the other testbed last: both are waited for at once."""
    assert kept.is_off
    ends_s = kept.killed_s + 1.0 + MARGIN_S + HEAL_DEADLINE_S
    while kept.is_off:
        assert time.monotonic() < ends_s
        time.sleep(0.5)


def test_every_fault_expires_when_its_orchestrator_was_killed(struck: Struck) -> None:
    time.sleep(max(0.0, struck.killed_s + EXPIRE_S + MARGIN_S - time.monotonic()))
    ends_s = time.monotonic() + HEAL_DEADLINE_S
    while changed := differences(struck.before, struck.world.state(), less=RULES_OF_PODS):
        assert time.monotonic() < ends_s, json.dumps(changed, indent=1)
        time.sleep(0.5)
    while cordoned := cordoned_nodes(struck.directory):
        assert time.monotonic() < ends_s, cordoned
        time.sleep(0.5)
    results = ("--results", str(struck.testbed.results))
    loaded = struck.testbed("load", struck.directory.name, *results, "--for", "3s", "--rate", "20/s")
    assert "nodeport: 100.00% of" in loaded.output, loaded.output


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
