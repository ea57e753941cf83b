"""What a pod tells the API, and which pods the node runs; no program is started here."""

from __future__ import annotations

import asyncio
import datetime
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from nodeagent.api import ApiError
from nodeagent.kubelet import pod as pod_module
from nodeagent.kubelet import pod_program as pod_program_module
from nodeagent.kubelet import pod_status as pod_status_module
from nodeagent.kubelet import pods as pods_module
from nodeagent.kubelet import unplaced as unplaced_module
from nodeagent.kubelet.addresses import Addresses
from nodeagent.kubelet.pod import Pod
from nodeagent.kubelet.pod_spec import PodSpec, Readiness, read_pod
from nodeagent.kubelet.pods import Pods
from nodeagent.kubelet.unplaced import UnplacedPod
from testbed_init.events import RecordedEvents

CIDR = IPv4Network("10.0.1.0/24")
PRESENT = 'Container image "%s" already present on machine and can be accessed by the pod'


def pod_object(uid: str, *, phase: str = "Pending", ready: str | None = None, **metadata: Any) -> dict[str, Any]:
    conditions = [] if ready is None else [{"type": "Ready", "status": ready}]
    return {
        "metadata": {"name": f"web-{uid}", "uid": uid, **metadata},
        "spec": {"containers": [{"name": "nginx", "image": "nginx:1.27"}, {"name": "side", "image": "side"}]},
        "status": {"phase": phase, "conditions": conditions},
    }


class StatusApi:
    """Takes status patches; fails as told, call by call."""

    def __init__(self) -> None:
        self.told: list[tuple[str, Any]] = []
        self.failures: list[Exception] = []

    async def patch(self, path: str, body: Any) -> Any:
        if self.failures:
            raise self.failures.pop(0)
        self.told.append((path, body["status"]))
        return body


class ToldRecorder:
    """Keeps the Events that a kubelet would write."""

    def __init__(self) -> None:
        self.told: list[tuple[str, ...]] = []

    def record(self, subject: Any, kind: str, reason: str, message: str) -> None:
        self.told.append((subject.get("fieldPath", ""), kind, reason, message))


def make_pod(api: StatusApi, events: RecordedEvents, *, host_network: bool = False, recorder: ToldRecorder | None = None) -> Pod:
    item = pod_object("u")
    item["spec"]["hostNetwork"] = host_network
    return Pod(
        spec=read_pod(item),
        node="node-1",
        node_ip=IPv4Address("10.100.0.2"),
        address=IPv4Address("10.0.1.7"),
        pod_cidr=CIDR,
        network=None,  # type: ignore[arg-type]  it is not started
        port_mapper=None,  # type: ignore[arg-type]
        api=api,  # type: ignore[arg-type]
        recorder=recorder or ToldRecorder(),  # type: ignore[arg-type]
        events=events,
        now=iter([datetime.datetime(2026, 1, 1, 0, 0, second, tzinfo=datetime.UTC) for second in range(9)]).__next__,
    )


async def test_status_of_a_ready_pod_is_what_kubernetes_expects() -> None:
    api, events = StatusApi(), RecordedEvents()
    await make_pod(api, events)._set_ready(True)
    ((path, status),) = api.told
    started, changed = "2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z"
    assert path == "/api/v1/namespaces/default/pods/web-u/status"
    containers = status.pop("containerStatuses")
    assert status == {
        "phase": "Running",
        "hostIP": "10.100.0.2",
        "podIP": "10.0.1.7",
        "podIPs": [{"ip": "10.0.1.7"}],
        "startTime": started,
        "conditions": [
            {"type": "PodScheduled", "status": "True", "lastTransitionTime": started},
            {"type": "Initialized", "status": "True", "lastTransitionTime": started},
            {"type": "ContainersReady", "status": "True", "lastTransitionTime": changed},
            {"type": "Ready", "status": "True", "lastTransitionTime": changed},
        ],
    }
    assert [(item["name"], item["ready"], item["state"]) for item in containers] == [
        ("nginx", True, {"running": {"startedAt": started}}),
        ("side", True, {"running": {"startedAt": started}}),
    ]
    assert events.seen == [("pod-ready", {"pod": "web-u", "ip": "10.0.1.7", "node": "node-1"})]


