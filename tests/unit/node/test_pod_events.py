"""Events of the kubelet: what it says of failed probes, and how it writes behind everything else."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from nodeagent.api import ApiError
from nodeagent.kubelet import recorder as recorder_module
from nodeagent.kubelet.pod_spec import Readiness, read_pod
from nodeagent.kubelet.probing import probe
from nodeagent.kubelet.recorder import Recorder, refer_to_node, refer_to_pod

SPEC = read_pod({"metadata": {"name": "web", "namespace": "shop", "uid": "u"}, "spec": {"containers": [{"name": "nginx"}]}})
EVENTS = "/api/v1/namespaces/shop/events"


class EventApi:
    """Events by path; fails as told, call by call."""

    def __init__(self) -> None:
        self.events: dict[str, dict[str, Any]] = {}
        self.failures: list[Exception] = []
        self.calls: list[str] = []

    async def create(self, path: str, body: Any) -> Any:
        self._call("create")
        self.events[f"{path}/{body['metadata']['name']}"] = dict(body)

    async def patch(self, path: str, body: Any) -> Any:
        self._call("patch")
        if path not in self.events:
            raise ApiError(404, "not found")
        self.events[path] |= body

    def _call(self, verb: str) -> None:
        self.calls.append(verb)
        if self.failures:
            raise self.failures.pop(0)


class World:
    def __init__(self) -> None:
        self.api = EventApi()
        now = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
        self.recorder = Recorder(node="node-1", api=self.api, now=lambda: now)  # type: ignore[arg-type]

    def tell(self, message: str = "m") -> None:
        self.recorder.record(refer_to_pod(SPEC, "nginx"), "Warning", "Unhealthy", message)

    async def write(self) -> list[dict[str, Any]]:
        task = asyncio.create_task(self.recorder.run())
        for _ in range(30):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return list(self.api.events.values())


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(recorder_module, "RETRY_S", 0.0)
    return World()


async def test_event_about_a_container_names_it_by_its_field(world: World) -> None:
    world.tell()
    (event,) = await world.write()
    assert event["involvedObject"] == {
        "apiVersion": "v1",
        "kind": "Pod",
        "namespace": "shop",
        "name": "web",
        "uid": "u",
        "fieldPath": "spec.containers{nginx}",
    }
    assert event["source"] == {"component": "kubelet", "host": "node-1"}


async def test_repetition_is_a_patch_of_the_event_that_is_there(world: World) -> None:
    world.tell()
    world.tell()
    (event,) = await world.write()
    assert (event["count"], world.api.calls) == (2, ["create", "patch"])


async def test_repetition_of_an_event_that_was_removed_makes_it_again_with_its_count(world: World) -> None:
    world.tell()
    await world.write()
    world.api.events.clear()
    world.tell()
    (event,) = await world.write()
    assert event["count"] == 2


async def test_event_is_written_again_when_the_api_does_not_answer(world: World) -> None:
    world.api.failures = [aiohttp.ClientConnectionError(), TimeoutError(), ConnectionResetError()]
    world.tell()
    assert len(await world.write()) == 1


async def test_event_that_the_api_refuses_is_dropped_and_the_next_one_written(world: World) -> None:
    world.api.failures = [ApiError(403, "namespace is being terminated")]
    world.tell("first")
    world.tell("second")
    assert [event["message"] for event in await world.write()] == ["second"]


async def test_events_beyond_the_queue_are_dropped(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder_module, "WAITING_LIMIT", 2)
    world.recorder = Recorder(node="node-1", api=world.api, now=world.recorder._now)  # type: ignore[arg-type]
    for message in ("a", "b", "c"):
        world.tell(message)
    assert [event["message"] for event in await world.write()] == ["a", "b"]


def test_node_is_named_as_the_kubelet_names_it() -> None:
    assert refer_to_node("node-1") == {"apiVersion": "v1", "kind": "Node", "namespace": "", "name": "node-1", "uid": "node-1"}


def readiness(port: int | None, path: str | None, **changes: Any) -> Readiness:
    fields = {"initial_delay_s": 0, "period_s": 1, "timeout_s": 1, "success_threshold": 1, "failure_threshold": 1}
    return Readiness(**{"port": port, "path": path, **fields, **changes})


@contextlib.asynccontextmanager
async def answering(answer: bytes | None) -> AsyncIterator[int]:
    """A server that answers so, None: never."""
    over = asyncio.Event()
    serving: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.add(asyncio.current_task())  # type: ignore[arg-type]
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError), contextlib.closing(writer):
            await reader.readuntil(b"\r\n\r\n")
            if answer is None:
                await over.wait()
            else:
                writer.write(answer)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]
        over.set()
        await asyncio.sleep(0.01)
        await asyncio.gather(*serving)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", None),
        (b"HTTP/1.1 399 Odd\r\n\r\n", None),
        (b"HTTP/1.1 503 Service Unavailable\r\n\r\n", "Readiness probe failed: HTTP probe failed with statuscode: 503"),
        (b"", 'Readiness probe failed: Get "http://127.0.0.1:PORT/ready": EOF'),
        (
            None,
            'Readiness probe failed: Get "http://127.0.0.1:PORT/ready": '
            "context deadline exceeded (Client.Timeout exceeded while awaiting headers)",
        ),
        (
            b"SSH-2.0-x\r\n",
            'Readiness probe failed: Get "http://127.0.0.1:PORT/ready": net/http: HTTP/1.x transport connection broken: '
            'malformed HTTP response "SSH-2.0-x"',
        ),
    ],
)
async def test_failed_http_probe_says_what_the_kubelet_says(answer: bytes | None, said: str | None) -> None:
    async with answering(answer) as port:
        told = await probe("127.0.0.1", readiness(port, "/ready", timeout_s=0.05 if answer is None else 1))
    assert told == (said and said.replace("PORT", str(port)))


async def test_refused_probe_says_what_the_kubelet_says() -> None:
    async with answering(b"") as port:
        pass
    dial = f"dial tcp 127.0.0.1:{port}: connect: connection refused"
    assert await probe("127.0.0.1", readiness(port, None)) == f"Readiness probe failed: {dial}"
    assert await probe("127.0.0.1", readiness(port, "/")) == f'Readiness probe failed: Get "http://127.0.0.1:{port}/": {dial}'


async def test_accepted_connection_is_enough_for_a_tcp_probe() -> None:
    async with answering(b"") as port:
        assert await probe("127.0.0.1", readiness(port, None)) is None


async def test_probe_of_a_port_that_no_container_declares_fails() -> None:
    said = 'Readiness probe errored and resulted in unknown state: strconv.Atoi: parsing "web": invalid syntax'
    assert await probe("127.0.0.1", readiness(None, "/", port_name="web")) == said
