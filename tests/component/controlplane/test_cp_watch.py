"""Watches: complete, in order, from any place that is still known; and a slow one is cut off without hurting the others."""

import asyncio

import pytest
from cp_http import Api, serve
from cp_world import World, pod, service

from controlplane.store.journal import Journal

PODS = "/api/v1/namespaces/default/pods"
SERVICES = "/api/v1/services"


async def listed(api: Api, path: str) -> str:
    _, answer = await api.ask("GET", path)
    return answer["metadata"]["resourceVersion"]


async def test_watch_from_a_list_sees_every_change_in_order() -> None:
    world = World()
    async with serve(world) as api:
        version = await listed(api, PODS)
        async with api.watch(PODS, resourceVersion=version) as watch:
            world.create(pod("a"))
            world.change("pods", "a", {"metadata": {"labels": {"x": "1"}}})
            world.delete("pods", "a")
            events = [await watch.next() for _ in range(5)]
    assert [event["type"] for event in events] == ["ADDED", "MODIFIED", "MODIFIED", "MODIFIED", "DELETED"]
    versions = [int(event["object"]["metadata"]["resourceVersion"]) for event in events]
    assert versions == sorted(versions)


async def test_watch_resumes_where_it_was_and_misses_nothing() -> None:
    world = World()
    async with serve(world) as api:
        version = await listed(api, PODS)
        for name in "abc":
            world.create(pod(name))
        async with api.watch(PODS, resourceVersion=version) as watch:
            first = await watch.next()
        async with api.watch(PODS, resourceVersion=first["object"]["metadata"]["resourceVersion"]) as watch:
            rest = [await watch.next() for _ in range(5)]
    assert {event["object"]["metadata"]["name"] for event in [first, *rest]} == {"a", "b", "c"}
    assert [event["object"]["metadata"]["name"] for event in rest if event["type"] == "ADDED"] == ["b", "c"]


@pytest.mark.parametrize("version", ["", "0"])
async def test_watch_from_anywhere_begins_with_what_there_is(version: str) -> None:
    world = World()
    world.create(pod("a"))
    async with serve(world) as api, api.watch(PODS, resourceVersion=version) as watch:
        assert (await watch.next())["type"] == "ADDED"
        world.create(pod("b"))
        assert (await watch.next())["object"]["metadata"]["name"] == "b"


