"""All objects of the cluster under one resourceVersion. Every change goes through `_commit`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from controlplane.clock import Clock
from controlplane.objects import Key, Object, key_of, with_metadata
from controlplane.store.history import Change, ChangeType, History
from controlplane.store.journal import Journal, JournalledChange

HISTORY_CAPACITY = 8192
"""Changes kept for each resource: tens of seconds of the busiest rescale; the journal keeps as many over a restart."""

Subscriber = Callable[[Change], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """An object and its JSON."""

    item: Object
    encoded: bytes


class ExistsError(Exception):
    """An object of that name exists."""


class AbsentError(Exception):
    """There is no object of that name."""


class VersionError(Exception):
    """The object has another resourceVersion by now."""


def encode(item: Object) -> bytes:
    """Compact JSON."""
    return json.dumps(item, separators=(",", ":"), ensure_ascii=False).encode()


class Store:
    """Objects by plural and key. Everything is synchronous: no other code runs between a check and its commit."""

    def __init__(
        self, *, journal: Journal, clock: Clock, plurals: Iterable[str], history_capacity: int = HISTORY_CAPACITY
    ) -> None:
        self._journal = journal
        self._clock = clock
        self._records: dict[str, dict[Key, Record]] = {plural: {} for plural in plurals}
        self._subscribers: list[Subscriber] = []
        self._version = 1
        self._histories: dict[str, History] = {}
        self._restore(history_capacity)

    def _restore(self, capacity: int) -> None:
        for plural, body in self._journal.objects():
            item = json.loads(body)
            self._records[plural][key_of(item)] = Record(item=item, encoded=body)
        kept = list(self._journal.changes())
        resumable_from = kept[0].version - 1 if kept else self._version
        for plural in self._records:
            self._histories[plural] = History(capacity=capacity, resumable_from=resumable_from)
        for entry in kept:
            self._version = entry.version
            self._histories[entry.plural].append(
                Change(
                    version=entry.version,
                    type=ChangeType(entry.type),
                    plural=entry.plural,
                    item=json.loads(entry.body),
                    before=None if entry.before is None else json.loads(entry.before),
                    encoded=entry.body,
                    t_mono_ns=0,
                )
            )

    @property
    def version(self) -> int:
        """The resourceVersion of the last commit."""
        return self._version

    def history(self, plural: str) -> History:
        return self._histories[plural]

    def subscribe(self, subscriber: Subscriber) -> None:
        """Call it within every commit, after the state has changed. It must neither change the store nor fail."""
        self._subscribers.append(subscriber)

    def find(self, plural: str, namespace: str, name: str) -> Object | None:
        record = self._records[plural].get((namespace, name))
        return None if record is None else record.item

    def record(self, plural: str, key: Key) -> Record | None:
        return self._records[plural].get(key)

    def items(self, plural: str, namespace: str | None = None) -> Iterator[Object]:
        """In order of creation; callers that show them sort them."""
        for key, record in list(self._records[plural].items()):
            if namespace is None or key[0] == namespace:
                yield record.item

    def records(self, plural: str, namespace: str | None = None) -> list[tuple[Key, Record]]:
        """In order of namespace and name, as etcd keeps them."""
        found = self._records[plural].items()
        return sorted((entry for entry in found if namespace is None or entry[0][0] == namespace), key=lambda entry: entry[0])

    def create(self, plural: str, item: Object) -> Object:
        """Raises ExistsError."""
        if key_of(item) in self._records[plural]:
            raise ExistsError(plural, key_of(item))
        return self._commit(ChangeType.ADDED, plural, item, None)

    def update(self, plural: str, item: Object) -> Object:
        """Replace the object; nothing is committed when nothing differs. A resourceVersion in `item` must be the current one.

        Raises:
            AbsentError, VersionError.
        """
        record = self._records[plural].get(key_of(item))
        if record is None:
            raise AbsentError(plural, key_of(item))
        current = record.item["metadata"]["resourceVersion"]
        if item["metadata"].get("resourceVersion") not in (None, "", current):
            raise VersionError(plural, key_of(item))
        if with_metadata(item, resourceVersion=current) == record.item:
            return record.item
        return self._commit(ChangeType.MODIFIED, plural, item, record.item)

    def delete(self, plural: str, key: Key) -> Object:
        """Remove the object and return its last state. Raises AbsentError."""
        record = self._records[plural].get(key)
        if record is None:
            raise AbsentError(plural, key)
        return self._commit(ChangeType.DELETED, plural, record.item, record.item)

    def _commit(self, kind: ChangeType, plural: str, item: Object, before: Object | None) -> Object:
        version = self._version + 1
        item = with_metadata(item, resourceVersion=str(version))
        encoded = encode(item)
        key = key_of(item)
        old = None if before is None else self._records[plural][key].encoded
        self._journal.write(JournalledChange(version=version, type=kind, plural=plural, body=encoded, before=old), key)
        self._version = version
        if kind is ChangeType.DELETED:
            del self._records[plural][key]
        else:
            self._records[plural][key] = Record(item=item, encoded=encoded)
        change = Change(
            version=version,
            type=kind,
            plural=plural,
            item=item,
            before=before,
            encoded=encoded,
            t_mono_ns=self._clock.monotonic_ns(),
        )
        self._histories[plural].append(change)
        for subscriber in self._subscribers:
            subscriber(change)
        return item
