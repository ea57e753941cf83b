"""The latest changes of one resource: the only buffer between the store and its watchers.

A watcher holds a position in it. One that reads too slowly finds its position gone and is told so; nobody waits for it.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from dataclasses import dataclass
from enum import StrEnum

from controlplane.objects import Object


class ChangeType(StrEnum):
    ADDED = "ADDED"
    MODIFIED = "MODIFIED"
    DELETED = "DELETED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One commit. `encoded` is the JSON of `item`; after a deletion `item` is the last state with the deletion's version."""

    version: int
    type: ChangeType
    plural: str
    item: Object
    before: Object | None
    encoded: bytes
    t_mono_ns: int


class HistoryGoneError(Exception):
    """The changes after this version are not kept any more."""

    def __init__(self, oldest: int) -> None:
        super().__init__(f"changes are kept from version {oldest} on")
        self.oldest = oldest


class History:
    """Changes in order of their versions, at least the latest `capacity` of them."""

    def __init__(self, *, capacity: int, resumable_from: int) -> None:
        """`resumable_from`: the oldest version a watch may continue from."""
        self._capacity = capacity
        self._changes: list[Change] = []
        self._versions: list[int] = []
        self._dropped = 0
        self._resumable_from = resumable_from
        self._waiting: set[asyncio.Event] = set()

    @property
    def end(self) -> int:
        """The position after the last change."""
        return self._dropped + len(self._changes)

    def append(self, change: Change) -> None:
        if len(self._changes) >= 2 * self._capacity:
            # Half at once, so that the cost of moving the list is spread over as many appends.
            self._resumable_from = self._versions[self._capacity - 1]
            del self._changes[: self._capacity]
            del self._versions[: self._capacity]
            self._dropped += self._capacity
        self._changes.append(change)
        self._versions.append(change.version)
        for waiting in self._waiting:
            waiting.set()

    def position_after(self, version: int) -> int:
        """Where the changes after `version` begin.

        Raises:
            HistoryGoneError: some of them are not kept any more.
        """
        if version < self._resumable_from:
            raise HistoryGoneError(self._resumable_from)
        return self._dropped + bisect_right(self._versions, version)

    def read(self, position: int, limit: int) -> list[Change]:
        """Up to `limit` changes from `position` on.

        Raises:
            HistoryGoneError: the reader fell too far behind.
        """
        if position < self._dropped:
            raise HistoryGoneError(self._resumable_from)
        start = position - self._dropped
        return self._changes[start : start + limit]

    def subscribe(self, waiting: asyncio.Event) -> None:
        """Set `waiting` after every change."""
        self._waiting.add(waiting)

    def unsubscribe(self, waiting: asyncio.Event) -> None:
        self._waiting.discard(waiting)
