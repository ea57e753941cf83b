"""Bring-up and its undoing, on the engine in memory."""

import datetime
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from orchestrator.errors import (
    CommandError,
    DeadlineError,
    EngineError,
    EnvironmentUnmetError,
    InternalError,
    InterruptedRunError,
)
from orchestrator.model.history import Event
from orchestrator.testbed.bring_up import bring_up
from orchestrator.testbed.claim import Claim, claim_slot
from orchestrator.testbed.labels import RUN
from orchestrator.testbed.world import Testbed
from tests.unit.testbed.scripted_cluster import ScriptedCluster, compose_file, event_line, make_run, node_kill_plan

NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


@contextmanager
def claimed(cluster: ScriptedCluster, directory: Path, stop: threading.Event | None = None, **pools: str) -> Iterator[Claim]:
    with claim_slot(
        cluster.engine,
        compose_file(),
        make_run(directory),
        client_pool=IPv4Network(pools.get("client_pool", "198.18.0.0/16")),
        node_pool=IPv4Network(pools.get("node_pool", "10.100.0.0/16")),
        stop=stop or threading.Event(),
    ) as claim:
        yield claim


@contextmanager
def running(cluster: ScriptedCluster, directory: Path, stop: threading.Event | None = None) -> Iterator[Testbed]:
    with (
        claimed(cluster, directory, stop) as claim,
        bring_up(cluster.plan, claim, now=NOW, connect_kube=lambda server, secrets: cluster.kube) as testbed,
    ):
        yield testbed


def left_over(cluster: ScriptedCluster) -> list[str]:
    cluster.engine.fail_call = None
    found = (*cluster.engine.containers({RUN: ""}), *cluster.engine.networks({RUN: ""}))
    return [item.name for item in found]


def test_a_healthy_cluster_reaches_its_steady_state_and_leaves_nothing(tmp_path: Path) -> None:
    cluster = ScriptedCluster(node_kill_plan())
    with running(cluster, tmp_path) as testbed:
        names = {item.labels["ingress-testbed.container"] for item in cluster.engine.containers({RUN: ""})}
        assert names >= {"controlplane", "gateway", "loadbalancer", "client", "node-1", "node-2", "node-3", "warden"}
        assert "node-4" not in names
        phases = [event.fields["name"] for event in testbed.history().select("phase")]
        assert phases == ["bring-up", "steady-state"]
        assert (tmp_path / "kubeconfig").stat().st_mode & 0o777 == 0o600
    assert left_over(cluster) == []
    assert not (tmp_path / "kubeconfig").exists()
    assert (tmp_path / "logs" / "node-1.log").read_text() == "node-1 is coming up\n"


def test_files_are_in_place_before_a_container_starts(tmp_path: Path) -> None:
    cluster = ScriptedCluster(node_kill_plan())
    seen: dict[str, set[str]] = {}
    play = cluster.play
    cluster.engine.programs = {
        image: lambda container: (seen.setdefault(container.spec.hostname, set(container.files)), play(container))[1]
        for image in cluster.engine.programs
    }
    with running(cluster, tmp_path):
        pass
    assert seen["controlplane"] == {
        f"/etc/testbed/{name}" for name in ("config.json", "pki/ca.crt", "pki/server.crt", "pki/server.key")
    }
    assert seen["node-1"] == {"/etc/testbed/config.json", "/etc/testbed/pki/ca.crt"}


def test_no_container_starts_before_the_guard_rules_stand(tmp_path: Path) -> None:
    cluster = ScriptedCluster(node_kill_plan())
    cluster.engine.programs["image-of-warden"] = lambda container: container.exit(1)
    stop = threading.Event()
    threading.Timer(0.2, stop.set).start()
    with pytest.raises(InterruptedRunError, match="guard rules"), running(cluster, tmp_path, stop):
        pass
    assert cluster.engine.calls.count("start") == 1
    assert left_over(cluster) == []


def calls_of_a_whole_run(tmp_path: Path) -> int:
    cluster = ScriptedCluster(node_kill_plan())
    with running(cluster, tmp_path):
        return len(cluster.engine.calls)


@pytest.mark.parametrize("after_effect", [False, True])
def test_a_failure_of_any_engine_call_of_the_bring_up_leaves_nothing(tmp_path: Path, after_effect: bool) -> None:
    total = calls_of_a_whole_run(tmp_path)
    assert total > 30
    for number in range(1, total + 1):
        cluster = ScriptedCluster(node_kill_plan())
        cluster.engine.fail_call = number
        cluster.engine.fail_after_effect = after_effect
        with pytest.raises(EngineError, match="planned failure"), running(cluster, tmp_path / str(number)):
            pass
        assert left_over(cluster) == [], f"call {number}: {cluster.engine.calls[number - 1]}"


