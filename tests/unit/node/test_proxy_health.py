"""What health check node ports, healthz, livez and metrics say."""

from __future__ import annotations

import asyncio
import datetime
import json
from collections.abc import Mapping
from typing import Any

import pytest
from node_world import GONE, LEAVING, LOCAL, NODE, READY, UNREADY, service, slice_of

from nodeagent.proxy.health import TO_BE_DELETED, ProxyHealth
from nodeagent.proxy.health_check import HealthCheck, plan_health_checks, render_answer
from nodeagent.proxy.health_servers import HealthCheckServers
from nodeagent.proxy.metrics import ProxyMetrics
from nodeagent.proxy.services import read_service_ports
from testbed_init.events import RecordedEvents

NAME = ("default", "web")
CHECKED = {"type": "LoadBalancer", "healthCheckNodePort": 31000, **LOCAL}
BEGAN = datetime.datetime(2026, 3, 1, 12, 0, 0, tzinfo=datetime.UTC)


def checks(*endpoints: tuple[str, str, Mapping[str, Any]], **spec: Any) -> dict[Any, HealthCheck]:
    return plan_health_checks(read_service_ports([service(**{**CHECKED, **spec})], [slice_of(*endpoints)], NODE))


@pytest.mark.parametrize(
    ("endpoints", "count"),
    [
        ([], 0),
        ([("10.0.1.2", NODE, READY)], 1),
        ([("10.0.1.2", NODE, READY), ("10.0.1.3", NODE, READY), ("10.0.2.2", "node-2", READY)], 2),
        ([("10.0.2.2", "node-2", READY)], 0),
        ([("10.0.1.2", NODE, LEAVING)], 0),
        ([("10.0.1.2", NODE, READY), ("10.0.1.3", NODE, LEAVING)], 1),
        ([("10.0.1.2", NODE, UNREADY), ("10.0.1.3", NODE, GONE)], 0),
    ],
    ids=["none", "one", "two of three", "elsewhere", "leaving", "one leaving", "not serving"],
)
def test_ready_endpoints_of_this_node_are_counted(endpoints: list[Any], count: int) -> None:
    assert checks(*endpoints) == {NAME: HealthCheck(service=NAME, port=31000, local_endpoints=count)}


def test_pod_that_serves_several_ports_counts_once() -> None:
    two = [{"name": "http", "port": 80}, {"name": "admin", "port": 81}]
    slices = [slice_of(("10.0.1.2", NODE, READY), ports={"http": 8080, "admin": 8081})]
    found = plan_health_checks(read_service_ports([service(**CHECKED, ports=two)], slices, NODE))
    assert found[NAME].local_endpoints == 1


@pytest.mark.parametrize(
    "spec",
    [{"externalTrafficPolicy": "Cluster"}, {"type": "NodePort"}, {"healthCheckNodePort": 0}],
    ids=["policy Cluster", "type NodePort", "no port"],
)
def test_other_services_have_no_health_check(spec: dict[str, Any]) -> None:
    assert checks(("10.0.1.2", NODE, READY), **spec) == {}


GOOD_BODY = """\
{
\t"service": {
\t\t"namespace": "default",
\t\t"name": "web"
\t},
\t"localEndpoints": 2,
\t"serviceProxyHealthy": true
}"""


def test_answer_is_kubernetes_own_to_the_letter() -> None:
    answer = render_answer(HealthCheck(service=NAME, port=31000, local_endpoints=2), proxy_healthy=True)
    assert answer.status == 200
    assert answer.body == GOOD_BODY
    assert answer.headers == {
        "Content-Type": "application/json",
        "X-Content-Type-Options": "nosniff",
        "X-Load-Balancing-Endpoint-Weight": "2",
    }


@pytest.mark.parametrize(("count", "healthy", "status"), [(1, True, 200), (0, True, 503), (1, False, 503), (0, False, 503)])
def test_node_is_good_with_local_endpoints_and_a_proxy_that_keeps_up(count: int, healthy: bool, status: int) -> None:
    answer = render_answer(HealthCheck(service=NAME, port=31000, local_endpoints=count), proxy_healthy=healthy)
    assert answer.status == status
    assert json.loads(answer.body)["serviceProxyHealthy"] is healthy


