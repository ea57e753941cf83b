"""When the proxy writes rules, what it does when that fails, and what it reports."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from node_nft_model import NftModel
from node_world import AT_HERE, AT_THERE, HERE, NETWORK, NODE, THERE, rules, service, slice_of

from nodeagent.proxy.nftables import NftablesError, NftablesRules
from nodeagent.proxy.proxy import Proxy
from nodeagent.proxy.transaction import render_transaction
from testbed_init.events import RecordedEvents

MIN_S, SYNC_S = 1.0, 30.0


class Kernel:
    """The model as the proxy's writer; refuses as often as told."""

    def __init__(self) -> None:
        self.model = NftModel()
        self.transactions: list[str] = []
        self.refusals = 0

    def apply(self, transaction: str) -> None:
        self.transactions.append(transaction)
        if self.refusals:
            self.refusals -= 1
            raise NftablesError("No such file or directory")
        self.model.apply(transaction)


class Sleeper:
    """Sleeps that end when the test says so."""

    def __init__(self) -> None:
        self.asked_s: list[float] = []
        self._over = asyncio.Event()

    async def sleep(self, duration_s: float) -> None:
        self.asked_s.append(duration_s)
        self._over.clear()
        await self._over.wait()

    async def end(self) -> None:
        self._over.set()
        await settle()


async def settle() -> None:
    """Let every task come to its next wait."""
    for _ in range(10):
        await asyncio.sleep(0)


class World:
    def __init__(self, *, sync_s: float = SYNC_S) -> None:
        self.kernel, self.sleeper, self.events = Kernel(), Sleeper(), RecordedEvents()
        clock: Iterator[int] = itertools.count(10_000_000, 2_000_000)
        self.proxy = Proxy(
            node=NODE,
            rules=NftablesRules(NETWORK, self.kernel),
            events=self.events,
            clock=lambda: next(clock),
            min_sync_period_s=MIN_S,
            sync_period_s=sync_s,
            sleep=self.sleeper.sleep,
        )

    @contextlib.asynccontextmanager
    async def running(self, *endpoints: Any) -> Any:
        """Behind the first sync and its pause, when endpoints are given."""
        task = asyncio.create_task(self.proxy.run())
        try:
            await settle()
            if endpoints:
                self.proxy.on_services([service(version=3)])
                self.proxy.on_slices([slice_of(*endpoints, version=7)])
                await settle()
                await self.sleeper.end()
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    @property
    def committed(self) -> list[dict[str, object]]:
        return self.events.named("rules-committed")


@pytest.fixture
async def world() -> World:
    return World()


@pytest.mark.parametrize("first", ["services", "slices"])
async def test_no_rule_before_both_lists_are_known(world: World, first: str) -> None:
    tell = {
        "services": lambda: world.proxy.on_services([service()]),
        "slices": lambda: world.proxy.on_slices([slice_of(HERE)]),
    }
    async with world.running():
        tell.pop(first)()
        await settle()
        assert world.kernel.transactions == []
        assert not world.proxy.synced.is_set()
        tell.popitem()[1]()
        await settle()
        assert world.kernel.transactions == [render_transaction(None, rules(HERE))]
        assert world.proxy.synced.is_set()


async def test_cluster_without_services_is_in_sync_and_says_so(world: World) -> None:
    async with world.running():
        world.proxy.on_services([])
        world.proxy.on_slices([])
        await settle()
    assert [event["changed_services"] for event in world.committed] == [0]
    assert world.proxy.synced.is_set()


async def test_isolated_change_is_carried_out_at_once(world: World) -> None:
    async with world.running(HERE):
        world.proxy.on_slices([slice_of(HERE, THERE, version=8)])
        await settle()
        assert world.kernel.transactions[1:] == [render_transaction(rules(HERE), rules(HERE, THERE))]


async def test_changes_within_the_min_sync_period_wait_for_its_end_and_go_together(world: World) -> None:
    async with world.running(HERE):
        world.proxy.on_slices([slice_of(HERE, THERE, version=8)])
        await settle()
        world.proxy.on_slices([slice_of(version=9)])
        world.proxy.on_slices([slice_of(THERE, version=10)])
        await settle()
        assert len(world.kernel.transactions) == 2
        await world.sleeper.end()
        assert world.kernel.transactions[2:] == [render_transaction(rules(HERE, THERE), rules(THERE))]
    assert world.sleeper.asked_s == [MIN_S] * 3


