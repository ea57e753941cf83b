"""A small Kubernetes API on loopback: list and watch of collections, with the misbehaviour that a watcher must survive."""

import asyncio
import json

from aiohttp import web


class FakeApi:
    """Objects by collection path; every change gets the next resourceVersion and goes to the watchers."""

    def __init__(self) -> None:
        self.version = 10
        core, networking = "/api/v1", "/apis/networking.k8s.io/v1"
        collections = (
            *(f"{core}/{resource}" for resource in ("nodes", "services", "secrets")),
            *(f"{networking}/{resource}" for resource in ("ingresses", "ingressclasses")),
        )
        self.objects: dict[str, dict[str, dict]] = {path: {} for path in collections}
        self.events: list[dict] = []
        self.history: list[tuple[int, str, dict]] = []
        self.oldest_version = 0
        self.refuse_lists = 0
        self.requests: list[str] = []
        self.authorizations: set[str | None] = set()
        self._watchers: set[asyncio.Queue] = set()

    def put(self, path: str, name: str, *, annotations: dict[str, str] | None = None, **content: object) -> None:
        """Create or change an object."""
        kind = "MODIFIED" if name in self.objects[path] else "ADDED"
        self.version += 1
        metadata = {"name": name, "resourceVersion": str(self.version), **({"annotations": annotations} if annotations else {})}
        item = {"metadata": metadata, **content}
        self.objects[path][name] = item
        self._publish(path, {"type": kind, "object": item})

    def delete(self, path: str, name: str) -> None:
        """Delete an object."""
        self.version += 1
        item = self.objects[path].pop(name)
        item = {**item, "metadata": {**item["metadata"], "resourceVersion": str(self.version)}}
        self._publish(path, {"type": "DELETED", "object": item})

    async def patch(self, request: web.Request) -> web.Response:
        """Merge annotations into an object."""
        path, name = f"/api/v1/{request.match_info['resource']}", request.match_info["name"]
        item = self.objects[path].get(name)
        if item is None:
            return web.json_response({"kind": "Status", "code": 404}, status=404)
        annotations = item["metadata"].get("annotations", {}) | (await request.json())["metadata"]["annotations"]
        content = {key: value for key, value in item.items() if key != "metadata"}
        self.put(path, name, annotations=annotations, **content)
        return web.json_response(self.objects[path][name])

    async def patch_status(self, request: web.Request) -> web.Response:
        """Merge the status of an Ingress."""
        path, name = "/apis/networking.k8s.io/v1/ingresses", request.match_info["name"]
        item = self.objects[path].get(name)
        if item is None:
            return web.json_response({"kind": "Status", "code": 404}, status=404)
        content = {key: value for key, value in item.items() if key != "metadata"}
        self.put(path, name, **content | await request.json())
        return web.json_response(self.objects[path][name])

    async def create_event(self, request: web.Request) -> web.Response:
        """Keep an Event; one of the same name is there already."""
        event = await request.json()
        if event["metadata"]["name"] in (known["metadata"]["name"] for known in self.events):
            return web.json_response({"kind": "Status", "code": 409}, status=409)
        self.events.append(event)
        return web.json_response(event, status=201)

    def bookmark(self, path: str) -> None:
        """Move the watchers' version on without a change."""
        self.version += 1
        self._publish(path, {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": str(self.version)}}})

    def send(self, event: dict | None) -> None:
        """Send any event, or (None) end every watch."""
        for queue in self._watchers:
            queue.put_nowait(("", event))

    def compact(self) -> None:
        """Forget the history: a watch from before now is told 410."""
        self.oldest_version = self.version
        self.history.clear()

    def _publish(self, path: str, event: dict) -> None:
        self.history.append((self.version, path, event))
        for queue in self._watchers:
            queue.put_nowait((path, event))

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """List or watch."""
        self.authorizations.add(request.headers.get("Authorization"))
        self.requests.append(request.query_string or "list")
        if "watch" not in request.query:
            if self.refuse_lists:
                self.refuse_lists -= 1
                return web.Response(status=503)
            items = list(self.objects[request.path].values())
            return web.json_response({"metadata": {"resourceVersion": str(self.version)}, "items": items})
        since = int(request.query["resourceVersion"])
        if since < self.oldest_version:
            return web.json_response({"kind": "Status", "code": 410}, status=410)
        queue: asyncio.Queue = asyncio.Queue()
        for version, path, event in self.history:
            if version > since:
                queue.put_nowait((path, event))
        self._watchers.add(queue)
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while (entry := await queue.get())[1] is not None:
                if entry[0] in ("", request.path):
                    await response.write(json.dumps(entry[1]).encode() + b"\n")
        finally:
            self._watchers.discard(queue)
        return response