class World:
    """A proxy's health at a clock that the test sets."""

    def __init__(self) -> None:
        self.at_s = 0.0
        self.health = ProxyHealth(
            node=NODE,
            timeout_s=60.0,
            clock=lambda: round(self.at_s * 1e9),
            now=lambda: BEGAN + datetime.timedelta(seconds=self.at_s),
        )

    def statuses(self) -> tuple[int, int]:
        return self.health.healthz()[0], self.health.livez()[0]


def node(**changes: Any) -> dict[str, Any]:
    metadata, spec = changes.pop("metadata", {}), changes.pop("spec", {})
    return {"metadata": {"name": NODE, **metadata}, "spec": spec}


def test_starting_up_is_healthy_however_long_it_takes() -> None:
    world = World()
    world.health.queued()
    world.at_s = 1000.0
    assert world.statuses() == (200, 200)


def test_update_that_waits_for_two_sync_periods_is_unhealthy_until_it_is_carried_out() -> None:
    world = World()
    world.health.updated()
    world.at_s = 10.0
    world.health.queued()
    world.at_s = 40.0
    world.health.queued()  # the oldest counts
    world.at_s = 69.9
    assert world.statuses() == (200, 200)
    world.at_s = 70.0
    assert world.statuses() == (503, 503)
    world.health.updated()
    assert world.statuses() == (200, 200)


@pytest.mark.parametrize(
    "nodes",
    [
        [],
        [node(metadata={"deletionTimestamp": "2026-03-01T12:00:00Z"})],
        [node(spec={"taints": [{"key": TO_BE_DELETED, "effect": "NoSchedule"}]})],
    ],
    ids=["deleted", "being deleted", "tainted"],
)
def test_node_on_its_way_out_gets_no_traffic_but_its_proxy_lives(nodes: list[Any]) -> None:
    world = World()
    world.health.on_nodes([*nodes, {"metadata": {"name": "node-2"}}])
    assert world.statuses() == (503, 200)
    assert world.health.healthy
    world.health.on_nodes([node(spec={"taints": [{"key": "other", "effect": "NoSchedule"}]})])
    assert world.statuses() == (200, 200)


def test_bodies_say_when_the_rules_were_updated_and_what_is_wrong() -> None:
    world = World()
    world.at_s = 0.25
    world.health.updated()
    world.health.queued()
    world.at_s = 30.0
    assert json.loads(world.health.healthz()[1]) == {
        "lastUpdated": "2026-03-01T12:00:30Z",
        "currentTime": "2026-03-01T12:00:30Z",
        "nodeEligible": True,
        "healthy": True,
        "status": {"IPv4": {"lastUpdated": "2026-03-01T12:00:00.25Z", "healthy": True}},
    }
    world.at_s = 61.0
    assert json.loads(world.health.livez()[1]) == {
        "lastUpdated": "2026-03-01T12:00:00.25Z",
        "currentTime": "2026-03-01T12:01:01Z",
        "healthy": False,
        "status": {"IPv4": {"lastUpdated": "2026-03-01T12:00:00.25Z", "healthy": False}},
    }


def test_body_before_the_first_update_has_no_status() -> None:
    world = World()
    world.health.on_nodes([])
    status, body = world.health.healthz()
    assert status == 503
    assert json.loads(body) == {
        "lastUpdated": "0001-01-01T00:00:00Z",
        "currentTime": "2026-03-01T12:00:00Z",
        "nodeEligible": False,
        "healthy": True,
    }


EXPOSITION = """\
# HELP kubeproxy_sync_proxy_rules_last_queued_timestamp_seconds When a change came
# TYPE kubeproxy_sync_proxy_rules_last_queued_timestamp_seconds gauge
kubeproxy_sync_proxy_rules_last_queued_timestamp_seconds 1700000000.25
# HELP kubeproxy_sync_proxy_rules_last_timestamp_seconds When a sync last succeeded
# TYPE kubeproxy_sync_proxy_rules_last_timestamp_seconds gauge
kubeproxy_sync_proxy_rules_last_timestamp_seconds 1700000000.25
# HELP kubeproxy_sync_proxy_rules_nftables_sync_failures_total Syncs that the kernel refused
# TYPE kubeproxy_sync_proxy_rules_nftables_sync_failures_total counter
kubeproxy_sync_proxy_rules_nftables_sync_failures_total 1
# HELP kubeproxy_proxy_healthz_total Answers to /healthz by HTTP status
# TYPE kubeproxy_proxy_healthz_total counter
kubeproxy_proxy_healthz_total{code="200"} 2
kubeproxy_proxy_healthz_total{code="503"} 1
# HELP kubeproxy_proxy_livez_total Answers to /livez by HTTP status
# TYPE kubeproxy_proxy_livez_total counter
"""