async def test_event_says_what_was_committed_when_and_how_long_it_took(world: World) -> None:
    async with world.running(THERE, HERE):
        pass
    assert world.committed == [
        {
            "t_mono_ns": 12_000_000,
            "node": NODE,
            "revision": 7,
            "duration_ms": 2.0,
            "changed_services": 1,
            "endpoints": {"default/web:http": [AT_HERE, AT_THERE]},
        }
    ]


async def test_event_names_only_services_that_changed_and_those_that_went(world: World) -> None:
    other = service(name="other", clusterIP="10.3.241.153", version=4)
    async with world.running(HERE):
        world.proxy.on_services([service(version=3), other])
        await settle()
        await world.sleeper.end()
        world.proxy.on_services([other])
        await settle()
    assert [event["endpoints"] for event in world.committed[1:]] == [{"default/other:http": []}, {"default/web:http": []}]
    assert [event["revision"] for event in world.committed] == [7, 7, 7]


async def test_change_without_consequence_is_neither_written_nor_reported(world: World) -> None:
    async with world.running(HERE):
        world.proxy.on_slices([slice_of(HERE, version=8)])
        await settle()
    assert len(world.kernel.transactions) == 1
    assert len(world.committed) == 1


async def test_after_a_failure_the_next_event_writes_the_whole_table(world: World) -> None:
    async with world.running(HERE):
        world.kernel.refusals = 1
        world.proxy.on_slices([slice_of(HERE, THERE, version=8)])
        await settle()
        assert world.events.named("rules-failed") == [{"node": NODE, "error": "No such file or directory"}]
        assert len(world.committed) == 1
        await world.sleeper.end()
        world.proxy.on_slices([slice_of(THERE, version=9)])
        await settle()
        assert world.kernel.transactions[2:] == [render_transaction(None, rules(THERE))]
    assert [event["endpoints"] for event in world.committed[1:]] == [{"default/web:http": [AT_THERE]}]


async def test_failed_first_sync_does_not_make_the_node_ready(world: World) -> None:
    world.kernel.refusals = 1
    async with world.running(HERE):
        assert not world.proxy.synced.is_set()
        assert world.committed == []


async def test_failure_without_a_further_event_is_tried_again_after_the_sync_period() -> None:
    """Here as long as the min sync period, whose end is the test's to say."""
    world = World(sync_s=MIN_S)
    world.kernel.refusals = 2
    async with world.running(HERE):
        await world.sleeper.end()
        fresh = render_transaction(None, rules(HERE))
        assert world.kernel.transactions == [fresh, fresh, fresh]
        assert world.proxy.synced.is_set()
        await world.sleeper.end()
        assert len(world.kernel.transactions) == 3


async def test_success_is_not_repeated_without_an_event() -> None:
    world = World(sync_s=MIN_S)
    async with world.running(HERE):
        await world.sleeper.end()
        assert len(world.kernel.transactions) == 1


class Checked:
    """A writer whose rules somebody removes; counts how often it is asked."""

    checks_for_damage = True

    def __init__(self) -> None:
        self.asked = 0
        self.synced = 0

    def sync(self, ports: object) -> None:
        self.synced += 1

    def is_intact(self) -> bool:
        self.asked += 1
        return True


async def test_rules_are_looked_after_every_sync_period_however_often_there_are_changes() -> None:
    writer, now_ns, sleeper = Checked(), 0, Sleeper()

    def clock() -> int:
        return now_ns

    proxy = Proxy(
        node=NODE,
        rules=writer,
        events=RecordedEvents(),
        clock=clock,
        min_sync_period_s=0.0,
        sync_period_s=SYNC_S,
        sleep=sleeper.sleep,
    )
    task = asyncio.create_task(proxy.run())
    proxy.on_services([service()])
    for version in range(1, 13):
        now_ns += 10_000_000_000
        proxy.on_slices([slice_of(HERE, version=version)])
        await settle()
        await sleeper.end()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert writer.synced == 12
    assert writer.asked == 12 * 10 // SYNC_S


async def test_hints_follow_the_zone_that_the_node_is_labelled_with_now() -> None:
    world = World()
    here, there = (
        {"addresses": [ip], "nodeName": "node-2", "conditions": {}, "hints": {"forZones": [{"name": zone}]}}
        for ip, zone in (("10.0.1.2", "a"), ("10.0.2.2", "b"))
    )
    hinted = slice_of()
    hinted["endpoints"] = [here, there]
    world.proxy.on_services([service()])
    world.proxy.on_slices([hinted])
    for zone, expected in (("a", [AT_HERE]), ("b", [AT_THERE]), ("", [AT_HERE, AT_THERE])):
        world.proxy.on_zone(zone)
        assert world.proxy.sync()
        assert world.events.named("rules-committed")[-1]["endpoints"] == {"default/web:http": expected}
