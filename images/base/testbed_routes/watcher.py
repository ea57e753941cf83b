"""Follows the kernel's routes, addresses and BIRD's log, and reports what changed. Must not change anything itself."""

from __future__ import annotations

import asyncio
from asyncio.subprocess import PIPE
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from testbed_init.events import EventSink
from testbed_routes.reading import BirdLog, read_address, read_route
from testbed_routes.settings import Settings

LINE_LIMIT_BYTES = 1 << 20
"""A route with 255 next hops is one line."""


@dataclass(slots=True, kw_only=True)
class Watcher:
    """States so far, so that each change is told once, however often the kernel tells it."""

    settings: Settings
    container: str
    events: EventSink
    routes: dict[IPv4Network, frozenset[IPv4Address]] = field(default_factory=dict)
    addresses: set[IPv4Address] = field(default_factory=set)
    log: BirdLog = field(init=False)

    def __post_init__(self) -> None:
        self.log = BirdLog(self.settings.nodes)

    def on_route(self, line: str) -> None:
        change = read_route(line)
        if change is None:
            return
        before = self.routes.get(change.destination, frozenset())
        self.routes[change.destination] = change.next_hops
        for event, hops in (("route-added", change.next_hops - before), ("route-withdrawn", before - change.next_hops)):
            for hop in sorted(hops):
                self.events.emit(
                    event,
                    destination=str(change.destination),
                    node=self.settings.nodes.get(str(hop), str(hop)),
                    next_hop=str(hop),
                    next_hops_left=len(change.next_hops),
                )

    def on_address(self, line: str) -> None:
        change = read_address(line)
        path = None if change is None else self.settings.virtual_addresses.get(str(change.address))
        if change is None or path is None or change.is_there == (change.address in self.addresses):
            return
        if change.is_there:
            self.addresses.add(change.address)
        else:
            self.addresses.remove(change.address)
        event = "vip-acquired" if change.is_there else "vip-released"
        self.events.emit(event, path=path, address=str(change.address), node=self.container)

    def on_log(self, line: str) -> None:
        told = self.log.read(line)
        if told is not None:
            self.events.emit(told.event, t_mono_ns=None, **told.fields)

    async def run(self) -> None:
        """Until cancelled. Raises when something that it follows ends."""
        async with asyncio.TaskGroup() as tasks:
            if self.settings.bird_log is not None:
                tasks.create_task(follow(tail(self.settings.bird_log), self.on_log))
                tasks.create_task(self._follow_kernel("route", self.on_route))
            if self.settings.virtual_addresses:
                tasks.create_task(self._follow_kernel("address", self.on_address))

    async def _follow_kernel(self, what: str, on_line: Callable[[str], None]) -> None:
        # What stands already is read after the monitor has begun; told twice, it counts once.
        begun = await asyncio.create_subprocess_exec("ip", "-4", "-oneline", "monitor", what, stdout=PIPE, limit=LINE_LIMIT_BYTES)
        shown = await asyncio.create_subprocess_exec("ip", "-4", "-oneline", what, "show", stdout=PIPE)
        for line in (await shown.communicate())[0].decode().splitlines():
            on_line(line)
        await read_lines(begun, on_line)


def tail(file: Path) -> Sequence[str]:
    """tail(1) waits for the file to be made, and by inotify(7) for its lines: BIRD never waits for us."""
    return ("tail", "--lines=+1", "--follow=name", "--retry", str(file))


async def follow(argv: Sequence[str], on_line: Callable[[str], None]) -> None:
    await read_lines(await asyncio.create_subprocess_exec(*argv, stdout=PIPE, limit=LINE_LIMIT_BYTES), on_line)


async def read_lines(process: asyncio.subprocess.Process, on_line: Callable[[str], None]) -> None:
    """Raises RuntimeError when the process ends: nobody would be told anything any more."""
    assert process.stdout is not None
    try:
        async for line in process.stdout:
            on_line(line.decode(errors="replace").rstrip("\n"))
        raise RuntimeError(f"what tells the changes ended with status {await process.wait()}")
    finally:
        if process.returncode is None:
            process.kill()
