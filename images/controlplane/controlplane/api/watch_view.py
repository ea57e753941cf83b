"""What one client of a watch sees of a resource's history: its position, its selection, and the form of its lines.

No clock and no connection: when lines are asked for and where they go is `api.watching`'s.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator

from controlplane.api.reading import partial_metadata, present
from controlplane.api.tables import render_table
from controlplane.cluster import Cluster
from controlplane.kinds.resource import Resource
from controlplane.objects import Object, with_metadata
from controlplane.selectors import Predicate, selects_everything
from controlplane.store.history import Change, ChangeType

BATCH = 256
PIECE_BYTES = 64 * 1024
"""What is put into one write, so that a thousand clients that do not read cost tens of megabytes and not all memory there is."""
INITIAL_EVENTS_END = "k8s.io/initial-events-end"

Encode = Callable[[str, Object, bytes | None], bytes]
"""The line of an event: its type, its object, and the object's JSON where it is at hand."""


def render_line(kind: str, encoded: bytes) -> bytes:
    """One event of the stream."""
    return b'{"type":"' + kind.encode() + b'","object":' + encoded + b"}\n"


def dump(value: Object) -> bytes:
    """An object as its JSON."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


class WatchView:
    """One client's view: a position, a predicate and a form."""

    def __init__(self, *, cluster: Cluster, resource: Resource, predicate: Predicate, encode: Encode) -> None:
        self._cluster = cluster
        self._history = cluster.store.history(resource.stored)
        self._resource = resource
        self._predicate = predicate
        self._encode = encode
        self._position = self._history.end
        self._version = cluster.store.version

    def start_after(self, version: int) -> None:
        """Raises HistoryGoneError."""
        self._position = self._history.position_after(version)
        self._version = version

    def initial(self, namespace: str | None) -> Iterator[bytes]:
        """Every object as it is now as an ADDED event, in pieces that may be taken over time."""
        records = self._cluster.store.records(self._resource.stored, namespace)
        return _pieces(
            self._encode("ADDED", record.item, record.encoded) for _, record in records if self._predicate(record.item)
        )

    def next_lines(self) -> bytes | None:
        """The next events since the last call, None when there was no change at all. Raises HistoryGoneError."""
        changes = self._history.read(self._position, BATCH)
        if not changes:
            return None
        lines: list[bytes] = []
        size_bytes = 0
        for change in changes:
            if line := self._event(change):
                lines.append(line)
                size_bytes += len(line)
            self._position += 1
            self._version = change.version
            if size_bytes >= PIECE_BYTES:
                break
        return b"".join(lines)

    def _event(self, change: Change) -> bytes | None:
        if self._predicate is selects_everything:
            return self._encode(change.type, change.item, change.encoded)
        # An object that begins or ceases to match appears or disappears for this client.
        was = change.before is not None and self._predicate(change.before)
        selected = change.type is not ChangeType.DELETED and self._predicate(change.item)
        if selected:
            return self._encode("MODIFIED" if was else "ADDED", change.item, change.encoded)
        if was and change.before is not None:
            return self._encode("DELETED", with_metadata(change.before, resourceVersion=str(change.version)), None)
        return None

    def bookmark(self, *, ends_initial: bool = False) -> bytes:
        """Where the client may resume: nothing of this resource happened since its last event."""
        if self._position == self._history.end:
            self._version = self._cluster.store.version
        metadata: Object = {"resourceVersion": str(self._version), "creationTimestamp": None}
        if ends_initial:
            metadata["annotations"] = {INITIAL_EVENTS_END: "true"}
        item: Object = {"kind": self._resource.kind, "apiVersion": self._resource.group_version, "metadata": metadata}
        return render_line("BOOKMARK", dump(item))


def make_encoder(cluster: Cluster, resource: Resource, representation: str, include: str) -> Encode:
    """`representation`: of the form that the client negotiated; empty for the objects themselves."""
    if representation == "Table":
        is_first = True

        def encode_table(kind: str, item: Object, encoded: bytes | None) -> bytes:
            nonlocal is_first
            metadata = {"resourceVersion": item["metadata"]["resourceVersion"]}
            table = render_table(
                resource, [item], now=cluster.clock.now(), metadata=metadata, include=include, with_columns=is_first
            )
            is_first = False
            return render_line(kind, dump(table))

        return encode_table
    if representation:
        return lambda kind, item, encoded: render_line(kind, dump(partial_metadata(item)))
    if resource.from_stored is not None:
        return lambda kind, item, encoded: render_line(kind, dump(present(resource, item)))
    return lambda kind, item, encoded: render_line(kind, dump(item) if encoded is None else encoded)


def _pieces(lines: Iterable[bytes]) -> Iterator[bytes]:
    """The lines together, a piece at a time."""
    piece: list[bytes] = []
    size_bytes = 0
    for line in lines:
        piece.append(line)
        size_bytes += len(line)
        if size_bytes >= PIECE_BYTES:
            yield b"".join(piece)
            piece, size_bytes = [], 0
    if piece:
        yield b"".join(piece)