async def test_streaming_list_ends_with_a_bookmark_that_says_so() -> None:
    world = World()
    world.create(service())
    query = {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan", "allowWatchBookmarks": "true"}
    async with serve(world) as api, api.watch(SERVICES, **query) as watch:
        assert {(await watch.next())["object"]["metadata"]["name"] for _ in range(2)} == {"kubernetes", "web"}
        bookmark = await watch.next()
        assert bookmark["type"] == "BOOKMARK"
        assert bookmark["object"]["kind"] == "Service"
        assert bookmark["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
        assert bookmark["object"]["metadata"]["resourceVersion"] == str(world.store.version)


async def test_watch_of_a_selection_sees_objects_appear_and_disappear() -> None:
    world = World()
    world.create(pod("a"))
    async with serve(world) as api:
        version = await listed(api, PODS)
        async with api.watch(PODS, resourceVersion=version, labelSelector="x=1") as watch:
            world.create(pod("other"))
            world.change("pods", "a", {"metadata": {"labels": {"x": "1"}}})
            world.change("pods", "a", {"metadata": {"labels": {"x": "1", "y": "2"}}})
            last = world.change("pods", "a", {"metadata": {"labels": {"x": "2"}}})
            events = [await watch.next() for _ in range(3)]
    assert [event["type"] for event in events] == ["ADDED", "MODIFIED", "DELETED"]
    assert events[2]["object"]["metadata"]["labels"] == {"x": "1", "y": "2"}
    assert events[2]["object"]["metadata"]["resourceVersion"] == last["metadata"]["resourceVersion"]


async def test_watch_of_one_node_sees_pods_bound_to_it() -> None:
    world = World()
    async with serve(world) as api:
        version = await listed(api, "/api/v1/pods")
        async with api.watch("/api/v1/pods", resourceVersion=version, fieldSelector="spec.nodeName=node-2") as watch:
            world.add_node("node-1")
            world.create(pod("a"))
            world.create(pod("b", nodeName="node-2"))
            assert (await watch.next())["object"]["metadata"]["name"] == "b"


async def test_watch_from_a_forgotten_version_is_gone() -> None:
    world = World(journal=Journal(None, keep=10))
    world.store._histories["pods"] = type(world.store.history("pods"))(capacity=5, resumable_from=world.store.version)
    async with serve(world) as api:
        version = await listed(api, PODS)
        for number in range(30):
            world.create(pod(f"p{number}"))
        # In the stream, as everything that goes wrong once a watch is allowed.
        status, answer = await api.ask("GET", f"{PODS}?watch=true&resourceVersion={version}")
    assert (status, answer["type"]) == (200, "ERROR")
    answer = answer["object"]
    assert (answer["code"], answer["reason"], answer["kind"]) == (410, "Expired", "Status")
    assert answer["message"].startswith(f"too old resource version: {version} (")


async def test_slow_watcher_is_told_that_it_fell_behind_while_others_see_everything() -> None:
    world = World()
    world.store._histories["pods"] = type(world.store.history("pods"))(capacity=50, resumable_from=world.store.version)
    filler = {"metadata": {"annotations": {"x": "y" * 200_000}}}
    world.create(pod("a"))
    async with serve(world) as api:
        version = await listed(api, PODS)
        async with api.watch(PODS, resourceVersion=version) as slow, api.watch(PODS, resourceVersion=version) as fast:
            count = 200
            for number in range(count):
                filler["metadata"]["annotations"]["number"] = str(number)
                world.change("pods", "a", filler)
                event = await fast.next()
                assert event["object"]["metadata"]["annotations"]["number"] == str(number)
            seen = []
            while (event := await slow.next()) is not None:
                seen.append(event)
    assert seen[-1]["type"] == "ERROR"
    assert (seen[-1]["object"]["code"], seen[-1]["object"]["reason"]) == (410, "Expired")
    numbers = [int(event["object"]["metadata"]["annotations"]["number"]) for event in seen[:-1]]
    assert numbers == list(range(len(numbers)))
    assert len(numbers) < count


async def test_watch_ends_when_its_time_is_up_with_a_place_to_resume() -> None:
    world = World()
    async with serve(world) as api:
        async with api.watch(PODS, timeoutSeconds="1", allowWatchBookmarks="true") as watch:
            world.create(service())
            events = []
            while (event := await watch.next()) is not None:
                events.append(event)
        assert events[-1]["type"] == "BOOKMARK"
        assert events[-1]["object"]["metadata"]["resourceVersion"] == str(world.store.version)


async def test_client_that_leaves_is_forgotten() -> None:
    world = World()
    async with serve(world) as api:
        async with api.watch(PODS):
            assert len(world.store.history("pods")._waiting) == 1
        for _ in range(100):
            if not world.store.history("pods")._waiting:
                break
            await asyncio.sleep(0.01)
        assert not world.store.history("pods")._waiting


async def test_watch_in_table_form_names_its_columns_once() -> None:
    world = World()
    async with serve(world) as api:
        headers = {"Authorization": "Bearer secret", "Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
        async with api.client.get(PODS, params={"watch": "true"}, headers=headers) as response:
            world.create(pod("a"))
            first = (await response.content.readline()).decode()
            second = (await response.content.readline()).decode()
            response.close()
    assert '"kind":"Table"' in first
    assert '"name":"Ready"' in first
    assert '"columnDefinitions":null' in second


async def test_hundred_watchers_see_the_same_changes_in_the_same_order() -> None:
    world = World()
    async with serve(world) as api:
        version = await listed(api, PODS)
        watches = [await api.watch(PODS, resourceVersion=version).__aenter__() for _ in range(100)]
        for number in range(20):
            world.create(pod(f"p{number:02}"))
        expected = None
        for watch in watches:
            seen = [(await watch.next())["object"]["metadata"]["resourceVersion"] for _ in range(40)]
            expected = expected or seen
            assert seen == expected
            watch.response.close()


async def test_stream_of_many_objects_is_the_state_of_one_instant_also_when_it_is_read_slowly() -> None:
    """Far more than fits into one write or the sockets' buffers: what changes meanwhile comes after the bookmark."""
    world = World()
    filler = {"big": "y" * 100_000}
    for number in range(120):
        world.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"c{number:03}"}, "data": filler})
    query = {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan", "allowWatchBookmarks": "true"}
    async with serve(world) as api, api.watch("/api/v1/namespaces/default/configmaps", **query) as watch:
        world.change("configmaps", "c119", {"data": {"late": "yes"}})
        world.delete("configmaps", "c118")
        names = []
        while (event := await watch.next())["type"] == "ADDED":
            names.append(event["object"]["metadata"]["name"])
            assert "late" not in event["object"]["data"]
        assert names == [f"c{number:03}" for number in range(120)]
        assert event["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
        later = [await watch.next() for _ in range(2)]
    assert [(item["type"], item["object"]["metadata"]["name"]) for item in later] == [("MODIFIED", "c119"), ("DELETED", "c118")]
    assert int(event["object"]["metadata"]["resourceVersion"]) < int(later[0]["object"]["metadata"]["resourceVersion"])
