"""The API of a World over HTTP on loopback, asked with aiohttp."""

import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from cp_world import World

from controlplane.__main__ import listen
from controlplane.settings import Bind

TOKEN = "secret"


class Api:
    def __init__(self, client: aiohttp.ClientSession, world: World) -> None:
        self.client = client
        self.world = world

    async def ask(self, method: str, path: str, body: Any = None, **options: Any) -> tuple[int, Any]:
        """Status and decoded answer; a body is sent as JSON unless it is bytes."""
        headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json", **options.pop("headers", {})}
        data = body if isinstance(body, bytes | type(None)) else json.dumps(body).encode()
        if data is not None and len(data) > 1_000_000:
            data = io.BytesIO(data)
        async with self.client.request(method, path, data=data, headers=headers, **options) as response:
            answer = await response.read()
            self.world.settle()
            try:
                return response.status, json.loads(answer)
            except ValueError:
                return response.status, answer.decode()

    def watch(self, path: str, **query: str) -> "Watch":
        return Watch(self.client, path, {"watch": "true", **query})


class Watch:
    """A watch as an asynchronous context; `next` gives its events one by one, None at its end."""

    def __init__(self, client: aiohttp.ClientSession, path: str, query: dict[str, str]) -> None:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        self._context = client.get(path, params=query, headers=headers, timeout=aiohttp.ClientTimeout(total=20))
        self.response: aiohttp.ClientResponse

    async def __aenter__(self) -> "Watch":
        self.response = await self._context.__aenter__()
        return self

    async def __aexit__(self, *error: Any) -> None:
        self.response.close()

    async def next(self) -> Any:
        line = await self.response.content.readline()
        return json.loads(line) if line else None


@asynccontextmanager
async def serve(world: World) -> AsyncIterator[Api]:
    runner = await listen(world.cluster, Bind(host="127.0.0.1", port=0), token=TOKEN, tls=None)
    port = runner.addresses[0][1]
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}", connector=aiohttp.TCPConnector(limit=0)) as client:
            yield Api(client, world)
    finally:
        await runner.cleanup()
