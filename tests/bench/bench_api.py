"""The API under many watchers: nothing is lost or reordered, a slow one harms nobody, and what one more of them costs."""

import asyncio
import json
import re
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from tests.integration.cp_process import CONFIG_MAPS, Process, await_ready, client_of, config_map, create, patch

WATCHERS, OBJECTS, CHANGES = 1000, 10_000, 500
HISTORY = 16_384
"""At most so many changes of a resource are kept (twice the store's capacity): whoever is further behind is cut off."""
VERSION = re.compile(rb'"resourceVersion":"(\d+)"')
PARALLEL = 20
DEADLINE_S = 300


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    running = Process(tmp_path)
    running.start()
    yield running
    running.end()


async def make_objects(session: aiohttp.ClientSession, count: int) -> None:
    room = asyncio.Semaphore(PARALLEL)

    async def make(number: int) -> None:
        async with room:
            await create(session, CONFIG_MAPS, config_map(f"c{number}", x="y"))

    await asyncio.gather(*(make(number) for number in range(count)))


async def place_of(session: aiohttp.ClientSession) -> str:
    async with session.get(CONFIG_MAPS, params={"limit": "1"}) as response:
        version: str = (await response.json())["metadata"]["resourceVersion"]
        return version


class Watcher:
    """Reads until it has seen `count` changes: their versions, and when the last one came."""

    def __init__(self, session: aiohttp.ClientSession, place: str, count: int, ready: asyncio.Semaphore) -> None:
        self._session, self._place, self._count, self._ready = session, place, count, ready
        self.seen: list[bytes] = []
        self.at_s: list[float] = []

    async def run(self) -> None:
        query = {"watch": "true", "resourceVersion": self._place}
        async with self._session.get(CONFIG_MAPS, params=query) as response:
            assert response.status == 200
            self._ready.release()
            while len(self.seen) < self._count:
                line = await response.content.readline()
                assert line, f"the watch ended after {len(self.seen)} of {self._count} changes"
                self.seen += VERSION.findall(line)[:1]
                self.at_s.append(time.monotonic())
            response.close()


async def watch_changes(session: aiohttp.ClientSession, *, watchers: int, changes: int) -> float:
    """Median seconds from a change's request until the last watcher had it; every watcher saw every change in order."""
    place, ready = await place_of(session), asyncio.Semaphore(0)
    all_of_them = [Watcher(session, place, changes, ready) for _ in range(watchers)]
    tasks = [asyncio.create_task(watcher.run()) for watcher in all_of_them]
    for _ in range(watchers):
        await ready.acquire()
    made, asked_s = [], []
    for number in range(changes):
        asked_s.append(time.monotonic())
        changed = await patch(session, f"{CONFIG_MAPS}/c{number}", {"data": {"x": f"z{watchers}"}})
        made.append(changed["metadata"]["resourceVersion"].encode())
    await asyncio.gather(*tasks)
    for watcher in all_of_them:
        assert watcher.seen == made
    lags_s = [max(watcher.at_s[index] for watcher in all_of_them) - asked for index, asked in enumerate(asked_s)]
    return statistics.median(lags_s)


@pytest.mark.timeout(DEADLINE_S)
async def test_thousand_watchers_on_ten_thousand_objects(process: Process) -> None:
    async with client_of(process) as session:
        await await_ready(process, session)
        began = time.monotonic()
        await make_objects(session, OBJECTS)
        made_s = time.monotonic() - began
        alone_s = await watch_changes(session, watchers=1, changes=CHANGES)
        together_s = await watch_changes(session, watchers=WATCHERS, changes=CHANGES)
    sys.stdout.write(
        f"\n{OBJECTS} objects made in {made_s:.1f} s; change to the last of {WATCHERS} watchers {together_s * 1e3:.1f} ms, "
        f"to a single one {alone_s * 1e3:.1f} ms; ratio {together_s / alone_s:.0f}\n"
    )
    assert together_s < alone_s * WATCHERS, "a thousand watchers cost more than a thousand times one"