async def test_pod_in_the_nodes_network_has_the_nodes_address() -> None:
    api = StatusApi()
    await make_pod(api, RecordedEvents(), host_network=True)._set_ready(True)
    assert api.told[0][1]["podIP"] == api.told[0][1]["hostIP"] == "10.100.0.2"


async def test_status_is_told_until_the_api_takes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pod_status_module, "RETRY_S", 0.0)
    api = StatusApi()
    api.failures = [aiohttp.ClientConnectionError(), TimeoutError(), ConnectionResetError(), ApiError(500, "no")]
    await make_pod(api, RecordedEvents())._set_ready(True)
    assert len(api.told) == 1


async def test_status_of_a_pod_whose_object_is_gone_is_nobodys_matter() -> None:
    api = StatusApi()
    api.failures = [ApiError(404, "not found")]
    await make_pod(api, RecordedEvents())._set_ready(True)
    assert api.told == []


@pytest.mark.parametrize(("held", "times"), [("False", 2), ("True", 1), (None, 1)])
async def test_status_is_told_again_when_the_api_holds_another(held: str | None, times: int) -> None:
    """A node that was cut off finds its pods marked not ready (node lifecycle controller)."""
    api = StatusApi()
    pod = make_pod(api, RecordedEvents())
    await pod._set_ready(True)
    pod.compare(pod_object("u", ready=held))
    pod.compare(pod_object("u", ready=held))
    await asyncio.sleep(0)
    assert len(api.told) == times


class StandingPod:
    """In a pod's place: runs until its end is asked for."""

    def __init__(self, spec: PodSpec, address: IPv4Address | None) -> None:
        self.spec, self.address = spec, address
        self.ends: list[float] = []
        self.compared = 0
        self._over = asyncio.Event()

    @property
    def is_ending(self) -> bool:
        return bool(self.ends)

    async def run(self) -> None:
        await self._over.wait()

    def end(self, grace_s: float) -> None:
        self.ends.append(grace_s)
        self._over.set()

    def compare(self, item: Any) -> None:
        self.compared += 1


class Node:
    def __init__(self) -> None:
        self.made: dict[str, StandingPod] = {}
        self.adopted: list[dict[str, str]] = []
        self.recorder = ToldRecorder()
        self.deleted: list[str] = []
        self.pods = self.follow(CIDR)

    def follow(self, pod_cidr: IPv4Network) -> Pods:
        addresses = Addresses(pod_cidr)

        def make_unplaced(spec: PodSpec) -> UnplacedPod:
            return UnplacedPod(spec=spec, addresses=addresses, api=self, recorder=self.recorder)  # type: ignore[arg-type]

        return Pods(
            addresses=addresses,
            make_unplaced=make_unplaced,
            make_pod=self._make,  # type: ignore[arg-type]
            on_adopted=lambda running: self.adopted.append({spec.uid: str(address) for spec, address in running}),
        )

    def _make(self, spec: PodSpec, address: IPv4Address | None) -> StandingPod:
        self.made[spec.uid] = StandingPod(spec, address)
        return self.made[spec.uid]

    async def delete_now(self, path: str, uid: str) -> None:
        """As the API does it."""
        self.deleted.append(uid)

    def addresses(self) -> dict[str, str]:
        return {uid: str(pod.address) for uid, pod in self.made.items()}

    async def close(self) -> None:
        self.pods.on_pods([])
        for _ in range(5):
            await asyncio.sleep(0)


