"""The Node object and its lease, against an API in memory."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from nodeagent.api import LEASES, NODES, ApiError
from nodeagent.kubelet import node as node_module
from nodeagent.kubelet.node import NodeStatus
from nodeagent.settings import Settings
from testbed_init.events import RecordedEvents

SETTINGS = Settings(
    node="node-1",
    internal_ip=IPv4Address("10.100.0.2"),
    api_url="https://10.100.0.250:6443",
    token="t",
    cluster_cidr=IPv4Network("10.0.0.0/16"),
    service_cidr=IPv4Network("10.3.240.0/20"),
    min_sync_period_s=1,
    sync_period_s=30,
    lease_renew_s=0.001,
    lease_duration_s=40,
    status_update_s=0.001,
    labels={"zone": "a"},
)
NODE, STATUS, LEASE = f"{NODES}/node-1", f"{NODES}/node-1/status", f"{LEASES}/node-1"


class FakeApi:
    """Objects by path, calls in order; fails as it is told, call by call."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.calls: list[tuple[str, str, Mapping[str, Any]]] = []
        self.failures: list[Exception] = []

    async def create(self, path: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        self._call("create", path, body)
        name = f"{path}/{body['metadata']['name']}"
        if name in self.objects:
            raise ApiError(409, "already exists")
        self.objects[name] = {**body, "spec": {**body.get("spec", {}), "podCIDR": "10.0.1.0/24"}}
        return self.objects[name]

    async def get(self, path: str) -> Mapping[str, Any]:
        self._call("get", path, {})
        if path not in self.objects:
            raise ApiError(404, "not found")
        return self.objects[path]

    async def patch_strategic(self, path: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        return await self.patch(path, body)

    async def patch(self, path: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        self._call("patch", path, body)
        found = self.objects.get(path.removesuffix("/status"))
        if found is None:
            raise ApiError(404, "not found")
        for key, value in body.items():
            found[key] = {**found.get(key, {}), **value}
        return found

    def _call(self, verb: str, path: str, body: Mapping[str, Any]) -> None:
        self.calls.append((verb, path, body))
        if self.failures:
            raise self.failures.pop(0)

    def made(self, verb: str, path: str) -> int:
        return sum(call[:2] == (verb, path) for call in self.calls)


class ToldRecorder:
    """Keeps the Events that a kubelet would write."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []

    def record(self, subject: Mapping[str, Any], kind: str, reason: str, message: str) -> None:
        assert (subject["kind"], subject["uid"], kind) == ("Node", "node-1", "Normal")
        self.told.append((reason, message))


class World:
    def __init__(self, marker: Path) -> None:
        self.api, self.events, self.marker = FakeApi(), RecordedEvents(), marker
        self.recorder = ToldRecorder()
        self.ready = True
        self.seconds = 0

    def status(self, settings: Settings = SETTINGS) -> NodeStatus:
        return NodeStatus(
            settings=settings,
            api=self.api,  # type: ignore[arg-type]
            recorder=self.recorder,  # type: ignore[arg-type]
            events=self.events,
            now=self.now,
            ready=lambda: self.ready,
            marker=self.marker,
        )

    def now(self) -> datetime.datetime:
        self.seconds += 1
        return datetime.datetime(2026, 1, 1, 0, 0, self.seconds % 60, 250_000, tzinfo=datetime.UTC)

    def condition(self) -> dict[str, Any]:
        return self.conditions()["Ready"]

    def conditions(self) -> dict[str, dict[str, Any]]:
        return {item["type"]: item for item in self.api.objects[NODE]["status"]["conditions"]}


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(node_module, "RETRY_S", 0.0005)
    return World(tmp_path / "registered")


async def until(done: Callable[[], object]) -> None:
    async with asyncio.timeout(2):
        while not done():
            await asyncio.sleep(0.0005)


@contextlib.asynccontextmanager
async def running(coroutine: Any) -> AsyncIterator[None]:
    task = asyncio.create_task(coroutine)
    try:
        yield
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_node_registers_with_what_kubernetes_expects_of_it(world: World) -> None:
    node = await world.status().register()
    assert node["spec"]["podCIDR"] == "10.0.1.0/24"
    labels = world.api.objects[NODE]["metadata"]["labels"]
    assert labels["kubernetes.io/hostname"] == "node-1"
    assert labels["kubernetes.io/os"] == "linux"
    assert labels["zone"] == "a"
    assert node["status"]["addresses"] == [
        {"type": "InternalIP", "address": "10.100.0.2"},
        {"type": "Hostname", "address": "node-1"},
    ]
    assert node["status"]["capacity"] == node["status"]["allocatable"] == {"cpu": "2", "memory": "4Gi", "pods": "110"}
    assert world.events.named("node-registered") == [{"node": "node-1"}]


async def test_node_that_boots_is_not_ready_and_one_whose_agent_was_restarted_still_is(world: World) -> None:
    await world.status().register()
    assert (world.condition()["status"], world.condition()["reason"]) == ("False", "KubeletNotReady")
    await world.status().register()
    assert (world.condition()["status"], world.condition()["reason"]) == ("True", "KubeletReady")


async def test_registration_takes_over_the_object_that_exists(world: World) -> None:
    world.api.objects[NODE] = {"metadata": {"name": "node-1", "labels": {"own": "1"}}, "spec": {"podCIDR": "10.0.7.0/24"}}
    node = await world.status().register()
    assert node["spec"]["podCIDR"] == "10.0.7.0/24"
    assert node["metadata"]["labels"] == {"own": "1"}


async def test_registration_is_tried_until_the_api_answers_and_gives_a_pod_network(world: World) -> None:
    world.api.failures = [aiohttp.ClientConnectionError(), TimeoutError(), ConnectionRefusedError(), ApiError(500, "no")]
    world.api.objects[NODE] = {"metadata": {"name": "node-1"}}
    registration = asyncio.create_task(world.status().register())
    await until(lambda: world.api.made("patch", STATUS) == 2)
    assert world.events.seen == []
    world.api.objects[NODE]["spec"] = {"podCIDR": "10.0.7.0/24"}
    assert (await registration)["spec"] == {"podCIDR": "10.0.7.0/24"}
    assert len(world.events.seen) == 1


async def test_lease_is_made_when_there_is_none_and_renewed_from_then_on(world: World) -> None:
    async with running(world.status().keep_lease()):
        await until(lambda: world.api.made("patch", LEASE) >= 3)
    assert [call[:2] for call in world.api.calls[:4]] == [
        ("patch", LEASE),
        ("create", LEASES),
        ("patch", LEASE),
        ("patch", LEASE),
    ]
    made = world.api.calls[1][2]
    assert made["metadata"] == {"name": "node-1", "namespace": "kube-node-lease"}
    assert made["spec"] == {
        "holderIdentity": "node-1",
        "leaseDurationSeconds": 40,
        "renewTime": "2026-01-01T00:00:01.250000Z",
    }
    renewed = [call[2]["spec"]["renewTime"] for call in world.api.calls[2:4]]
    assert renewed == ["2026-01-01T00:00:02.250000Z", "2026-01-01T00:00:03.250000Z"]


@pytest.mark.parametrize(
    "failure", [aiohttp.ClientConnectionError(), TimeoutError(), ConnectionResetError(), ApiError(500, "no")]
)
async def test_lease_is_renewed_again_after_a_failure(world: World, failure: Exception) -> None:
    world.api.failures = [failure, failure]
    async with running(world.status().keep_lease()):
        await until(lambda: LEASE in world.api.objects)


async def test_node_that_was_deleted_is_not_registered_again_but_its_lease_is(world: World) -> None:
    status = world.status()
    await status.register()
    async with running(status.keep_status()), running(status.keep_lease()):
        await until(lambda: LEASE in world.api.objects)
        world.api.objects.clear()
        world.api.calls.clear()
        await until(lambda: world.api.made("patch", STATUS) >= 5)
        await until(lambda: LEASE in world.api.objects)
    assert world.api.made("create", NODES) == 0
    assert NODE not in world.api.objects


async def test_transition_time_is_that_of_the_change_and_the_heartbeat_that_of_the_report(world: World) -> None:
    status = world.status()
    await status.register()
    world.api.calls.clear()
    async with running(status.keep_status()):
        await until(lambda: world.api.made("patch", STATUS) >= 2)
    first, second = (body["status"]["conditions"][-1] for _, _, body in world.api.calls[:2])
    assert first["status"] == second["status"] == "True"
    assert first["lastTransitionTime"] == first["lastHeartbeatTime"] == second["lastTransitionTime"]
    assert second["lastHeartbeatTime"] > first["lastHeartbeatTime"]


async def test_readiness_is_asked_before_each_report_and_a_wake_reports_at_once(world: World) -> None:
    status = world.status(replace(SETTINGS, status_update_s=3600.0))
    await status.register()
    async with running(status.keep_status()):
        await until(lambda: world.condition()["status"] == "True")
        world.ready = False
        status.wake()
        await until(lambda: world.condition()["status"] == "False")


async def test_node_reports_that_it_has_memory_disk_and_process_numbers(world: World) -> None:
    await world.status().register()
    told = {kind: (item["status"], item["reason"], item["message"]) for kind, item in world.conditions().items()}
    assert told == {
        "MemoryPressure": ("False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
        "DiskPressure": ("False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
        "PIDPressure": ("False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
        "Ready": ("False", "KubeletNotReady", "service rules are not committed yet"),
    }


async def test_start_of_a_node_is_told_as_a_kubelet_tells_it(world: World) -> None:
    status = world.status()
    await status.register()
    async with running(status.keep_status()):
        await until(lambda: world.condition()["status"] == "True")
    assert world.recorder.told == [
        ("Starting", "Starting kubelet."),
        ("NodeHasSufficientMemory", "Node node-1 status is now: NodeHasSufficientMemory"),
        ("NodeHasNoDiskPressure", "Node node-1 status is now: NodeHasNoDiskPressure"),
        ("NodeHasSufficientPID", "Node node-1 status is now: NodeHasSufficientPID"),
        ("NodeReady", "Node node-1 status is now: NodeReady"),
    ]


async def test_agent_that_was_restarted_tells_nothing_but_its_start(world: World) -> None:
    world.marker.touch()
    await world.status().register()
    world.recorder.told.clear()
    since = world.condition()["lastTransitionTime"]
    await world.status().register()
    assert world.recorder.told == [("Starting", "Starting kubelet.")]
    assert world.condition()["lastTransitionTime"] == since


async def test_node_of_which_nothing_was_known_tells_that_it_is_back_and_since_when(world: World) -> None:
    status = world.status(replace(SETTINGS, status_update_s=3600.0))
    await status.register()
    async with running(status.keep_status()):
        await until(lambda: world.condition()["status"] == "True")
        world.recorder.told.clear()
        lost = [
            {**item, "status": "Unknown", "lastTransitionTime": "2026-01-01T00:00:00Z"} for item in world.conditions().values()
        ]
        status.note({"status": {"conditions": lost}})
        world.api.calls.clear()
        status.wake()
        await until(lambda: world.api.made("patch", STATUS))
    assert [reason for reason, _ in world.recorder.told] == [
        "NodeHasSufficientMemory",
        "NodeHasNoDiskPressure",
        "NodeHasSufficientPID",
        "NodeReady",
    ]
    assert world.condition()["lastTransitionTime"] == world.condition()["lastHeartbeatTime"]
