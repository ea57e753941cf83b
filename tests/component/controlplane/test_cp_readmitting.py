"""What ends a drain when nobody is left to end it: asked of the real API."""

import asyncio
import http.client

import pytest
from cp_http import TOKEN, Api, serve
from cp_world import World

from testbed_init.readmitting import EXCLUDE_LABEL, readmit

NODE = "/api/v1/nodes/node-1"


async def readmitted(api: Api, node: str, token: str = TOKEN) -> str:
    async with api.client.get("/healthz") as response:
        host, port = str(response.url.host), response.url.port
    connection = http.client.HTTPConnection(host, port, timeout=5)
    try:
        return await asyncio.to_thread(readmit, node, {"token": token}, connection)
    finally:
        connection.close()
        api.world.settle()


async def test_drained_node_may_have_pods_and_connections_again_and_keeps_everything_else() -> None:
    world = World()
    world.add_node("node-1")
    async with serve(world) as api:
        _, before = await api.ask("GET", NODE)
        drained = {"metadata": {"labels": {EXCLUDE_LABEL: "true"}}, "spec": {"unschedulable": True}}
        await api.ask("PATCH", NODE, drained, headers={"Content-Type": "application/merge-patch+json"})
        for _ in range(2):
            assert await readmitted(api, "node-1") == "node-1 is schedulable, and for load balancers"
        _, after = await api.ask("GET", NODE)
    assert after["spec"] == before["spec"]
    assert (after["metadata"].get("labels") or {}) == (before["metadata"].get("labels") or {})


async def test_node_that_is_gone_needs_nothing_and_a_refusal_is_an_error() -> None:
    async with serve(World()) as api:
        assert await readmitted(api, "node-9") == "node-9 is gone"
        with pytest.raises(OSError, match="PATCH of node-9: HTTP 401"):
            await readmitted(api, "node-9", token="wrong")
