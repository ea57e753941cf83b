"""Follows the rules that a kube-proxy of the user's own writes: Ready once they stand, `rules-committed` from what is read back.

The kernel tells each commit on netlink, and then the table is read: what is reported stands in the kernel, whoever put it there.
Which revision of the objects it follows, and how long the writer took, cannot be seen from outside: both are null.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import aiohttp

from nodeagent.observer.commits import Commits, KernelCommits
from nodeagent.observer.tables import Programmed, read_iptables, read_nftables
from testbed_init.events import Clock, EventSink

HEALTHZ = "http://127.0.0.1:10256/healthz"
POLL_S = 0.1
ANSWER_S = 1.0
READ_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """How a mode's rules are read: a command, and what its output says."""

    argv: tuple[str, ...]
    read: Callable[[str], Programmed | None]


TABLES = {
    "nftables": Table(argv=("nft", "--json", "list", "table", "ip", "kube-proxy"), read=read_nftables),
    "iptables": Table(argv=("iptables-save", "-t", "nat"), read=read_iptables),
}


class RulesObserver:
    """`synced` is set once kube-proxy says that it is healthy and its rules are in the kernel."""

    def __init__(self, *, node: str, mode: str, events: EventSink, clock: Clock) -> None:
        self._node = node
        self._table = TABLES[mode]
        self._events = events
        self._clock = clock
        self._programmed: Programmed = {}
        self._stands = asyncio.Event()
        self.synced = asyncio.Event()

    async def run(self) -> None:
        """Until cancelled."""
        with KernelCommits(self._clock) as commits:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self.follow(commits, self._read))
                tasks.create_task(self._await_healthy())

    async def follow(self, commits: Commits, read: Callable[[], Awaitable[str]]) -> None:
        """Reports what `read` finds after each commit, until cancelled."""
        # What stands already was committed before anybody listened: an agent that was restarted.
        committed_ns = self._clock()
        while True:
            output = await read()
            # A reading may hold what was committed while it went on, or not: the report may be late by it, and never early,
            # and the table is read again.
            meanwhile_ns = commits.told_ns()
            self._report(output, meanwhile_ns or committed_ns)
            committed_ns = meanwhile_ns or await commits.next_ns()

    async def _read(self) -> str:
        """What the mode's command prints; empty when it fails, as nft does while there is no such table."""
        process = await asyncio.create_subprocess_exec(
            *self._table.argv, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        try:
            async with asyncio.timeout(READ_S):
                output, errors = await process.communicate()
        except TimeoutError:
            process.kill()
            await process.wait()
            self._events.emit("rules-failed", node=self._node, error=f"{self._table.argv[0]}: no answer within {READ_S:g} s")
            return ""
        if process.returncode != 0 and self._stands.is_set():
            text = errors.decode(errors="replace").strip()
            self._events.emit("rules-failed", node=self._node, error=f"{self._table.argv[0]}: {text}")
        return output.decode() if process.returncode == 0 else ""

    def _report(self, output: str, committed_ns: int) -> None:
        programmed = self._table.read(output) if output else None
        first = not self._stands.is_set()
        if programmed is None and (first or not output):
            return
        before, self._programmed = self._programmed, programmed or {}
        self._stands.set()
        changed = {key: sorted(targets) for key, targets in self._programmed.items() if before.get(key) != targets}
        changed.update({key: [] for key in before.keys() - self._programmed.keys()})
        if changed or first:
            self._events.emit(
                "rules-committed",
                t_mono_ns=committed_ns,
                node=self._node,
                revision=None,
                duration_ms=None,
                changed_services=len(changed),
                endpoints=dict(sorted(changed.items())),
                writer="kube-proxy",
            )

    async def _await_healthy(self) -> None:
        await self._stands.wait()
        timeout = aiohttp.ClientTimeout(total=ANSWER_S)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            while not await _is_healthy(session):
                await asyncio.sleep(POLL_S)
        self.synced.set()


async def _is_healthy(session: aiohttp.ClientSession) -> bool:
    try:
        async with session.get(HEALTHZ) as response:
            return response.status == 200
    except (aiohttp.ClientError, TimeoutError, OSError):
        return False