@pytest.mark.timeout(DEADLINE_S)
async def test_slow_watcher_is_cut_off_with_410_and_blocks_nobody(process: Process) -> None:
    """It reads nothing until more has changed than is kept; what it then finds is a beginning without a gap, and the 410."""
    filler = "y" * 4000
    changes = HISTORY + 2000
    async with client_of(process) as session:
        await await_ready(process, session)
        await create(session, CONFIG_MAPS, config_map("c", x=filler))
        place, ready = await place_of(session), asyncio.Semaphore(0)
        async with session.get(CONFIG_MAPS, params={"watch": "true", "resourceVersion": place}) as slow:
            quick = Watcher(session, place, changes, ready)
            task = asyncio.create_task(quick.run())
            await ready.acquire()
            made = []
            for number in range(changes):
                changed = await patch(session, f"{CONFIG_MAPS}/c", {"data": {"n": str(number)}})
                made.append(changed["metadata"]["resourceVersion"].encode())
            await task
            assert quick.seen == made
            lines = [line async for line in slow.content]
        last = json.loads(lines[-1])
        assert (last["type"], last["object"]["code"], last["object"]["reason"]) == ("ERROR", 410, "Expired")
        seen = [VERSION.findall(line)[0] for line in lines[:-1]]
        assert seen == made[: len(seen)]
    sys.stdout.write(f"\na watcher that did not read was cut off {changes - len(seen)} of {changes} changes behind\n")


@pytest.mark.timeout(DEADLINE_S)
async def test_endpoint_follows_its_pod(process: Process) -> None:
    """From the PATCH of a pod's status to the EndpointSlice's event, beside the PATCH alone."""
    pods, slices = "/api/v1/namespaces/default/pods", "/apis/discovery.k8s.io/v1/endpointslices"
    followed_s, alone_s = [], []
    async with client_of(process) as session:
        await await_ready(process, session)
        service = {"metadata": {"name": "web"}, "spec": {"selector": {"a": "b"}, "ports": [{"port": 80}]}}
        await create(session, "/api/v1/namespaces/default/services", service)
        await create(session, "/api/v1/nodes", {"metadata": {"name": "node-1"}})  # no slice has pods of a node that is not there
        pod = {"metadata": {"labels": {"a": "b"}}, "spec": {"nodeName": "node-1", "containers": [{"name": "w", "image": "i"}]}}
        for name in ("p", "other"):
            labels = {"a": "b" if name == "p" else "c"}
            await create(session, pods, {**pod, "metadata": {"name": name, "labels": labels}})
        query = {"watch": "true", "labelSelector": "kubernetes.io/service-name=web"}
        async with session.get(slices, params=query) as response:
            for ready in ["True", "False"] * 50:
                status = {"status": {"podIP": "10.0.1.2", "conditions": [{"type": "Ready", "status": ready}]}}
                began = time.monotonic()
                await patch(session, f"{pods}/other/status", status)
                alone_s.append(time.monotonic() - began)
                began = time.monotonic()
                task = asyncio.create_task(patch(session, f"{pods}/p/status", status))
                while True:
                    endpoints = json.loads(await response.content.readline())["object"]["endpoints"]
                    if [entry["conditions"]["ready"] for entry in endpoints] == [ready == "True"]:
                        break
                followed_s.append(time.monotonic() - began)
                await task
            response.close()
    followed, alone = statistics.median(followed_s), statistics.median(alone_s)
    sys.stdout.write(
        f"\npod's PATCH to its endpoint's event {followed * 1e3:.1f} ms, PATCH alone {alone * 1e3:.1f} ms; "
        f"ratio {followed / alone:.1f}\n"
    )
    assert followed < alone * 10, "an endpoint follows its pod far later than a request takes"
