"""The load from outside the client: the file it is given, its start, its end, and the probe of every path."""

import json
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from loadtests.load_file import decode_load
from orchestrator.errors import CommandError, DeadlineError, InternalError, InterruptedRunError
from orchestrator.loadgen.load_file import render_load_file
from orchestrator.loadgen.locust import fetch_samples, start_load
from orchestrator.loadgen.probe import plan_probes, probe_paths
from orchestrator.testbed.fake_world import FakeWorld
from tests.unit.testbed.scripted_cluster import node_kill_plan


@pytest.fixture
def world() -> FakeWorld:
    world = FakeWorld(node_kill_plan())
    world.told("client/init", "booted", expires_in_s=600)
    return world


def test_the_load_generator_understands_the_file() -> None:
    plan = node_kill_plan()
    load = decode_load(json.loads(render_load_file(plan.load)))
    assert (load.duration_s, load.timeout_s, load.in_flight_limit, load.seed) == (
        plan.load.duration_s,
        plan.load.timeout_s,
        plan.load.in_flight_limit,
        plan.load.seed,
    )
    assert [(item.subject, item.url, item.rate_rps, item.connections, str(item.expect)) for item in load.classes] == [
        (f"{item.path}/{item.connection_class}", item.url, item.rate_rps, item.connections, item.expect)
        for item in plan.load.classes
    ]


def test_nothing_is_put_into_the_client_before_it_has_booted() -> None:
    world = FakeWorld(node_kill_plan())
    with pytest.raises(DeadlineError, match="the client's boot"):
        start_load(world)
    assert world.files == {}


def test_the_load_waits_for_the_instant_that_it_is_given(world: FakeWorld) -> None:
    load = start_load(world)
    world.told("client/load", "load-waiting")
    load.await_ready()
    assert ("client", "/run/load/start") not in world.files
    load.begin(123456789)
    assert world.files["client", "/run/load/start"] == b"123456789\n"


def test_a_load_generator_that_never_gets_ready_is_named(world: FakeWorld) -> None:
    with pytest.raises(DeadlineError, match="the load generator to be ready"):
        start_load(world).await_ready()


def test_a_load_that_ends_well_has_told_its_totals(world: FakeWorld) -> None:
    load = start_load(world)
    with pytest.raises(DeadlineError, match="the load's totals"):
        load.wait_finished(world)
    world.told("client/load", "load-finished", classes=[], bound_reached=False)
    load.wait_finished(world)


def test_a_load_generator_that_fails_is_not_waited_for(world: FakeWorld) -> None:
    load = start_load(world)
    world.processes[0].failure = CommandError(["python3"], 1, "ModuleNotFoundError: gevent", where="client")
    before_ns = world.clock.now_mono_ns()
    with pytest.raises(CommandError, match="ModuleNotFoundError: gevent"):
        load.wait_finished(world)
    assert world.clock.now_mono_ns() == before_ns


def test_a_load_that_is_stopped_early_is_asked_to_write_what_it_has(world: FakeWorld) -> None:
    load = start_load(world)
    stop = threading.Event()
    stop.set()
    world.under(stop)

    def terminated(container: str, request: object) -> None:
        assert request == {"op": "signal", "process": "load", "signal": "TERM"}
        world.told("client/load", "load-finished", classes=[], bound_reached=False)

    world.on_control = terminated
    load.stop()
    assert ("control", "client", "signal") in world.calls


def test_a_load_that_has_ended_is_left_alone(world: FakeWorld) -> None:
    load = start_load(world)
    world.processes[0].has_ended = True
    load.stop()
    assert not any(call[0] == "control" for call in world.calls)


def test_samples_are_fetched_from_where_the_load_generator_writes_them(world: FakeWorld, tmp_path: Path) -> None:
    fetch_samples(world, tmp_path)
    assert world.calls == [("fetch", "client", "/var/log/testbed/load")]


class Answers:
    """Outcomes by URL, the last one for ever."""

    def __init__(self, world: FakeWorld, **outcomes: list[str]) -> None:
        self.outcomes = {world.plan.path(name.replace("_", "-")).url: list(values) for name, values in outcomes.items()}
        self.outcomes[world.plan.load.classes_of("control")[0].url] = ["ok"]
        self.clock = world.clock
        world.on_execute = self.answer

    def answer(self, container: str, argv: Sequence[str]) -> str:
        self.clock.advance(self.clock.now_mono_ns() + 300_000_000)
        outcomes = self.outcomes[argv[3]]
        outcome = outcomes.pop(0) if len(outcomes) > 1 else outcomes[0]
        return json.dumps({"outcome": outcome, "node": "node-1", "error": "as planned"})


def test_every_path_must_answer_as_the_plan_says(world: FakeWorld) -> None:
    Answers(world, static_route=["ok"], nodeport=["refused", "ok"], service_port_on_node=["refused"])
    probe_paths(world)
    probed = {event.fields["path"]: event.fields["outcome"] for event in world.events if event.event == "path-probed"}
    assert probed == {"static-route": "ok", "nodeport": "ok", "service-port-on-node": "refused", "control": "ok"}


def test_the_control_path_needs_an_answer_but_not_a_pods() -> None:
    control = plan_probes(node_kill_plan())[-1]
    assert (control.path, control.outcome, control.body) == ("control", "ok", "any")


def test_a_negative_control_that_answers_is_no_steady_state(world: FakeWorld) -> None:
    Answers(world, static_route=["ok"], nodeport=["ok"], service_port_on_node=["ok"])
    with pytest.raises(
        DeadlineError, match=r"path service-port-on-node \(http://10\.100\.0\.3:80/\) must answer refused.*last state: ok"
    ):
        probe_paths(world)


@pytest.mark.parametrize(("is_local", "is_there"), [(True, False), (False, True)])
def test_a_path_that_only_one_nodes_pods_serve_is_answered_by_them(is_local: bool, is_there: bool) -> None:
    plan = node_kill_plan()
    direct = {"direct": {"node": "node-2", "is_local": is_local}}
    paths = tuple(replace(path, settings=direct) if path.name == "nodeport" else path for path in plan.paths)
    world = FakeWorld(replace(plan, paths=paths))
    Answers(world, static_route=["ok"], nodeport=["ok"], service_port_on_node=["refused"])
    if is_there:
        probe_paths(world)
    else:
        with pytest.raises(DeadlineError, match=r"path nodeport .* must answer ok from node-2.*ok: as planned from node-1"):
            probe_paths(world)


def test_a_probe_that_answers_nonsense_is_our_own_failure(world: FakeWorld) -> None:
    world.on_execute = lambda container, argv: "Traceback"
    with pytest.raises(InternalError, match="answered 'Traceback'; allowed: one JSON record"):
        probe_paths(world)


def test_an_interrupt_ends_the_waiting_for_the_load(world: FakeWorld) -> None:
    load = start_load(world)
    stop = threading.Event()
    stop.set()
    with pytest.raises(InterruptedRunError):
        load.wait_finished(world.under(stop))
