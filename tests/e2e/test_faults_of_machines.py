"""Every fault on one real testbed: what clients see of it, and that nothing of it stays (tests/e2e/fault_effects.py).

Those inside one container (links, packets, pods, tables) are measured finer: tests/integration/test_faults_*.py.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import numpy as np
import pytest
from fault_effects import NODE_PORT, POD_PORT, STRIKES, Together, View, is_silent, serves
from run_world import RULES_OF_PODS, RunWorld, differences
from testbed_command import ROOT, Testbed

from orchestrator.model.samples import load_samples
from orchestrator.render.kubeconfig import read_kubeconfig
from orchestrator.store import RunDirectory
from orchestrator.testbed.kube import KubeClient

pytestmark = pytest.mark.e2e

FAULTS = Path(__file__).parent / "scenarios" / "faults.yaml"
PODS = 6
"""Replicas of the Deployment."""
DEADLINE_S = 20.0


# One session for all faults: `testbed fault inject` and `heal` without the start of a command for each.
SESSION = """
import json, sys
from pathlib import Path
from orchestrator.cli.by_hand import open_kept
run, results = sys.argv[1:]
with open_kept(run, Path(results)) as session:
    for line in sys.stdin:
        order = json.loads(line)
        if order == "heal":
            session.heal(session.steps())
        else:
            session.strike(order, for_s=None, lasts_s=60.0)
        print("done", flush=True)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Up:
    testbed: Testbed
    directory: Path
    view: View
    session: subprocess.Popen[str]

    @property
    def world(self) -> RunWorld:
        return self.view.world

    def strike(self, *faults: dict[str, object]) -> None:
        self.order({"together": faults} if len(faults) > 1 else faults[0])
        self.await_done()

    def heal(self) -> None:
        self.order("heal")
        self.await_done()

    def order(self, what: object) -> None:
        assert self.session.stdin is not None
        self.session.stdin.write(json.dumps(what) + "\n")
        self.session.stdin.flush()

    def await_done(self) -> None:
        assert self.session.stdout is not None
        assert self.session.stdout.readline() == "done\n"

    def scale_pods(self, count: int) -> None:
        """Of the Deployment, without waiting for anything."""
        config = read_kubeconfig((self.directory / "kubeconfig").read_text(encoding="utf-8"))
        kube = KubeClient(server=config.server, ca_pem=config.ca_pem, token=config.token)
        try:
            kube.patch("deployments", "service-test", {"spec": {"replicas": count}}, namespace="default")
        finally:
            kube.close()


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    testbed = Testbed(tmp_path_factory.mktemp("faults") / "results")
    engine = docker.from_env()
    started = testbed("up", str(FAULTS), "--results", str(testbed.results))
    assert started.status == 0, started.output
    assert started.directory is not None
    argv = [sys.executable, "-c", SESSION, started.run_id, str(testbed.results)]
    try:
        with subprocess.Popen(
            argv, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
        ) as session:
            view = View(world=RunWorld(engine, started.directory))
            yield Up(testbed=testbed, directory=started.directory, view=view, session=session)
            assert session.stdin is not None
            session.stdin.close()
    finally:
        down = testbed("down", started.run_id)
        testbed.stop_all()
        engine.close()
    assert down.status == 0, down.output


def test_a_no_op_under_load_loses_nothing_delays_nothing_and_changes_nothing(up: Up) -> None:
    before = up.world.state()
    loading = up.testbed.start("load", up.directory.name, "--for", "4s", "--results", str(up.testbed.results))
    until(lambda: records_of_the_load(up) > 0, "the load runs")
    up.strike({"fault": "no-op", "target": "node-1"})
    time.sleep(1.0)
    up.heal()
    finished = up.testbed.finish(loading)
    assert finished.directory is not None
    run = RunDirectory(path=finished.directory)
    struck, healed = (run.load_history().first(event, fault="no-op") for event in ("fault-effective", "fault-healed"))
    assert struck is not None
    assert healed is not None
    samples = load_samples(run.path)
    classes = run.load_plan().load.classes
    assert len(samples) == sum(round(item.rate_rps * 4) for item in classes)
    assert samples.ok.all(), finished.output
    intended_ns = samples.records["intended_ns"]
    took_ms = (samples.records["end_ns"] - intended_ns) / 1e6
    during = (struck.t_mono_ns <= intended_ns) & (intended_ns <= healed.t_mono_ns)
    assert during.sum() > 100
    assert float(np.median(took_ms[during])) < 1.5 * float(np.median(took_ms[~during])) + 1.0
    assert differences(before, up.world.state()) == {}


def records_of_the_load(up: Up) -> int:
    size = up.world.execute("client", "sh", "-c", "stat -c %s /var/log/testbed/load/samples.bin 2>/dev/null || echo 0")
    return int(size)


def test_killed_pods_refuse_connections_until_their_kubelet_has_started_them_again(up: Up) -> None:
    before, address = up.world.state(), up.view.pod_on("node-1")
    up.order({"fault": "pod-kill", "target": "node-1", "pods": "all"})
    answers = up.world.probe(address, POD_PORT, source="node-2", times=250, every_s=0.02)
    up.await_done()
    try:
        assert serves(answers[0])
        assert "ConnectionRefusedError" in answers
        until(lambda: serves(up.world.probe(address, POD_PORT, source="node-2", times=1)[0]), "the pod serves again")
    finally:
        up.heal()
        until_as(before, up)


