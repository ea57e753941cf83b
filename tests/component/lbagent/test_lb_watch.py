"""List and watch against an API on loopback that misbehaves on request."""

import asyncio
from collections.abc import Callable

import pytest
from aiohttp import web
from lb_fake_api import FakeApi

from testbed_init.events import RecordedEvents
from testbed_kube.watch import ResourceWatch, open_session

NODES = "/api/v1/nodes"


class Bench:
    """A watch of nodes, what it saw last, and the API it watches."""

    def __init__(self, api: FakeApi) -> None:
        self.api = api
        self.events = RecordedEvents()
        self.now_ns = 0
        self.names: list[str] | None = None

    def clock(self) -> int:
        """Every look at it is a minute later: no watch of these tests is a short one."""
        self.now_ns += 60_000_000_000
        return self.now_ns

    def on_change(self, objects) -> None:
        self.names = sorted(item["metadata"]["name"] for item in objects)

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(5):
            while not condition():
                await asyncio.sleep(0.002)


@pytest.fixture
async def bench(tmp_path):
    api = FakeApi()
    application = web.Application()
    application.router.add_get("/api/v1/{resource}", api.answer)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = site._server.sockets[0].getsockname()[1]
    bench = Bench(api)
    api.put(NODES, "node-1")
    session = open_session(api_url=f"http://127.0.0.1:{port}", token="secret", ca_file=tmp_path)
    watch = ResourceWatch(
        session=session,
        path=NODES,
        resource="nodes",
        on_change=bench.on_change,
        events=bench.events,
        clock=bench.clock,
        read=lambda item: int(item["metadata"]["name"].removeprefix("node-").strip("x") or 0),
    )
    task = asyncio.create_task(watch.run())
    yield bench
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await session.close()
    api.send(None)
    await runner.cleanup()


async def listed(bench: Bench) -> None:
    await bench.until(lambda: bench.names == ["node-1"] and bench.api._watchers)


async def test_objects_are_listed_and_followed(bench):
    await listed(bench)
    bench.api.put(NODES, "node-2")
    await bench.until(lambda: bench.names == ["node-1", "node-2"])
    bench.api.delete(NODES, "node-1")
    await bench.until(lambda: bench.names == ["node-2"])
    assert bench.events.seen == []


async def test_every_request_carries_the_token(bench):
    await listed(bench)
    assert bench.api.authorizations == {"Bearer secret"}


async def test_a_watch_that_ends_goes_on_from_its_last_version_without_a_list(bench):
    await listed(bench)
    bench.api.bookmark(NODES)
    bench.api.put(NODES, "node-2")
    await bench.until(lambda: bench.names == ["node-1", "node-2"])
    bench.api.send(None)
    await bench.until(lambda: len(bench.api.requests) == 3 and bench.api._watchers)
    bench.api.put(NODES, "node-3")
    await bench.until(lambda: bench.names == ["node-1", "node-2", "node-3"])
    assert bench.api.requests.count("list") == 1
    assert f"resourceVersion={13}" in bench.api.requests[2]


@pytest.mark.parametrize("how", ["status", "event"])
async def test_gone_means_to_list_again(bench, how):
    await listed(bench)
    del bench.api.objects[NODES]["node-1"]
    bench.api.put(NODES, "node-9")
    await bench.until(lambda: "node-9" in bench.names)
    if how == "event":
        bench.api.send({"type": "ERROR", "object": {"kind": "Status", "code": 410, "reason": "Expired"}})
    else:
        bench.api.version += 5
        bench.api.compact()
        bench.api.send(None)
    await bench.until(lambda: bench.names == ["node-9"])
    assert bench.api.requests.count("list") == 2


async def test_a_loss_is_reported_once_and_so_is_the_return(bench):
    await listed(bench)
    bench.api.refuse_lists = 2
    bench.api.version += 5
    bench.api.compact()
    bench.api.send(None)
    await bench.until(lambda: bench.events.named("watch-resumed"))
    assert [name for name, _ in bench.events.seen] == ["watch-lost", "watch-resumed"]
    assert bench.events.named("watch-lost") == [{"resource": "nodes", "reason": "ApiError: list: HTTP 503"}]


async def test_the_last_known_objects_are_kept_while_the_api_is_away(bench):
    await listed(bench)
    bench.api.refuse_lists = 1
    bench.api.compact()
    bench.api.version += 5
    bench.api.send({"type": "ERROR", "object": {"kind": "Status", "code": 500, "reason": "InternalError"}})
    await bench.until(lambda: bench.events.named("watch-lost"))
    assert bench.names == ["node-1"]


@pytest.mark.parametrize("garbage", [{"type": "ADDED", "object": {"metadata": {"name": "x" * 300_000, "resourceVersion": "99"}}}])
async def test_an_object_larger_than_any_buffer_arrives_whole(bench, garbage):
    await listed(bench)
    bench.api.send(garbage)
    await bench.until(lambda: bench.names and len(bench.names) == 2)


async def test_an_object_that_cannot_be_read_is_left_out_and_told_once_until_it_can(bench):
    await listed(bench)
    bench.api.put(NODES, "node-broken")
    bench.api.put(NODES, "node-broken")
    bench.api.put(NODES, "node-2")
    await bench.until(lambda: bench.names == ["node-1", "node-2"])
    (told,) = bench.events.named("object-skipped")
    assert (told["resource"], told["object"]) == ("nodes", "node-broken")
    assert told["error"].startswith("ValueError: ")
