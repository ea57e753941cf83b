"""Removing what runs have left behind, on the engine in memory."""

import json
import subprocess
from collections.abc import Iterable
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from orchestrator.errors import EngineError
from orchestrator.host.owner import name_owner
from orchestrator.model.plan import Role
from orchestrator.testbed.cleaning import Cleaned, Scope, clean, find_runs, sweep_tests
from orchestrator.testbed.engine import ContainerSpec, NetworkSpec
from orchestrator.testbed.fake import FakeEngine
from orchestrator.testbed.fake_container import FakeContainer
from orchestrator.testbed.labels import OWNER, ROLE, TEST
from tests.unit.testbed.scripted_cluster import compose_file, make_run

NOW = 1_700_000_000
HELPER = "helper"


class Host:
    """An engine with runs on it, and the guard tables of its host."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.guards: set[str] = set()
        self.engine = FakeEngine(programs={HELPER: self.help})

    def help(self, container: FakeContainer) -> None:
        assert container.spec.command is not None
        command, *runs = container.spec.command
        answer = sorted(self.guards) if command == "list-guards" else [run for run in runs if run in self.guards]
        if command == "delete-guards":
            self.guards.difference_update(runs)
        container.print(json.dumps(answer))
        container.exit(0)

    def add_run(self, run_id: str, *, expires: int = NOW + 60, warden: bool = True) -> None:
        run = make_run(self.directory, run_id)
        for role in (Role.NODE, *([Role.WARDEN] if warden else [])):
            labels = {**run.labels(role, role), "ingress-testbed.expires": str(expires)}
            identity = self.engine.create_container(
                ContainerSpec(name=run.docker_name(role), image="i", hostname=role, labels=labels)
            )
            self.engine.start(identity)
        self.guards.add(run_id)

    def clean(self, run_id: str | None = None, scope: Scope = Scope.DEAD) -> Cleaned:
        return clean(self.engine, compose_file(), warden_image=HELPER, now_unix_s=NOW, run_id=run_id, scope=scope)

    def left(self) -> Iterable[str]:
        return {run.run_id for run in find_runs(self.engine)}


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_a_live_run_is_left_alone(host: Host) -> None:
    host.add_run("alive")
    assert host.clean() == Cleaned(runs=(), guards=())
    assert host.left() == {"alive"}
    assert host.guards == {"alive"}


def test_an_expired_run_goes_with_its_guard(host: Host) -> None:
    host.add_run("old", expires=NOW)
    assert host.clean() == Cleaned(runs=("old",), guards=("old",))
    assert host.left() == set()
    assert host.guards == set()


def test_a_run_whose_warden_is_gone_is_dead(host: Host) -> None:
    host.add_run("orphan", warden=False)
    assert host.clean().runs == ("orphan",)


def test_a_run_that_is_just_beginning_is_left_alone(host: Host) -> None:
    run = make_run(host.directory, "young")
    labels = {**run.labels(Role.WARDEN, "warden"), "ingress-testbed.expires": str(NOW + 60)}
    host.engine.create_container(ContainerSpec(name="itb-young-warden", image="i", hostname="", labels=labels))
    assert host.clean().runs == ()


def test_a_guard_table_without_any_container_is_swept(host: Host) -> None:
    host.guards.add("ghost")
    assert host.clean() == Cleaned(runs=(), guards=("ghost",))


def test_one_run_can_be_named_and_the_others_stay(host: Host) -> None:
    host.add_run("a")
    host.add_run("b")
    assert host.clean(run_id="a").runs == ("a",)
    assert host.left() == {"b"}
    assert host.guards == {"b"}


def test_all_means_all(host: Host) -> None:
    host.add_run("a")
    host.add_run("b", expires=NOW)
    assert host.clean(scope=Scope.ALL).runs == ("b", "a")
    assert host.left() == set()


def test_what_carries_no_label_is_never_touched(host: Host) -> None:
    stranger = host.engine.create_container(ContainerSpec(name="itb-old-node-1", image="i", hostname="", labels={}))
    host.clean(scope=Scope.ALL)
    assert host.engine.container(stranger).spec.name == "itb-old-node-1"


class Gone:
    """A process that has ended."""

    def __init__(self) -> None:
        with subprocess.Popen(["sleep", "60"]) as process:
            self.owner = name_owner(process.pid)
            process.kill()


def add_test(engine: FakeEngine, name: str, owner: str, *, started: bool = True) -> str:
    labels = {TEST: "1", OWNER: owner}
    identity = engine.create_container(ContainerSpec(name=name, image="i", hostname="", labels=labels))
    if started:
        engine.start(identity)
    return identity


def test_containers_and_networks_of_a_test_go_when_its_process_is_gone(host: Host) -> None:
    gone, network = Gone().owner, IPv4Network("198.18.192.0/24")
    for number, owner in enumerate((gone, name_owner())):
        add_test(host.engine, f"itb-test-{number}", owner)
        spec = NetworkSpec(
            name=f"itb-net-{number}",
            subnet=IPv4Network(f"198.18.19{number}.0/24"),
            router=network[1],
            driver="bridge",
            driver_opts={},
            labels={TEST: "1", OWNER: owner},
        )
        host.engine.create_network(spec)
    assert host.clean().tests == ("itb-test-0", "itb-net-0")
    assert host.clean().tests == ()
    assert host.clean(scope=Scope.ALL).tests == ("itb-test-1", "itb-net-1")


def test_of_an_owner_that_is_not_known_here_only_what_has_ended_goes(host: Host) -> None:
    elsewhere = name_owner().replace("/", "0/", 1)
    ended = add_test(host.engine, "itb-test-ended", elsewhere)
    host.engine.container(ended).exit(0)
    add_test(host.engine, "itb-test-running", elsewhere)
    add_test(host.engine, "itb-test-new", elsewhere, started=False)
    assert sweep_tests(host.engine) == ("itb-test-ended",)


def test_one_run_by_name_leaves_tests_alone(host: Host) -> None:
    host.add_run("a")
    add_test(host.engine, "itb-test", Gone().owner)
    assert host.clean(run_id="a").tests == ()


def test_no_helper_is_left_behind(host: Host) -> None:
    host.clean()
    assert host.engine.containers({ROLE: "clean"}) == ()


def test_a_helper_that_fails_is_an_error_with_its_words(host: Host) -> None:
    def fail(container: FakeContainer) -> None:
        container.print("nft: Operation not permitted")
        container.exit(1)

    host.engine.programs[HELPER] = fail
    with pytest.raises(EngineError, match=r"list-guards\): nft: Operation not permitted"):
        host.clean()
