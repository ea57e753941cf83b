"""The conversation of kube-proxy with the API as it was recorded of a real one (client-go reflectors of 1.35 and later).

A streaming list that goes on as a watch; where the API refuses that with 422, a list in pages and a watch; after the time-out the
watch again from where it was; after 410 everything anew. Whoever uses it gets the objects as they are after each change.
"""

import asyncio
import json

import aiohttp

RETRY_S = 0.2
ACCEPT = {"Accept": "application/vnd.kubernetes.protobuf, */*", "User-Agent": "kube-proxy/v1.36.0 (linux/amd64)"}
RESOURCES = {
    "nodes": "/api/v1/nodes?fieldSelector=metadata.name%3D{node}",
    "services": "/api/v1/services?fieldSelector=spec.clusterIP%21%3DNone&labelSelector=%21service.kubernetes.io%2Fservice-proxy-name",
    "endpointslices": "/apis/discovery.k8s.io/v1/endpointslices?labelSelector=%21service.kubernetes.io%2Fheadless",
    "servicecidrs": "/apis/networking.k8s.io/v1/servicecidrs?",
}
EVENTS = "/apis/events.k8s.io/v1/namespaces/default/events"


class GoneError(Exception):
    """410: what comes after that version is not kept any more."""


class Reflector:
    """One resource. `on_change(objects)` after the list and after every event; `asked(what)` at every request."""

    def __init__(self, session, url, *, on_change, asked, timeout_s=300, streams=True):
        self._session = session
        self._url = url
        self._on_change = on_change
        self._asked = asked
        self._timeout_s = timeout_s
        self._streams = streams
        self.objects = {}
        self.version = ""

    async def run(self):
        """For ever."""
        while True:
            try:
                if not self.version:
                    await self._begin()
                while True:
                    await self._watch("watch", {"resourceVersion": self.version})
            except GoneError:
                self.objects, self.version = {}, ""
            except aiohttp.ClientError:
                # The API went: the same again, after a moment.
                await asyncio.sleep(RETRY_S)

    async def _begin(self):
        if self._streams and await self._stream():
            return
        self._streams = False
        await self._list()

    async def _stream(self):
        """Everything as events, a bookmark, then changes until the time-out. False: the API has no streaming lists."""
        query = {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"}
        return await self._watch("stream", query, is_ready=False)

    async def _list(self):
        items, token = {}, None
        while token != "":
            query = {"limit": "500", **({"continue": token} if token else {"resourceVersion": "0"})}
            self._asked("list")
            async with self._session.get(self._full(query), headers=ACCEPT) as response:
                answer = await response.json()
                if response.status == 410:
                    raise GoneError
                assert response.status == 200, answer
            items.update({key_of(item): item for item in answer["items"]})
            token = answer["metadata"].get("continue", "")
        self.objects, self.version = items, answer["metadata"]["resourceVersion"]
        self._on_change(self.objects)

    async def _watch(self, name, query, *, is_ready=True):
        query = {"watch": "true", "allowWatchBookmarks": "true", "timeoutSeconds": str(self._timeout_s), **query}
        self._asked(name)
        async with self._session.get(self._full(query), headers=ACCEPT) as response:
            if response.status == 422:
                return False
            if response.status == 410:
                raise GoneError
            assert response.status == 200, await response.text()
            assert response.headers["Content-Type"].startswith("application/json")
            async for line in response.content:
                is_ready = self._take(json.loads(line), is_ready)
        return True

    def _take(self, event, is_ready):
        item = event["object"]
        if event["type"] == "ERROR":
            assert item["code"] == 410, item
            raise GoneError
        self.version = item["metadata"]["resourceVersion"]
        if event["type"] == "BOOKMARK":
            if not is_ready and item["metadata"].get("annotations") == {"k8s.io/initial-events-end": "true"}:
                is_ready = True
                self._on_change(self.objects)
            return is_ready
        if event["type"] == "DELETED":
            self.objects.pop(key_of(item), None)
        else:
            self.objects[key_of(item)] = item
        if is_ready:
            self._on_change(self.objects)
        return is_ready

    def _full(self, query):
        return self._url + ("" if self._url.endswith("?") else "&") + "&".join(f"{key}={value}" for key, value in query.items())


def key_of(item):
    return item["metadata"].get("namespace", ""), item["metadata"]["name"]
