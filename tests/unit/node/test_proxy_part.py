"""The proxy as a part of the agent: held still, ended and started anew by signals, each as it would be for a process of its own."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from node_nft_model import NftModel
from node_world import HERE, NETWORK, NODE, THERE, rules, service, slice_of

from nodeagent.proxy.gate import Gate, OnChange
from nodeagent.proxy.health import ProxyHealth
from nodeagent.proxy.health_servers import HealthCheckServers
from nodeagent.proxy.nftables import NftablesRules
from nodeagent.proxy.part import ProxyPart
from nodeagent.proxy.proxy import Proxy
from nodeagent.proxy.transaction import render_transaction
from testbed_init.events import RecordedEvents

ADDRESS, PORT = "127.77.0.2", 31999
CHECKED: dict[str, Any] = {"type": "LoadBalancer", "externalTrafficPolicy": "Local", "healthCheckNodePort": PORT}


class Kernel:
    def __init__(self) -> None:
        self.model = NftModel()
        self.transactions: list[str] = []

    def apply(self, transaction: str) -> None:
        self.transactions.append(transaction)
        self.model.apply(transaction)


class Duties:
    """The one of the proxy's that needs no port of its own on this machine: a health check node port."""

    def __init__(self, gate: Gate, events: RecordedEvents, clock: Callable[[], int]) -> None:
        health = ProxyHealth(node=NODE, timeout_s=60, clock=clock, now=lambda: None)  # type: ignore[arg-type, return-value]
        self.checks = HealthCheckServers(node=NODE, addresses=(ADDRESS,), health=health, events=events, gate=gate)
        self.nodes: list[object] = []

    def noting(self, on_change: OnChange) -> OnChange:
        return on_change

    def on_nodes(self, nodes: Any) -> None:
        self.nodes.append(tuple(nodes))

    async def run(self) -> None:
        await self.checks.run()


class Watch:
    """Tells the cluster as it is when it begins, and then whatever the test says."""

    def __init__(self, world: World, on_change: OnChange, kind: str) -> None:
        self.world, self.on_change, self.kind = world, on_change, kind

    async def run(self) -> None:
        self.tell()
        self.world.living.append(self)
        try:
            await asyncio.Event().wait()
        finally:
            self.world.living.remove(self)

    def tell(self) -> None:
        self.on_change(self.world.cluster[self.kind])


class World:
    def __init__(self, file: Path) -> None:
        clock = itertools.count(10_000_000, 1_000_000)
        self.events, self.kernel, self.file = RecordedEvents(), Kernel(), file
        self.clock = lambda: next(clock)
        self.cluster: dict[str, list[Any]] = {"services": [service(**CHECKED)], "slices": [slice_of(HERE)]}
        self.living: list[Watch] = []
        self.duties: list[Duties] = []
        self.part = ProxyPart(
            make=self.make,
            watches=lambda services, slices: (Watch(self, services, "services"), Watch(self, slices, "slices")),
            zone_of=lambda nodes: "",
            clock=self.clock,
            file=file,
        )

    def make(self, gate: Gate) -> tuple[Duties, Proxy]:
        duties = Duties(gate, self.events, self.clock)
        self.duties.append(duties)
        proxy = Proxy(
            node=NODE,
            rules=NftablesRules(NETWORK, self.kernel),
            events=self.events,
            clock=self.clock,
            min_sync_period_s=0.0,
            sync_period_s=30.0,
            after_commit=lambda ports, slices: duties.checks.after_commit(ports),
            gate=gate,
        )
        return duties, proxy

    def change(self, *endpoints: Any) -> None:
        self.cluster["slices"] = [slice_of(*endpoints, version=9)]
        for watch in self.living:
            watch.tell()

    @property
    def state(self) -> tuple[int, str]:
        pid, state, _ = self.file.read_text().split()
        return int(pid), state

    async def signalled(self, number: int) -> None:
        os.kill(os.getpid(), number)
        await asyncio.sleep(0.02)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = World(tmp_path / "rule-writer")
    world.part.listen()
    running = asyncio.create_task(world.part.run())
    await asyncio.wait_for(world.part.synced.wait(), 5)
    await asyncio.sleep(0.02)
    yield world
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP):
        asyncio.get_running_loop().remove_signal_handler(number)