def test_metrics_count_what_the_proxy_reports_and_hand_it_on() -> None:
    events = RecordedEvents()
    metrics = ProxyMetrics(mode="nftables", events=events, now_s=lambda: 1_700_000_000.25)
    metrics.emit("rules-committed", t_mono_ns=5, duration_ms=1.0)
    metrics.emit("rules-committed", duration_ms=3.5)
    metrics.emit("rules-committed", duration_ms=20_000.0)
    metrics.emit("rules-failed", error="busy")
    metrics.count_queued()
    metrics.count_synced()
    for status in (503, 200, 200):
        metrics.count_probe("healthz", status)
    histogram, _, rest = metrics.render().partition("# HELP kubeproxy_sync_proxy_rules_last_queued")
    name = "kubeproxy_sync_proxy_rules_duration_seconds"
    lines = histogram.splitlines()
    assert lines[1:5] == [
        f"# TYPE {name} histogram",
        f'{name}_bucket{{le="0.001"}} 1',
        f'{name}_bucket{{le="0.002"}} 1',
        f'{name}_bucket{{le="0.004"}} 2',
    ]
    assert lines[-4:] == [
        f'{name}_bucket{{le="16.384"}} 2',
        f'{name}_bucket{{le="+Inf"}} 3',
        f"{name}_sum 20.0045",
        f"{name}_count 3",
    ]
    assert f"# HELP kubeproxy_sync_proxy_rules_last_queued{rest}" == EXPOSITION
    assert [name for name, _ in events.seen] == ["rules-committed"] * 3 + ["rules-failed"]
    assert events.named("rules-committed")[0] == {"t_mono_ns": 5, "duration_ms": 1.0}


class Loopback:
    """Health check servers on this machine's loopback addresses, of which each world has one of its own."""

    def __init__(self, *addresses: str) -> None:
        self.events = RecordedEvents()
        self.servers = HealthCheckServers(node=NODE, addresses=addresses, health=World().health, events=self.events)
        self.address = addresses[0]

    def commit(self, *, port: int | None) -> None:
        services = [] if port is None else [service(**{**CHECKED, "healthCheckNodePort": port})]
        self.servers.after_commit(read_service_ports(services, [slice_of(("10.0.1.2", NODE, READY))], NODE))

    async def status(self, port: int, address: str | None = None) -> int | None:
        """None: refused."""
        try:
            reader, writer = await asyncio.open_connection(address or self.address, port)
        except ConnectionRefusedError:
            return None
        writer.write(b"POST /any HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n")
        line = await reader.readline()
        writer.close()
        return int(line.split()[1])


async def test_service_that_goes_while_its_port_is_being_opened_leaves_none_open() -> None:
    """At whatever step of the work for the one commit the other comes."""
    node = Loopback("127.77.0.1")
    running = asyncio.create_task(node.servers.run())
    try:
        for steps in range(6):
            node.commit(port=31000 + steps)
            await settle(steps)
            node.commit(port=None)
            await settle(20)
            assert await node.status(31000 + steps) is None, f"open after {steps} steps"
        node.commit(port=31000)
        await settle(20)
        assert await node.status(31000) == 200
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert await node.status(31000) is None
    assert node.events.seen == []


async def test_port_is_open_at_every_address_that_has_node_ports_and_at_no_other() -> None:
    node = Loopback("127.77.0.2", "127.77.0.3")
    running = asyncio.create_task(node.servers.run())
    try:
        node.commit(port=31000)
        await settle(20)
        seen = [await node.status(31000, address) for address in ("127.77.0.2", "127.77.0.3", "127.77.0.4")]
        assert seen == [200, 200, None]
        node.commit(port=None)
        await settle(20)
        assert [await node.status(31000, address) for address in ("127.77.0.2", "127.77.0.3")] == [None, None]
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def settle(steps: int) -> None:
    for _ in range(steps):
        await asyncio.sleep(0)
