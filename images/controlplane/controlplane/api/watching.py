"""Watches: each reads the history of its resource from its own position, at its own pace.

Source: Kubernetes API concepts, "Efficient detection of changes"; KEP-956 (bookmarks), KEP-3157 (streaming lists).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Iterator
from itertools import chain

from aiohttp import web

from controlplane.api.negotiation import negotiate
from controlplane.api.paths import Target
from controlplane.api.queries import Query, read_flag, read_number, read_predicate, read_version
from controlplane.api.reading import OBJECT_FORMS, check_reachable, partial_metadata, present
from controlplane.api.tables import render_table
from controlplane.cluster import Cluster
from controlplane.errors import FieldError, expired, forbidden_field, invalid
from controlplane.kinds.resource import Resource
from controlplane.objects import Object, with_metadata
from controlplane.selectors import Predicate, selects_everything
from controlplane.store.history import Change, ChangeType, HistoryGoneError

BATCH = 256
PIECE_BYTES = 64 * 1024
"""What is put into one write, so that a thousand clients that do not read cost tens of megabytes and not all memory there is."""
BOOKMARK_EVERY_S = 30.0
DEFAULT_TIMEOUT_S = 1800
ABORT_GRACE_S = 5.0
INITIAL_EVENTS_END = "k8s.io/initial-events-end"

Encode = Callable[[str, Object, bytes | None], bytes]
"""The line of an event: its type, its object, and the object's JSON where it is at hand."""


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


def _line(kind: str, encoded: bytes) -> bytes:
    return b'{"type":"' + kind.encode() + b'","object":' + encoded + b"}\n"


def _dump(value: Object) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


class _Watch:
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
        return _line("BOOKMARK", _dump(item))


def _encoder(cluster: Cluster, resource: Resource, representation: str, include: str) -> Encode:
    if representation == "Table":
        is_first = True

        def encode_table(kind: str, item: Object, encoded: bytes | None) -> bytes:
            nonlocal is_first
            metadata = {"resourceVersion": item["metadata"]["resourceVersion"]}
            table = render_table(
                resource, [item], now=cluster.clock.now(), metadata=metadata, include=include, with_columns=is_first
            )
            is_first = False
            return _line(kind, _dump(table))

        return encode_table
    if representation:
        return lambda kind, item, encoded: _line(kind, _dump(partial_metadata(item)))
    if resource.from_stored is not None:
        return lambda kind, item, encoded: _line(kind, _dump(present(resource, item)))
    return lambda kind, item, encoded: _line(kind, _dump(item) if encoded is None else encoded)


def _check(target: Target, query: Query) -> None:
    errors: list[FieldError] = []
    match = query.get("resourceVersionMatch", "")
    if "sendInitialEvents" in query:
        if match != "NotOlderThan":
            errors.append(
                forbidden_field("resourceVersionMatch", "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan")
            )
    elif match:
        errors.append(
            forbidden_field(
                "resourceVersionMatch", "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"
            )
        )
    if errors:
        raise invalid("ListOptions", "meta.k8s.io", "", errors)


async def answer_watch(cluster: Cluster, target: Target, request: web.BaseRequest) -> web.StreamResponse:
    """Stream events until the time is up, the client leaves, or it falls too far behind."""
    query = request.query
    resource = target.resource
    form = negotiate(request.headers.get("Accept", ""), supported=OBJECT_FORMS)
    _check(target, query)
    version = read_version(query)
    check_reachable(cluster, version)
    timeout_s = read_number(query, "timeoutSeconds") or DEFAULT_TIMEOUT_S
    wants_bookmarks = read_flag(query, "allowWatchBookmarks")
    wants_initial = read_flag(query, "sendInitialEvents") if "sendInitialEvents" in query else not version
    watch = _Watch(
        cluster=cluster,
        resource=resource,
        predicate=read_predicate(target, query),
        encode=_encoder(cluster, resource, form.representation, query.get("includeObject", "Metadata")),
    )
    opening: Iterator[bytes] = iter(())
    ends_initial = False
    if wants_initial:
        opening = watch.initial(target.namespace)
        ends_initial = wants_bookmarks and read_flag(query, "sendInitialEvents")
    elif version:
        try:
            watch.start_after(version)
        except HistoryGoneError as error:
            # A real API server opens the stream and says so in it; clients accept both, and this one is seen in curl too.
            raise expired(version, error.oldest) from None
    response = web.StreamResponse(headers={"Content-Type": "application/json", "Cache-Control": "no-cache, private"})
    await response.prepare(request)
    if ends_initial:
        opening = chain(opening, (watch.bookmark(ends_initial=True),))
    await _stream(watch, cluster, resource, request, response, opening, timeout_s, wants_bookmarks)
    return response


async def _stream(
    watch: _Watch,
    cluster: Cluster,
    resource: Resource,
    request: web.BaseRequest,
    response: web.StreamResponse,
    opening: Iterator[bytes],
    timeout_s: float,
    wants_bookmarks: bool,
) -> None:
    loop = asyncio.get_running_loop()
    history = cluster.store.history(resource.stored)
    changed = asyncio.Event()
    ends_at = loop.time() + timeout_s
    bookmark_at = loop.time() + min(BOOKMARK_EVERY_S, timeout_s / 2)
    # A client that stopped reading blocks the write: then the connection goes, not the server.
    timers = [loop.call_at(ends_at, changed.set), loop.call_at(ends_at + ABORT_GRACE_S, _abort, request)]
    history.subscribe(changed)
    try:
        # The head must leave at once, or the client waits for its first event to know that it watches.
        await response.write(b"")
        for piece in opening:
            await response.write(piece)
        while True:
            changed.clear()
            try:
                lines = watch.next_lines()
            except HistoryGoneError as error:
                status = expired(0, error.oldest).render()
                status["message"] = f"too old resource version: the watch fell behind; changes are kept from {error.oldest}"
                await response.write(_line("ERROR", _dump(status)))
                return
            now = loop.time()
            if lines:
                await response.write(lines)
            if lines is not None:
                continue
            if wants_bookmarks and now >= bookmark_at:
                await response.write(watch.bookmark())
                bookmark_at = now + BOOKMARK_EVERY_S
            if now >= ends_at:
                if wants_bookmarks:
                    await response.write(watch.bookmark())
                return
            wake = loop.call_at(min(bookmark_at, ends_at), changed.set) if wants_bookmarks else None
            await changed.wait()
            if wake is not None:
                wake.cancel()
    except ConnectionError:
        return  # the client left
    finally:
        history.unsubscribe(changed)
        for timer in timers:
            timer.cancel()


def _abort(request: web.BaseRequest) -> None:
    if request.transport is not None:
        request.transport.abort()
