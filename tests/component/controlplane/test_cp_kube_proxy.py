"""The conversation of an unmodified kube-proxy (client-go reflectors, `--master=http://...`), request by request."""

import asyncio
import json

import aiohttp
from cp_http import Api, serve
from cp_world import World, deployment, service

from controlplane.store.history import History
from kube_proxy_client import RESOURCES, GoneError, Reflector

ACCEPT = {"Accept": "application/vnd.kubernetes.protobuf, */*"}
STREAMING = {
    "allowWatchBookmarks": "true",
    "resourceVersionMatch": "NotOlderThan",
    "sendInitialEvents": "true",
    "timeoutSeconds": "1",
    "watch": "true",
}
REFLECTORS = (
    ("/api/v1/nodes", {"fieldSelector": "metadata.name=node-1"}, "Node"),
    ("/api/v1/services", {"labelSelector": "!service.kubernetes.io/service-proxy-name", "fieldSelector": "spec.clusterIP!=None"}, "Service"),
    ("/apis/discovery.k8s.io/v1/endpointslices", {"labelSelector": "!service.kubernetes.io/headless"}, "EndpointSlice"),
    ("/apis/networking.k8s.io/v1/servicecidrs", {}, "ServiceCIDR"),
)  # fmt: skip


def make() -> World:
    world = World()
    world.add_node("node-1")
    world.create(deployment(replicas=2))
    world.create(service(type="NodePort"))
    world.create(service("headless", clusterIP="None"))
    proxied = service("elsewhere")
    proxied["metadata"]["labels"] = {"service.kubernetes.io/service-proxy-name": "other"}
    world.create(proxied)
    return world


async def read_until(response: aiohttp.ClientResponse, kind: str) -> list[dict]:
    """The events up to the first of that type."""
    events: list[dict] = []
    while not events or events[-1]["type"] != kind:
        events.append(json.loads(await response.content.readline()))
    return events


