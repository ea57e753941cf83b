"""Keeps what the daemons announce as the cluster's state wants it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field

from nodeagent.speaker.speech import Announcement, ClusterState, Object, reason_for_silence
from nodeagent.speaker.voice import Voice
from testbed_init.events import EventSink

REPEAT_S = 0.5
"""A daemon that was started again is silent until it is told."""


@dataclass(slots=True, kw_only=True)
class Speaker:
    node: str
    announcements: Iterable[Announcement]
    voice: Voice
    events: EventSink
    _collections: dict[str, Collection[Object]] = field(default_factory=dict)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _said: dict[str, bool] = field(default_factory=dict)

    def noting(self, resource: str) -> Callable[[Collection[Object]], None]:
        """What a watch of `services`, `endpointslices` or `nodes` calls."""

        def note(objects: Collection[Object]) -> None:
            self._collections[resource] = tuple(objects)
            self._changed.set()

        return note

    async def run(self) -> None:
        """Until cancelled. Nothing is said before each resource was listed once."""
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), REPEAT_S)
            self._changed.clear()
            await self.say_all()

    async def say_all(self) -> None:
        if not {"services", "endpointslices", "nodes"} <= set(self._collections):
            return
        found = self._collections
        state = ClusterState(services=found["services"], slices=found["endpointslices"], nodes=found["nodes"])
        for announcement in self.announcements:
            await self._say(announcement, reason_for_silence(announcement, state, self.node))

    async def _say(self, announcement: Announcement, silence: str | None) -> None:
        aloud = silence is None
        try:
            await self.voice.say(announcement, aloud=aloud)
        except (OSError, TimeoutError):
            self._said.pop(announcement.path, None)
            return  # the daemon is not there yet, or not any more: told again soon
        if self._said.get(announcement.path) != aloud:
            self._said[announcement.path] = aloud
            self.events.emit("announcement", path=announcement.path, node=self.node, is_announced=aloud, reason=silence or "")