def test_an_interrupt_at_any_engine_call_leaves_nothing(tmp_path: Path) -> None:
    for number in range(1, calls_of_a_whole_run(tmp_path)):
        cluster, stop = ScriptedCluster(node_kill_plan()), threading.Event()

        def interrupt(call: int, number: int = number, stop: threading.Event = stop) -> None:
            if call == number:
                stop.set()

        cluster.engine.on_call = interrupt
        with pytest.raises(InterruptedRunError), running(cluster, tmp_path / str(number), stop):
            pass
        assert left_over(cluster) == [], f"call {number}: {cluster.engine.calls[number - 1]}"


def test_a_container_that_ends_during_bring_up_is_named_with_its_last_words(tmp_path: Path) -> None:
    cluster = ScriptedCluster(node_kill_plan())
    cluster.exits.add("node-2")
    with pytest.raises(EngineError, match="node-2 ended with status 78 during bring-up") as caught, running(cluster, tmp_path):
        pass
    assert caught.value.hint is not None
    assert "node-2: node-2 is coming up" in caught.value.hint
    assert left_over(cluster) == []


def test_an_interrupt_while_the_steady_state_is_awaited_unwinds(tmp_path: Path) -> None:
    cluster = ScriptedCluster(node_kill_plan())
    stop = threading.Event()

    def never_serves(verb: str, resource: str, manifest: object) -> None:
        stop.set()

    cluster.kube._on_change = never_serves
    with pytest.raises(InterruptedRunError), running(cluster, tmp_path, stop):
        pass
    assert left_over(cluster) == []


def test_a_kept_testbed_outlives_its_orchestrator(tmp_path: Path) -> None:
    cluster = ScriptedCluster(node_kill_plan())
    with running(cluster, tmp_path) as testbed:
        testbed.keep()
    assert cluster.engine.container("itb-t0000001-warden").received.endswith(b"keep\n")
    assert cluster.engine.container("itb-t0000001-node-1").running
    assert (tmp_path / "kubeconfig").exists()


def test_a_slot_that_another_network_has_is_passed_over(tmp_path: Path) -> None:
    cluster = ScriptedCluster(node_kill_plan())
    other = ScriptedCluster(node_kill_plan())
    other.engine = cluster.engine
    with claimed(cluster, tmp_path) as first:
        run = make_run(tmp_path, "t0000002")
        with claim_slot(
            cluster.engine,
            compose_file(),
            run,
            client_pool=IPv4Network("198.18.0.0/16"),
            node_pool=IPv4Network("10.100.0.0/16"),
            stop=threading.Event(),
        ) as second:
            assert (first.slot, second.slot) == (0, 1)
            assert str(second.networks[0].subnet) == "198.18.1.0/24"
    assert left_over(cluster) == []


def test_a_slot_that_would_shadow_a_route_of_the_host_is_passed_over(tmp_path: Path) -> None:
    routes = (
        {"to": "198.19.0.0/24", "dev": "tun0", "connected": False},
        {"to": "10.100.1.0/24", "dev": "eth1", "connected": True},
        {"to": "10.0.0.0/8", "dev": "tun0", "connected": False},
    )
    cluster = ScriptedCluster(node_kill_plan(), routes=routes)
    with claimed(cluster, tmp_path) as claim:
        assert claim.slot == 2


def test_pools_without_a_free_slot_are_an_unmet_environment(tmp_path: Path) -> None:
    cluster = ScriptedCluster(node_kill_plan(), routes=({"to": "198.19.0.0/16", "dev": "eth1", "connected": True},))
    with (
        pytest.raises(EnvironmentUnmetError, match=r"no free address slot among 256.*198\.19\.0\.0/16"),
        claimed(cluster, tmp_path),
    ):
        pass
    assert left_over(cluster) == []


def test_a_plan_for_another_slot_is_refused(tmp_path: Path) -> None:
    cluster = ScriptedCluster(node_kill_plan(slot=3))
    with pytest.raises(InternalError, match=r"198\.18\.3\.0/24.*slot 0"), running(cluster, tmp_path):
        pass
    assert left_over(cluster) == []