async def stream_and_resume(api: Api, path: str, selectors: dict, kind: str) -> None:
    headers = {**ACCEPT, "Authorization": "Bearer secret"}
    async with api.client.get(path, params={**STREAMING, **selectors}, headers=headers) as response:
        assert response.headers["Content-Type"].startswith("application/json")
        events = await read_until(response, "BOOKMARK")
        response.close()
    initial = next(index for index, event in enumerate(events) if event["type"] == "BOOKMARK")
    bookmark = events[initial]["object"]
    assert bookmark["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
    assert (bookmark["kind"], bookmark["apiVersion"]) == (kind, events[0]["object"]["apiVersion"])
    assert {event["type"] for event in events[:initial]} == {"ADDED"}
    if kind == "Service":
        assert {event["object"]["metadata"]["name"] for event in events[:initial]} == {"kubernetes", "web"}
    again = {"allowWatchBookmarks": "true", "timeoutSeconds": "1", "watch": "true", **selectors}
    again["resourceVersion"] = events[-1]["object"]["metadata"]["resourceVersion"]
    async with api.client.get(path, params=again, headers=headers) as response:
        assert response.status == 200
        if kind == "Service":
            api.world.change("services", "web", {"metadata": {"annotations": {"x": "y"}}})
            later = await read_until(response, "MODIFIED")
            assert [event["type"] for event in later] == ["MODIFIED"]
        response.close()


async def test_streaming_list_then_changes_then_the_watch_again_from_where_it_was() -> None:
    async with serve(make()) as api:
        await asyncio.gather(*(stream_and_resume(api, *reflector) for reflector in REFLECTORS))


async def list_and_watch(api: Api, path: str, selectors: dict, kind: str) -> None:
    query = "&".join(f"{key}={value}" for key, value in {"limit": "500", "resourceVersion": "0", **selectors}.items())
    status, listed = await api.ask("GET", f"{path}?{query}", headers=ACCEPT)
    assert (status, listed["kind"]) == (200, f"{kind}List")
    assert listed["items"]
    version = listed["metadata"]["resourceVersion"]
    async with api.watch(path, resourceVersion=version, timeoutSeconds="1", **selectors) as watch:
        assert watch.response.status == 200


async def test_plain_list_and_watch_of_an_older_client() -> None:
    async with serve(make()) as api:
        await asyncio.gather(*(list_and_watch(api, *reflector) for reflector in REFLECTORS))


async def test_services_are_complete_enough_for_a_client_that_fills_in_nothing() -> None:
    world = make()
    world.create(service("sticky", sessionAffinity="ClientIP"))
    async with serve(world) as api:
        _, listed = await api.ask("GET", "/api/v1/services")
        for item in listed["items"]:
            spec = item["spec"]
            assert spec["clusterIPs"] == [spec["clusterIP"]]
            assert spec["ipFamilies"] == ["IPv4"]
            assert spec["internalTrafficPolicy"] == "Cluster"
            assert all(port["protocol"] for port in spec["ports"])
            if spec["sessionAffinity"] == "ClientIP":
                assert spec["sessionAffinityConfig"]["clientIP"]["timeoutSeconds"] == 10800


async def test_events_in_protobuf_are_refused_and_that_is_all() -> None:
    async with serve(make()) as api:
        headers = {"Content-Type": "application/vnd.kubernetes.protobuf"}
        path = "/apis/events.k8s.io/v1/namespaces/default/events"
        status, answer = await api.ask("POST", path, b"k8s\x00\n\x19\n\x10events.k8s.io/v1\x12\x05Event", headers=headers)
        assert (status, answer["reason"]) == (415, "UnsupportedMediaType")


class Follower:
    """A reflector at work, what it asked for, and the services that it knew after each change."""

    def __init__(self, api: Api, *, timeout_s: int = 1, streams: bool = True) -> None:
        self.asked: list[str] = []
        self.known: list[set[str]] = []
        self.changed = asyncio.Event()
        self.reflector = Reflector(
            api.client,
            RESOURCES["services"],
            on_change=self._note,
            asked=self.asked.append,
            timeout_s=timeout_s,
            streams=streams,
        )
        api.client.headers["Authorization"] = "Bearer secret"

    def _note(self, objects: dict) -> None:
        self.known.append({name for _, name in objects})
        self.changed.set()

    async def knows(self, *names: str) -> None:
        async with asyncio.timeout(10):
            while not self.known or self.known[-1] != set(names):
                self.changed.clear()
                await self.changed.wait()


async def test_client_follows_changes_over_the_end_of_its_watch() -> None:
    async with serve(make()) as api, asyncio.TaskGroup() as tasks:
        follower = Follower(api)
        task = tasks.create_task(follower.reflector.run())
        await follower.knows("kubernetes", "web")
        while follower.asked != ["stream", "watch"]:
            await asyncio.sleep(0.01)
        api.world.create(service("later"))
        await follower.knows("kubernetes", "web", "later")
        assert follower.known == [{"kubernetes", "web"}, {"kubernetes", "web", "later"}]
        task.cancel()


async def test_older_client_lists_in_place_of_a_stream_and_sees_the_same() -> None:
    async with serve(make()) as api, asyncio.TaskGroup() as tasks:
        follower = Follower(api, timeout_s=60, streams=False)
        task = tasks.create_task(follower.reflector.run())
        await follower.knows("kubernetes", "web")
        while follower.asked != ["list", "watch"]:
            await asyncio.sleep(0.01)
        api.world.delete("services", "web")
        await follower.knows("kubernetes")
        task.cancel()


async def test_client_whose_place_is_gone_is_told_so_and_lists_anew() -> None:
    world = make()
    async with serve(world) as api, asyncio.TaskGroup() as tasks:
        follower = Follower(api)
        place = str(world.store.version)
        world.store._histories["services"] = History(capacity=2, resumable_from=world.store.version)
        for number in range(10):
            world.create(service(f"s{number}"))
        try:
            await follower.reflector._watch("watch", {"resourceVersion": place})
        except GoneError:
            follower.asked.append("gone")
        task = tasks.create_task(follower.reflector.run())
        await follower.knows("kubernetes", "web", *(f"s{number}" for number in range(10)))
        assert follower.asked == ["watch", "gone", "stream"]
        task.cancel()
