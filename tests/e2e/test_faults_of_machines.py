"""Faults of whole machines and of programs on a real testbed: what clients see of each, and that nothing of it stays.

Those inside one container (links, packets, pods, tables) have their own: tests/integration/test_faults_*.py.
"""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import pytest
from run_world import RunWorld, differences
from testbed_command import Testbed

pytestmark = pytest.mark.e2e

CALM = Path(__file__).parent / "scenarios" / "calm.yaml"
NODE_PORT, CLUSTER_IP, API_PORT, HEALTHZ_PORT = 32213, "10.3.241.152", 6443, 10256
DEADLINE_S = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Up:
    testbed: Testbed
    world: RunWorld
    run_id: str

    def node_port(self, node: str = "node-2") -> str:
        return self.world.probe(self.world.address(node), NODE_PORT)[0]

    def load_balancer(self, times: int = 1) -> list[str]:
        return self.world.probe(self.world.address("loadbalancer", "clients"), 80, times=times)

    def cluster_ip(self) -> str:
        return self.world.probe(CLUSTER_IP, 80)[0]

    def node_health(self) -> str:
        return self.world.probe(self.world.address("node-2"), HEALTHZ_PORT, source="node-1")[0]

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
    yield Up(testbed=testbed, world=RunWorld(engine, started.directory), run_id=started.run_id)
    testbed("down", started.run_id)
    testbed.stop_all()
    engine.close()


def serves(answer: str) -> bool:
    return answer.startswith("{")


def is_silent(answer: str) -> bool:
    """Whoever has been asked before may also know by now that nobody answers to its address (EHOSTUNREACH)."""
    return answer in ("silence", "OSError")


CASES: dict[str, tuple[str, Callable[[Up], bool]]] = {
    "node-kill": ("target=node-2", lambda up: is_silent(up.node_port())),
    "node-stop": ("target=node-2", lambda up: is_silent(up.node_port())),
    "node-pause": ("target=node-2", lambda up: up.node_health() == "silence" and not is_silent(up.node_port("node-1"))),
    "link-down": ("target=node-2", lambda up: is_silent(up.node_port())),
    "node-drain": ("target=node-2", lambda up: up.pods_on("node-2") == 0),
    "agent-kill": ("target=node-2", lambda up: up.node_health() == "ConnectionRefusedError" and serves(up.node_port())),
    "agent-pause": ("target=node-2", lambda up: up.node_health() == "silence" and serves(up.node_port())),
    "lb-kill": ("", lambda up: up.load_balancer() == ["ConnectionRefusedError"]),
    "lb-pause": ("", lambda up: up.load_balancer() == ["silence"]),
    "controlplane-down": ("", lambda up: up.api() == "ConnectionRefusedError" and serves(up.node_port())),
}


@pytest.mark.parametrize("fault", CASES)
def test_clients_see_the_fault_and_nothing_of_it_stays(up: Up, fault: str) -> None:
    options, has_struck = CASES[fault]
    before = up.world.state()
    assert not has_struck(up)
    arguments = [item for item in (options,) if item]
    process = up.testbed.start(
        "fault", "inject", up.run_id, fault, *arguments, "--for", "1500ms", "--results", str(up.testbed.results)
    )
    until(lambda: has_struck(up), f"{fault} is seen")
    finished = up.testbed.finish(process)
    assert finished.status == 0, finished.output
    assert ": healed" in finished.output
    until_as(before, up)
    until(lambda: not has_struck(up) or fault == "node-drain", f"{fault} is over")


@pytest.mark.parametrize(
    ("fault", "options", "is_cut"),
    [
        ("node-reboot", "target=node-2", lambda up: is_silent(up.node_port())),
        ("gateway-reboot", "", lambda up: is_silent(up.cluster_ip())),
    ],
)
def test_a_reboot_interrupts_and_everything_is_back(up: Up, fault: str, options: str, is_cut: Callable[[Up], bool]) -> None:
    before = up.world.state()
    began = {name: item.attrs["State"]["StartedAt"] for name, item in up.world.containers().items()}
    arguments = [item for item in (options,) if item]
    process = up.testbed.start("fault", "inject", up.run_id, fault, *arguments, "--results", str(up.testbed.results))
    until(lambda: is_cut(up), f"{fault} is seen")
    finished = up.testbed.finish(process)
    assert finished.status == 0, finished.output
    until_as(before, up)
    until(lambda: not is_cut(up), f"{fault} is over")
    again = {name for name, item in up.world.containers().items() if item.attrs["State"]["StartedAt"] != began[name]}
    assert again == {"node-2" if options else "gateway"}


def test_a_reload_loses_nobody_and_leaves_one_haproxy(up: Up) -> None:
    before = up.world.state()
    inject = ["fault", "inject", up.run_id, "lb-reload", "--results", str(up.testbed.results)]
    process = up.testbed.start(*inject)
    answers = []
    while process.poll() is None:
        answers += up.load_balancer(times=10)
    assert up.testbed.finish(process).status == 0
    assert answers
    assert all(serves(text) for text in answers), answers
    until_as(before, up)


def test_rolling_restart_gives_every_node_another_life(up: Up) -> None:
    began = {name: item.attrs["State"]["StartedAt"] for name, item in up.world.containers().items() if name.startswith("node-")}
    finished = up.testbed("fault", "inject", up.run_id, "rolling-restart", "--results", str(up.testbed.results))
    assert finished.status == 0, finished.output
    after = {name: item.attrs["State"]["StartedAt"] for name, item in up.world.containers().items() if name.startswith("node-")}
    assert after.keys() == began.keys()
    assert all(after[name] != began[name] for name in began)
    until(lambda: all(serves(up.node_port(name)) for name in began), "every node serves")


def test_a_replaced_node_is_gone_for_good_and_another_serves(up: Up) -> None:
    finished = up.testbed("fault", "inject", up.run_id, "node-replace", "target=node-3", "--results", str(up.testbed.results))
    assert finished.status == 0, finished.output
    assert "node-4 takes its place" in finished.output
    assert "node-3" not in up.world.containers()
    assert "node-4" in up.world.containers()
    until(lambda: up.load_balancer(times=12) != [] and all(map(serves, up.load_balancer(times=12))), "every request is served")


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
