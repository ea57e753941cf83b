"""Watches: each reads the history of its resource from its own position, at its own pace.

Source: Kubernetes API concepts, "Efficient detection of changes"; KEP-956 (bookmarks), KEP-3157 (streaming lists).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import chain

from aiohttp import web

from controlplane.api.negotiation import negotiate
from controlplane.api.options import check_watch_options
from controlplane.api.paths import Target
from controlplane.api.queries import read_flag, read_number, read_predicate, read_version
from controlplane.api.reading import OBJECT_FORMS, check_reachable
from controlplane.api.watch_view import WatchView, dump, make_encoder, render_line
from controlplane.cluster import Cluster
from controlplane.errors import expired
from controlplane.kinds.resource import Resource
from controlplane.store.history import HistoryGoneError

HEADERS = {"Content-Type": "application/json", "Cache-Control": "no-cache, private"}
BOOKMARK_EVERY_S = 30.0
DEFAULT_TIMEOUT_S = 1800
ABORT_GRACE_S = 5.0


async def answer_watch(cluster: Cluster, target: Target, request: web.BaseRequest) -> web.StreamResponse:
    """Stream events until the time is up, the client leaves, or it falls too far behind."""
    query = request.query
    resource = target.resource
    form = negotiate(request.headers.get("Accept", ""), supported=OBJECT_FORMS)
    check_watch_options(query)
    version = read_version(query)
    check_reachable(cluster, version)
    timeout_s = read_number(query, "timeoutSeconds") or DEFAULT_TIMEOUT_S
    wants_bookmarks = read_flag(query, "allowWatchBookmarks")
    wants_initial = read_flag(query, "sendInitialEvents") if "sendInitialEvents" in query else not version
    watch = WatchView(
        cluster=cluster,
        resource=resource,
        predicate=read_predicate(target, query),
        encode=make_encoder(cluster, resource, form.representation, query.get("includeObject", "Metadata")),
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
            # In the stream, as everything that goes wrong once a watch is allowed (apiserver, storage/cacher, newErrWatcher).
            return await _answer_expired(request, version, error.oldest)
    response = web.StreamResponse(headers=HEADERS)
    await response.prepare(request)
    if ends_initial:
        opening = chain(opening, (watch.bookmark(ends_initial=True),))
    await _stream(watch, cluster, resource, request, response, opening, timeout_s, wants_bookmarks)
    return response


async def _answer_expired(request: web.BaseRequest, version: int, oldest: int) -> web.StreamResponse:
    response = web.StreamResponse(headers=HEADERS)
    await response.prepare(request)
    await response.write(render_line("ERROR", dump(expired(version, oldest).render())))
    return response


async def _stream(
    watch: WatchView,
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
                await response.write(render_line("ERROR", dump(status)))
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
