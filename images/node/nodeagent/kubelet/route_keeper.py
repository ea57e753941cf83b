"""Keeps the kernel's routes to other nodes' pods those that the Node objects tell."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from ipaddress import IPv4Address, IPv4Network

from nodeagent.kubelet.network import NodeNetwork
from nodeagent.kubelet.routes import Object, read_routes
from testbed_init.events import EventSink


class RouteKeeper:
    """`on_nodes` takes note, `run` acts."""

    def __init__(self, *, node: str, network: NodeNetwork, events: EventSink) -> None:
        self._node = node
        self._network = network
        self._events = events
        self._routes: dict[IPv4Network, IPv4Address] = {}
        self._changed = asyncio.Event()

    def on_nodes(self, nodes: Collection[Object]) -> None:
        routes = read_routes(nodes, own=self._node)
        if routes != self._routes:
            self._routes = routes
            self._changed.set()

    async def run(self) -> None:
        """For ever."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            routes = dict(self._routes)
            await self._network.set_routes(routes)
            told = {str(network): str(gateway) for network, gateway in sorted(routes.items())}
            self._events.emit("routes-changed", node=self._node, routes=told)
