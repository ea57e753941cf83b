"""Faults of whole machines and of programs on a real testbed: what clients see of each, and that nothing of it stays.

Those inside one container (links, packets, pods, tables) have their own: tests/integration/test_faults_*.py.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import pytest
from run_world import RunWorld, differences
from testbed_command import ROOT, Testbed

pytestmark = pytest.mark.e2e

CALM = Path(__file__).parent / "scenarios" / "calm.yaml"
NODE_PORT, CLUSTER_IP, API_PORT, HEALTHZ_PORT = 32213, "10.3.241.152", 6443, 10256
DEADLINE_S = 20.0


# One session for all faults: `testbed fault inject` and `heal` without the start of a command for each.
SESSION = """
import json, sys
from pathlib import Path
from orchestrator.cli.interactive import _session
run, results = sys.argv[1:]
with _session(run, Path(results)) as session:
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
    world: RunWorld
    session: subprocess.Popen[str]

    def strike(self, fault: str, **options: str) -> None:
        self.order({"fault": fault, **options})
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

    def node_port(self, node: str = "node-2") -> str:
        return self.world.probe(self.world.address(node), NODE_PORT)[0]

    def load_balancer(self, times: int = 1) -> list[str]:
        return self.world.probe(self.world.address("loadbalancer", "clients"), 80, times=times)

    def cluster_ip(self) -> str:
        return self.world.probe(CLUSTER_IP, 80)[0]

    def node_health(self) -> str:
        return self.world.probe(self.world.address("node-2"), HEALTHZ_PORT, source="node-1")[0]

    def rule_writer(self) -> str:
        return str(self.world.state()["node-2"]["rule writer"])

    def api(self) -> str:
        return self.world.probe(self.world.address("controlplane"), API_PORT, source="node-1")[0]

    def pods_on(self, node: str) -> int:
        answers = self.load_balancer(times=16)
        return sum(json.loads(text)["node"] == node for text in answers if text.startswith("{"))


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    testbed = Testbed(tmp_path_factory.mktemp("faults") / "results")
    engine = docker.from_env()
    started = testbed("up", str(CALM), "--results", str(testbed.results), "--set", "cluster.nodes=3")
    assert started.status == 0, started.output
    assert started.directory is not None
    argv = [sys.executable, "-c", SESSION, started.run_id, str(testbed.results)]
    try:
        with subprocess.Popen(
            argv, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
        ) as session:
            yield Up(world=RunWorld(engine, started.directory), session=session)
            assert session.stdin is not None
            session.stdin.close()
    finally:
        down = testbed("down", started.run_id)
        testbed.stop_all()
        engine.close()
    assert down.status == 0, down.output


def serves(answer: str) -> bool:
    return answer.startswith("{")


def is_silent(answer: str) -> bool:
    """Whoever has been asked before may also know by now that nobody answers to its address (EHOSTUNREACH)."""
    return answer in ("silence", "OSError")


CASES: dict[str, tuple[dict[str, str], Callable[[Up], bool]]] = {
    "node-kill": ({"target": "node-2"}, lambda up: is_silent(up.node_port())),
    "node-stop": ({"target": "node-2"}, lambda up: is_silent(up.node_port())),
    "node-pause": ({"target": "node-2"}, lambda up: up.node_health() == "silence" and not is_silent(up.node_port("node-1"))),
    "link-down": ({"target": "node-2"}, lambda up: is_silent(up.node_port())),
    "node-drain": ({"target": "node-2"}, lambda up: up.pods_on("node-2") == 0),
    "agent-kill": ({"target": "node-2"}, lambda up: up.node_health() == "ConnectionRefusedError" and serves(up.node_port())),
    "agent-pause": ({"target": "node-2"}, lambda up: up.node_health() == "silence" and serves(up.node_port())),
    "kube-proxy-kill": (
        {"target": "node-2"},
        lambda up: up.node_health() == "ConnectionRefusedError" and serves(up.node_port()) and up.rule_writer() == "ended",
    ),
    "kube-proxy-pause": (
        {"target": "node-2"},
        lambda up: up.node_health() == "silence" and serves(up.node_port()) and up.rule_writer() == "paused",
    ),
    "lb-kill": ({}, lambda up: up.load_balancer() == ["ConnectionRefusedError"]),
    "lb-pause": ({}, lambda up: up.load_balancer() == ["silence"]),
    "controlplane-down": ({}, lambda up: up.api() == "ConnectionRefusedError" and serves(up.node_port())),
}


@pytest.mark.parametrize("fault", CASES)
def test_clients_see_the_fault_and_nothing_of_it_stays(up: Up, fault: str) -> None:
    options, has_struck = CASES[fault]
    before = up.world.state()
    assert not has_struck(up)
    up.strike(fault, **options)
    try:
        until(lambda: has_struck(up), f"{fault} is seen")
    finally:
        up.heal()
    until_as(before, up)
    # Pods that were drained do not come back by themselves.
    until(lambda: fault == "node-drain" or not has_struck(up), f"{fault} is over")


@pytest.mark.parametrize(
    ("fault", "options", "is_cut", "struck"),
    [
        ("node-reboot", {"target": "node-2"}, lambda up: is_silent(up.node_port()), "node-2"),
        ("gateway-reboot", {}, lambda up: is_silent(up.cluster_ip()), "gateway"),
    ],
)
def test_a_reboot_interrupts_and_everything_is_back(
    up: Up, fault: str, options: dict[str, str], is_cut: Callable[[Up], bool], struck: str
) -> None:
    before, began = up.world.state(), up.world.started_at()
    up.order({"fault": fault, **options})
    until(lambda: is_cut(up), f"{fault} is seen")
    up.await_done()
    until_as(before, up)
    until(lambda: not is_cut(up), f"{fault} is over")
    assert {name for name, at in up.world.started_at().items() if at != began[name]} == {struck}
    up.heal()


def test_a_reload_loses_nobody_and_leaves_one_haproxy(up: Up) -> None:
    before = up.world.state()
    up.order({"fault": "lb-reload"})
    answers = up.load_balancer(times=200)
    up.await_done()
    assert all(serves(text) for text in answers), answers
    until_as(before, up)
    up.heal()


def test_rolling_restart_gives_every_node_another_life(up: Up) -> None:
    began = up.world.started_at()
    up.strike("rolling-restart")
    nodes = [name for name in began if name.startswith("node-")]
    again = {name for name, at in up.world.started_at().items() if at != began[name]}
    assert again == set(nodes)
    until(lambda: all(serves(up.node_port(name)) for name in nodes), "every node serves")
    up.heal()


def test_a_replaced_node_is_gone_for_good_and_another_serves(up: Up) -> None:
    up.strike("node-replace", target="node-3")
    assert "node-3" not in up.world.containers()
    assert "node-4" in up.world.containers()
    until(lambda: all(map(serves, up.load_balancer(times=12))), "every request is served")


def until(holds: Callable[[], bool], what: str) -> None:
    ends_s = time.monotonic() + DEADLINE_S
    while not holds():
        assert time.monotonic() < ends_s, f"not within {DEADLINE_S:g} s: {what}"
        time.sleep(0.05)


def until_as(before: dict[str, Any], up: Up) -> None:
    ends_s = time.monotonic() + DEADLINE_S
    while changed := differences(before, up.world.state()):
        assert time.monotonic() < ends_s, json.dumps(changed, indent=1)
        time.sleep(0.2)