def test_an_engine_on_another_kernel_is_asked_for_its_clock(tmp_path: Path) -> None:
    cluster = ScriptedCluster(node_kill_plan())
    with claimed(cluster, tmp_path) as claim:
        # The scripted warden says that its monotonic clock shows 1 ns.
        assert claim.clock.now_mono_ns() < 60_000_000_000


def test_engine_events_are_placed_by_the_offset_that_the_warden_read(tmp_path: Path) -> None:
    cluster = ScriptedCluster(node_kill_plan())
    with running(cluster, tmp_path) as testbed:
        started = testbed.wait_event(
            lambda event: event.event == "engine" and event.fields["container"] == "node-1",
            since_ns=-(1 << 62),
            deadline_s=5,
            what="the engine's event",
        )
    assert started.fields == {"action": "start", "container": "node-1"}
    assert started.t_mono_ns < 1000


def test_control_returns_the_answer_of_init_and_raises_when_it_is_not_ok(tmp_path: Path) -> None:
    cluster = ScriptedCluster(node_kill_plan())
    with running(cluster, tmp_path) as testbed:
        assert testbed.control("node-1", {"op": "status"})["ok"] is True
        cluster.engine.command = lambda container, argv: (1, '{"ok": false, "error": "unknown op"}\n')
        with pytest.raises(CommandError, match=r"on node-1: `testbed-ctl .*status 1\n.*unknown op"):
            testbed.control("node-1", {"op": "nonsense"})


def test_an_answer_of_init_stands_when_what_it_armed_took_the_command_down(tmp_path: Path) -> None:
    cluster = ScriptedCluster(node_kill_plan())
    with running(cluster, tmp_path) as testbed:
        cluster.engine.command = lambda container, argv: (137, '{"ok": true, "state": "armed"}\n')
        assert testbed.control("node-1", {"op": "arm"})["state"] == "armed"
        cluster.engine.command = lambda container, argv: (137, "")
        with pytest.raises(CommandError, match="status 137"):
            testbed.control("node-1", {"op": "arm"})


def test_a_node_added_later_is_followed_and_one_removed_leaves_its_logs(tmp_path: Path) -> None:
    cluster = ScriptedCluster(node_kill_plan())
    with running(cluster, tmp_path) as testbed:
        since_ns = 0
        testbed.create("node-4", "node-5")
        for node in ("node-4", "node-5"):
            testbed.wait_event(
                lambda event, node=node: event.event == "booted" and event.container == node,  # type: ignore[misc]
                since_ns=since_ns,
                deadline_s=5,
                what=node,
            )
        testbed.put("node-4", {"/var/log/testbed/trace.txt": b"last words"})
        testbed.remove("node-4", grace_s=1.0)
        assert not testbed.is_running("node-4")
        assert testbed.is_running("node-5")
        assert (tmp_path / "logs" / "node-4" / "trace.txt").read_bytes() == b"last words"
        with pytest.raises(InternalError, match="no container 'node-4' in this run"):
            testbed.start("node-4")


def test_a_wait_that_runs_out_tells_what_came_last_and_what_was_logged(tmp_path: Path) -> None:
    cluster = ScriptedCluster(node_kill_plan())
    with running(cluster, tmp_path) as testbed:
        testbed.emit("landmark")
        with pytest.raises(DeadlineError, match="a miracle not within 0 s") as caught:
            testbed.wait_event(lambda event: False, since_ns=0, deadline_s=0, what="a miracle")
    assert '"event":"landmark"' in caught.value.last_state
    assert "node-3: node-3 is coming up" in str(caught.value.hint)


def test_the_observer_sees_every_event_in_order(tmp_path: Path) -> None:
    cluster = ScriptedCluster(node_kill_plan())
    seen: list[Event] = []
    with (
        claim_slot(
            cluster.engine,
            compose_file(),
            make_run(tmp_path),
            client_pool=IPv4Network("198.18.0.0/16"),
            node_pool=IPv4Network("10.100.0.0/16"),
            stop=threading.Event(),
            observer=seen.append,
        ) as claim,
        bring_up(cluster.plan, claim, now=NOW, connect_kube=lambda server, secrets: cluster.kube),
    ):
        pass
    assert seen[0].event == "guard-written"
    assert {event.event for event in seen} >= {"phase", "booted", "node-ready", "endpoint-ready", "server-up"}


def test_lines_of_the_wardens_form_are_events() -> None:
    assert '"event": "clock"' in event_line("warden/warden", "clock")