@pytest.fixture
async def node(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(pods_module, "running_address", lambda uid: None)
    node = Node()
    yield node
    await node.close()


async def test_each_pod_is_run_once_and_one_that_has_finished_is_not(node: Node) -> None:
    objects = [
        pod_object("a"),
        pod_object("b", phase="Succeeded"),
        pod_object("c", phase="Failed"),
        pod_object("d", phase="Running"),
    ]
    node.pods.on_pods(objects)
    first = dict(node.made)
    node.pods.on_pods(objects)
    assert node.made == first
    assert node.addresses() == {"a": "10.0.1.2", "d": "10.0.1.3"}


@pytest.mark.parametrize(("metadata", "grace_s"), [({"deletionGracePeriodSeconds": 5}, 5.0), ({}, 30.0)])
async def test_deletion_ends_a_pod_once_with_the_grace_that_was_asked_for(
    node: Node, metadata: dict[str, Any], grace_s: float
) -> None:
    node.pods.on_pods([pod_object("a")])
    deleted = pod_object("a", deletionTimestamp="2026-01-01T00:00:00Z", **metadata)
    node.pods.on_pods([deleted])
    node.pods.on_pods([deleted])
    assert node.made["a"].ends == [grace_s]


async def test_pod_whose_object_is_gone_ends_without_grace(node: Node) -> None:
    node.pods.on_pods([pod_object("a"), pod_object("b")])
    node.pods.on_pods([pod_object("b")])
    assert (node.made["a"].ends, node.made["b"].ends) == ([0.0], [])


async def test_address_comes_back_when_its_pod_has_ended(node: Node) -> None:
    node.pods = node.follow(IPv4Network("10.0.1.0/30"))  # room for one
    node.pods.on_pods([pod_object("a")])
    await node.close()
    node.pods.on_pods([pod_object("b")])
    assert node.addresses() == {"a": "10.0.1.2", "b": "10.0.1.2"}


SPENT = "Failed to create pod sandbox: failed to allocate for range 0: no IP addresses available in range set: 10.0.1.2-10.0.1.2"


async def test_pod_without_an_address_waits_until_another_one_has_ended(node: Node) -> None:
    node.pods = node.follow(IPv4Network("10.0.1.0/30"))  # room for one
    node.pods.on_pods([pod_object("a"), pod_object("b")])
    await asyncio.sleep(0.01)
    assert node.addresses() == {"a": "10.0.1.2"}
    assert node.recorder.told == [("", "Warning", "FailedCreatePodSandBox", SPENT)]
    node.pods.on_pods([pod_object("b")])
    await asyncio.sleep(0.01)
    assert node.addresses() == {"a": "10.0.1.2", "b": "10.0.1.2"}


async def test_pod_that_waits_for_an_address_is_gone_as_soon_as_it_is_deleted(node: Node) -> None:
    node.pods = node.follow(IPv4Network("10.0.1.0/30"))
    node.pods.on_pods([pod_object("a"), pod_object("b")])
    await asyncio.sleep(0.01)
    node.pods.on_pods([pod_object("a"), pod_object("b", deletionTimestamp="2026-01-01T00:00:00Z")])
    await asyncio.sleep(0.01)
    assert (list(node.made), node.deleted) == (["a"], ["b"])


async def test_pod_that_waits_for_an_address_tries_again_and_says_so(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unplaced_module, "RETRY_S", 0.005)
    node.pods = node.follow(IPv4Network("10.0.1.0/30"))
    node.pods.on_pods([pod_object("a"), pod_object("b")])
    async with asyncio.timeout(2):
        while len(node.recorder.told) < 3:
            await asyncio.sleep(0.005)


async def test_pod_in_the_nodes_network_takes_no_address_of_others(node: Node) -> None:
    node.pods = node.follow(IPv4Network("10.0.1.0/30"))
    host = pod_object("h")
    host["spec"]["hostNetwork"] = True
    node.pods.on_pods([host, pod_object("a")])
    assert node.addresses() == {"h": "None", "a": "10.0.1.2"}


async def test_pods_of_an_earlier_life_keep_their_addresses_whatever_the_order(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = {"old": IPv4Address("10.0.1.2")}
    monkeypatch.setattr(pods_module, "running_address", running.get)
    node.pods.on_pods([pod_object("new"), pod_object("old")])
    assert node.addresses() == {"new": "10.0.1.3", "old": "10.0.1.2"}
    node.pods.on_pods([pod_object("new"), pod_object("old"), pod_object("newer")])
    assert node.adopted == [{"old": "10.0.1.2"}], "told once, all together, before any pod runs"


async def test_each_list_compares_what_the_api_holds_with_what_is(node: Node) -> None:
    node.pods.on_pods([pod_object("a")])
    node.pods.on_pods([pod_object("a", ready="False")])
    assert node.made["a"].compared == 2


async def test_conditions_without_a_type_tell_nothing_of_a_pod() -> None:
    pod = make_pod(StatusApi(), RecordedEvents())
    pod.compare({"status": {"conditions": [{}, {"type": "Ready"}]}})


async def test_start_of_each_container_is_told_when_the_program_serves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "nginx"
    program.write_text("#!/bin/sh\nexit 0\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(pod_program_module, "STATE", tmp_path / "pods")
    recorder = ToldRecorder()
    await make_pod(StatusApi(), RecordedEvents(), host_network=True, recorder=recorder)._start()
    assert recorder.told == [
        ("spec.containers{nginx}", "Normal", "Pulled", PRESENT % "nginx:1.27"),
        ("spec.containers{nginx}", "Normal", "Created", "Container created"),
        ("spec.containers{nginx}", "Normal", "Started", "Container started"),
        ("spec.containers{side}", "Normal", "Pulled", PRESENT % "side"),
        ("spec.containers{side}", "Normal", "Created", "Container created"),
        ("spec.containers{side}", "Normal", "Started", "Container started"),
    ]


async def test_end_of_each_container_is_told_before_it_ends() -> None:
    recorder = ToldRecorder()
    pod = make_pod(StatusApi(), RecordedEvents(), recorder=recorder)
    pod._tell_end()
    assert recorder.told == [
        ("spec.containers{nginx}", "Normal", "Killing", "Stopping container nginx"),
        ("spec.containers{side}", "Normal", "Killing", "Stopping container side"),
    ]


async def test_each_failed_probe_is_told_of_the_container_that_has_it() -> None:
    recorder = ToldRecorder()
    pod = make_pod(StatusApi(), RecordedEvents(), recorder=recorder)
    probing = asyncio.create_task(
        pod._probe(
            Readiness(
                port=None, path="/", initial_delay_s=0, period_s=0, timeout_s=1, success_threshold=1, failure_threshold=3,
                port_name="web", container="nginx",
            )
        )
    )  # fmt: skip
    while len(recorder.told) < 2:
        await asyncio.sleep(0)
    probing.cancel()
    said = 'Readiness probe errored and resulted in unknown state: strconv.Atoi: parsing "web": invalid syntax'
    assert recorder.told[0] == recorder.told[1] == ("spec.containers{nginx}", "Warning", "Unhealthy", said)


class KilledProgram:
    """Has ended by itself, and runs when it was started again."""

    is_running = False

    async def start(self) -> None:
        self.is_running = True


class StandingSandbox:
    async def make(self) -> None:
        raise AssertionError("another sandbox has another link address")


def test_program_that_was_killed_starts_again_in_the_sandbox_that_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pod_module, "ALIVE_CHECK_S", 0.001)
    events, recorder = RecordedEvents(), ToldRecorder()
    pod, program = make_pod(StatusApi(), events, recorder=recorder), KilledProgram()
    monkeypatch.setattr(pod, "_program", program)
    monkeypatch.setattr(pod, "sandbox", StandingSandbox())
    with pytest.raises(TimeoutError):
        asyncio.run(asyncio.wait_for(pod._watch(), 0.1))
    assert program.is_running
    assert [name for name, _ in events.seen] == ["pod-started"]
    assert [reason for _, _, reason, _ in recorder.told] == ["Pulled", "Created", "Started"] * 2
