"""Where the proxy stands still: closed, nothing of it acts or answers, and what it is told waits, as in a stopped process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any

OnChange = Callable[[Collection[Mapping[str, Any]]], None]


class Gate:
    """Whoever acts for the proxy passes it first. Open at the start."""

    def __init__(self) -> None:
        self._open = asyncio.Event()
        self._open.set()
        self._missed: dict[OnChange, Callable[[], None]] = {}

    async def passed(self) -> None:
        """At once while it is open."""
        await self._open.wait()

    def taking(self, on_change: OnChange) -> OnChange:
        """The same; what comes while it is closed is taken once it opens, the last state alone."""

        def take(objects: Collection[Mapping[str, Any]]) -> None:
            if self._open.is_set():
                on_change(objects)
            else:
                self._missed[on_change] = partial(on_change, tuple(objects))

        return take

    def close(self) -> None:
        """Nothing passes from now on."""
        self._open.clear()

    def open(self) -> None:
        """Everything that waits passes."""
        self._open.set()
        missed, self._missed = self._missed, {}
        for take in missed.values():
            take()