async def ask() -> str:
    """`refused`, `silence`, or the status."""
    try:
        reader, writer = await asyncio.open_connection(ADDRESS, PORT)
    except ConnectionRefusedError:
        return "refused"
    try:
        writer.write(b"GET / HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n")
        return (await asyncio.wait_for(reader.readline(), 0.1)).split()[1].decode()
    except TimeoutError:
        return "silence"
    finally:
        writer.close()


async def test_paused_it_accepts_and_never_answers_writes_nothing_and_catches_up_with_the_last_state(world: World) -> None:
    assert await ask() == "200"
    await world.signalled(signal.SIGUSR1)
    assert world.state == (os.getpid(), "paused")
    written = list(world.kernel.transactions)
    world.change(THERE)
    world.change(HERE, THERE)
    await asyncio.sleep(0.02)
    assert world.kernel.transactions == written
    assert await ask() == "silence"
    await world.signalled(signal.SIGHUP)
    assert world.state == (os.getpid(), "running")
    # One sync of what it is now, and only of what is different from what it wrote before.
    assert world.kernel.transactions == [*written, render_transaction(rules(HERE, **CHECKED), rules(HERE, THERE, **CHECKED))]
    assert await ask() == "200"


async def test_ended_nobody_listens_and_a_new_one_starts_with_a_full_sync(world: World) -> None:
    await world.signalled(signal.SIGUSR2)
    assert world.state == (os.getpid(), "ended")
    assert await ask() == "refused"
    assert world.living == []
    written = list(world.kernel.transactions)
    world.change(HERE, THERE)
    assert world.kernel.transactions == written
    assert world.part.synced.is_set()
    await world.signalled(signal.SIGHUP)
    assert world.kernel.transactions == [*written, render_transaction(None, rules(HERE, THERE, **CHECKED))]
    assert await ask() == "200"


async def test_one_that_is_paused_can_be_ended_and_an_order_for_what_it_is_changes_nothing(world: World) -> None:
    for number, state in (
        (signal.SIGHUP, "running"),
        (signal.SIGUSR1, "paused"),
        (signal.SIGUSR1, "paused"),
        (signal.SIGUSR2, "ended"),
        (signal.SIGUSR1, "ended"),
        (signal.SIGHUP, "running"),
    ):
        await world.signalled(number)
        assert world.state == (os.getpid(), state)
    assert len(world.duties) == 2


async def test_a_start_that_is_ordered_while_it_is_ending_is_not_lost(world: World) -> None:
    os.kill(os.getpid(), signal.SIGUSR2)
    os.kill(os.getpid(), signal.SIGHUP)
    await asyncio.sleep(0.05)
    assert world.state == (os.getpid(), "running")
    assert await ask() == "200"


async def test_nodes_are_known_to_the_next_one_too(world: World) -> None:
    world.part.on_nodes([{"metadata": {"name": NODE}}])
    await world.signalled(signal.SIGUSR2)
    world.part.on_nodes([{"metadata": {"name": "node-2"}}])
    await world.signalled(signal.SIGHUP)
    assert world.duties[1].nodes == [({"metadata": {"name": "node-2"}},)]


async def test_a_defect_of_the_proxy_ends_the_agent_as_before(tmp_path: Path) -> None:
    world = World(tmp_path / "rule-writer")
    world.cluster["services"] = [{"metadata": {"resourceVersion": "1"}}]
    with pytest.raises(ExceptionGroup):
        await asyncio.wait_for(world.part.run(), 5)