def test_rules_of_a_node_without_kube_proxy_stay_as_they_are_until_it_is_healed(up: Up) -> None:
    before = up.world.state()
    rules = {node: up.view.pods_in_rules(node) for node in ("node-1", "node-2", "node-3")}
    assert len(rules["node-3"]) == PODS
    up.strike({"fault": "kube-proxy-kill", "target": "node-1"}, {"fault": "kube-proxy-pause", "target": "node-2"})
    try:
        assert (up.view.rule_writer("node-1"), up.view.rule_writer("node-2")) == ("ended", "paused")
        assert up.view.node_health("node-1", "node-3") == "ConnectionRefusedError"
        assert up.view.node_health("node-2", "node-3") == "silence"
        up.scale_pods(PODS + 1)
        until(lambda: len(up.view.pods_in_rules("node-3")) == PODS + 1, "the rules of a node with its kube-proxy have a pod more")
        (added,) = up.view.pods_in_rules("node-3") - rules["node-3"]
        # What is compared does see a rule more.
        assert set(differences(before, up.world.state())["node-3"]) == {"nft ip kube-proxy"}
        assert {node: up.view.pods_in_rules(node) for node in ("node-1", "node-2")} == {
            node: rules[node] for node in ("node-1", "node-2")
        }
        for node in ("node-1", "node-2"):
            answers = up.world.probe(up.world.address(node), NODE_PORT, times=30)
            assert all(serves(text) for text in answers), "what the rules lead to is still there"
            assert added not in {json.loads(text)["pod_ip"] for text in answers}
    finally:
        up.heal()
    until(lambda: all(added in up.view.pods_in_rules(node) for node in rules), "every node's rules have it")
    until_as(before, up, less=RULES_OF_PODS)


@pytest.mark.parametrize("together", STRIKES, ids=lambda together: together.name)
def test_clients_see_the_faults_and_nothing_of_them_stays(up: Up, together: Together) -> None:
    before = up.world.state()
    strikes = together.strikes
    until(lambda: not any(strike.has_struck(up.view) for strike in strikes), f"nothing of {together.name} is seen before")
    up.strike(*({"fault": strike.fault, **strike.options} for strike in strikes))
    try:
        for strike in strikes:
            until(lambda strike=strike: strike.has_struck(up.view), f"{strike.name} is seen")
    finally:
        up.heal()
    until_as(before, up, less=RULES_OF_PODS if together.renews_pods else ())
    for strike in strikes:
        until(lambda strike=strike: not (strike.stays_over and strike.has_struck(up.view)), f"{strike.name} is over")


@pytest.mark.parametrize(
    ("fault", "options", "is_cut", "struck"),
    [
        ("node-reboot", {"target": "node-2"}, lambda view: is_silent(view.node_port("node-2")), "node-2"),
        ("gateway-reboot", {}, lambda view: is_silent(view.cluster_ip()), "gateway"),
    ],
    ids=["node-reboot", "gateway-reboot"],
)
def test_a_reboot_interrupts_and_everything_is_back(
    up: Up, fault: str, options: dict[str, object], is_cut: Callable[[View], bool], struck: str
) -> None:
    before, began = up.world.state(), up.world.started_at()
    up.order({"fault": fault, **options})
    until(lambda: is_cut(up.view), f"{fault} is seen")
    up.await_done()
    until_as(before, up, less=RULES_OF_PODS)
    until(lambda: not is_cut(up.view), f"{fault} is over")
    assert {name for name, at in up.world.started_at().items() if at != began[name]} == {struck}
    up.heal()


def test_a_reload_loses_nobody_and_leaves_one_haproxy(up: Up) -> None:
    before = up.world.state()
    up.order({"fault": "lb-reload"})
    answers = up.view.load_balancer(times=200)
    up.await_done()
    assert all(serves(text) for text in answers), answers
    until_as(before, up)
    up.heal()


def test_rolling_restart_gives_every_node_another_life(up: Up) -> None:
    before, began = up.world.state(), up.world.started_at()
    up.strike({"fault": "rolling-restart"})
    nodes = [name for name in began if name.startswith("node-")]
    again = {name for name, at in up.world.started_at().items() if at != began[name]}
    assert again == set(nodes)
    until(lambda: all(serves(up.view.node_port(name)) for name in nodes), "every node serves")
    until_as(before, up, less=RULES_OF_PODS)
    up.heal()


def test_a_replaced_node_is_gone_for_good_and_another_serves(up: Up) -> None:
    up.strike({"fault": "node-replace", "target": "node-3"})
    assert "node-3" not in up.world.containers()
    assert "node-4" in up.world.containers()
    until(lambda: all(map(serves, up.view.load_balancer(times=12))), "every request is served")


def until(holds: Callable[[], bool], what: str) -> None:
    ends_s = time.monotonic() + DEADLINE_S
    while not holds():
        assert time.monotonic() < ends_s, f"not within {DEADLINE_S:g} s: {what}"
        time.sleep(0.05)


def until_as(before: dict[str, Any], up: Up, *, less: Collection[str] = ()) -> None:
    """Everywhere."""
    ends_s = time.monotonic() + DEADLINE_S
    while changed := differences(before, up.world.state(), less=less):
        assert time.monotonic() < ends_s, json.dumps(changed, indent=1)
        time.sleep(0.1)
