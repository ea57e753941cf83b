"""The control plane as a process: quick to start, killed and back without a loss, many watchers on many objects."""

import asyncio
import json
import re
import signal
from pathlib import Path

import aiohttp
import pytest

from tests.integration.cp_process import CONFIG_MAPS, Process, await_ready, client_of, config_map, create, patch

pytestmark = pytest.mark.integration


async def test_answers_after_its_start_and_ends_when_told(tmp_path: Path) -> None:
    process = Process(tmp_path)
    async with client_of(process) as session:
        process.start()
        await await_ready(process, session)
    assert process.end() == 0


async def test_killed_control_plane_comes_back_with_every_object_and_watchers_resume(tmp_path: Path) -> None:
    process = Process(tmp_path)
    async with client_of(process) as session:
        process.start()
        await await_ready(process, session)
        created = await create(session, CONFIG_MAPS, config_map("a", x="1"))
        place = created["metadata"]["resourceVersion"]
        for number in range(50):
            last = await patch(session, f"{CONFIG_MAPS}/a", {"data": {"x": str(number)}})
        process.end(signal.SIGKILL)
        process.start()
        await await_ready(process, session)
        async with session.get(f"{CONFIG_MAPS}/a") as response:
            assert await response.json() == last
        after = await patch(session, f"{CONFIG_MAPS}/a", {"data": {"x": "after"}})
        assert int(after["metadata"]["resourceVersion"]) > int(last["metadata"]["resourceVersion"])
        query = {"watch": "true", "resourceVersion": place}
        async with session.get(CONFIG_MAPS, params=query) as response:
            seen = [json.loads(await response.content.readline())["object"]["data"]["x"] for _ in range(51)]
            response.close()
    assert seen == [*map(str, range(50)), "after"]
    process.end()


async def test_wrong_configuration_is_named_and_nothing_is_served(tmp_path: Path) -> None:
    process = Process(tmp_path, node_port_rnage="1-2")
    process.start()
    assert process._running is not None
    assert process._running.wait(10) == 78
    assert "unknown keys ['node_port_rnage']" in process.log


async def test_endpoint_follows_its_pod_each_time_it_changes(tmp_path: Path) -> None:
    process = Process(tmp_path)
    pods, slices = "/api/v1/namespaces/default/pods", "/apis/discovery.k8s.io/v1/endpointslices"
    async with client_of(process) as session:
        process.start()
        await await_ready(process, session)
        status = {"conditions": [{"type": "Ready", "status": "True"}]}
        await create(session, "/api/v1/nodes", {"metadata": {"name": "node-1"}, "status": status})
        ports = [{"port": 80, "targetPort": 8080}]
        await create(
            session,
            "/api/v1/namespaces/default/services",
            {"metadata": {"name": "web"}, "spec": {"selector": {"a": "b"}, "ports": ports}},
        )
        spec = {"containers": [{"name": "web", "image": "nginx"}]}
        await create(session, pods, {"metadata": {"name": "p", "labels": {"a": "b"}}, "spec": spec})
        query = {"watch": "true", "labelSelector": "kubernetes.io/service-name=web"}
        async with session.get(slices, params=query) as response:
            for ready in ["True", "False"] * 10:
                conditions = [{"type": "Ready", "status": ready}]
                await patch(session, f"{pods}/p/status", {"status": {"podIP": "10.0.1.2", "conditions": conditions}})
                while True:
                    item = json.loads(await response.content.readline())["object"]
                    if [entry["conditions"]["ready"] for entry in item["endpoints"]] == [ready == "True"]:
                        break
            response.close()
    process.end()
    told = [line["event"] for line in process.events() if line["event"].startswith("endpoint-")]
    assert told[:3] == ["endpoint-ready", "endpoint-not-ready", "endpoint-ready"]


VERSION = re.compile(rb'"resourceVersion":"(\d+)"')


async def test_hundred_watchers_on_three_hundred_objects_miss_nothing_and_see_one_order_over_tls(tmp_path: Path) -> None:
    process = Process(tmp_path)
    watchers, objects = 100, 300
    async with client_of(process) as session:
        process.start()
        await await_ready(process, session)
        async with session.get(CONFIG_MAPS) as response:
            place = (await response.json())["metadata"]["resourceVersion"]
        ready = asyncio.Semaphore(0)

        async def watch() -> list[bytes]:
            async with session.get(CONFIG_MAPS, params={"watch": "true", "resourceVersion": place}) as response:
                ready.release()
                lines = [await response.content.readline() for _ in range(2 * objects)]
                response.close()
                return [VERSION.findall(line)[0] for line in lines]

        tasks = [asyncio.create_task(watch()) for _ in range(watchers)]
        for _ in range(watchers):
            await ready.acquire()
        made = []
        for number in range(objects):
            created = await create(session, CONFIG_MAPS, config_map(f"c{number}", x="y"))
            changed = await patch(session, f"{CONFIG_MAPS}/c{number}", {"data": {"x": "z"}})
            made += [item["metadata"]["resourceVersion"].encode() for item in (created, changed)]
        for seen in await asyncio.gather(*tasks):
            assert seen == made
    assert process.end() == 0


async def test_killed_in_the_middle_of_watches_it_comes_back_and_every_watcher_goes_on_where_it_was(tmp_path: Path) -> None:
    """Each watcher resumes from the last version it saw; together its two streams are every change, once, in order."""
    process = Process(tmp_path)
    watchers, changes = 20, 200
    async with client_of(process) as session:
        process.start()
        await await_ready(process, session)
        made = [(await create(session, CONFIG_MAPS, config_map("a", x="y")))["metadata"]["resourceVersion"]]
        ended = asyncio.Event()

        async def watch() -> list[str]:
            seen = [made[0]]
            while not ended.is_set() or seen[-1] != made[-1]:
                try:
                    query = {"watch": "true", "resourceVersion": seen[-1], "timeoutSeconds": "5"}
                    async with session.get(CONFIG_MAPS, params=query) as response:
                        assert response.status == 200
                        async for line in response.content:
                            seen.append(json.loads(line)["object"]["metadata"]["resourceVersion"])
                            if ended.is_set() and seen[-1] == made[-1]:
                                response.close()
                                break
                except aiohttp.ClientError:
                    await asyncio.sleep(0.01)
            return seen

        tasks = [asyncio.create_task(watch()) for _ in range(watchers)]
        for number in range(changes):
            if number == changes // 2:
                process.end(signal.SIGKILL)
                process.start()
                await await_ready(process, session)
            changed = await patch(session, f"{CONFIG_MAPS}/a", {"data": {"x": str(number)}})
            if number == changes - 1:
                ended.set()
            made.append(changed["metadata"]["resourceVersion"])
        for seen in await asyncio.gather(*tasks):
            assert seen == made
    assert [int(version) for version in made] == sorted({int(version) for version in made})
    process.end()
