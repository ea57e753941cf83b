"""List and watch of one Kubernetes resource: always on, with the last known state kept while the API is away.

Source: Kubernetes API concepts, "Efficient detection of changes": list, then watch from the list's resourceVersion;
410 Gone means to list again.
"""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import aiohttp

from testbed_init.events import Clock, EventSink

Object = Mapping[str, Any]
"""A Kubernetes object as decoded from JSON."""

WATCH_S = 300
READ_GRACE_S = 15
CONNECT_S = 3.0
LIST_S = 10.0
BACKOFF_FIRST_S = 0.05
BACKOFF_LAST_S = 2.0
SHORT_WATCH_NS = 1_000_000_000
"""A watch that ends sooner is taken for a failure, so that a server that always hangs up is not asked in a tight loop."""
UNREADABLE = (AttributeError, IndexError, KeyError, TypeError, ValueError)
"""How a function fails that reads an object which is not what it should be."""


class GoneError(Exception):
    """The resourceVersion is too old."""


class ApiError(Exception):
    """The API answered with an error, or with something that is not the protocol."""


class ResourceWatch:
    """Keeps the objects of one collection and calls `on_change` with all of them after every change.

    `read` is how `on_change` will read each object: one that it cannot read is left out and told once, so that what anybody may
    write into the API ends nobody who follows it.
    """

    def __init__(
        self,
        *,
        session: aiohttp.ClientSession,
        path: str,
        resource: str,
        on_change: Callable[[Collection[Object]], None],
        events: EventSink,
        clock: Clock,
        read: Callable[[Object], object] = lambda item: item,
    ) -> None:
        self._session = session
        self._path = path
        self._resource = resource
        self._on_change = on_change
        self._events = events
        self._clock = clock
        self._read = read
        self._unreadable: dict[tuple[str, str], str] = {}
        self._objects: dict[tuple[str, str], Object] = {}
        self._version: str | None = None
        self._lost = False
        self._backoff_s = BACKOFF_FIRST_S

    async def run(self) -> None:
        """Follow the collection for ever."""
        while True:
            try:
                if self._version is None:
                    await self._list()
                await self._follow()
            except GoneError:
                self._version = None
                await asyncio.sleep(BACKOFF_FIRST_S)
            except (aiohttp.ClientError, TimeoutError, OSError, ApiError) as error:
                self._report_loss(f"{type(error).__name__}: {error}".removesuffix(": "))
                await asyncio.sleep(self._backoff_s)
                self._backoff_s = min(self._backoff_s * 2, BACKOFF_LAST_S)

    async def _list(self) -> None:
        timeout = aiohttp.ClientTimeout(total=LIST_S, sock_connect=CONNECT_S)
        async with self._session.get(self._path, timeout=timeout) as response:
            if response.status != 200:
                raise ApiError(f"list: HTTP {response.status}")
            body = decode_object(await response.read())
        self._objects = {}
        present = {identify(item) for item in body["items"]}
        self._unreadable = {key: why for key, why in self._unreadable.items() if key in present}
        for item in body["items"]:
            self._take(item)
        self._version = str(body["metadata"]["resourceVersion"])
        self._report_resumed()
        self._on_change(self._objects.values())

    async def _follow(self) -> None:
        query = {
            "watch": "true",
            "resourceVersion": str(self._version),
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(WATCH_S),
        }
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S, sock_read=WATCH_S + READ_GRACE_S)
        started_ns = self._clock()
        async with self._session.get(self._path, params=query, timeout=timeout) as response:
            if response.status == 410:
                raise GoneError
            if response.status != 200:
                raise ApiError(f"watch: HTTP {response.status}")
            self._report_resumed()
            async for lines in split_lines(response.content):
                changed = [self._apply(decode_object(line)) for line in lines]
                self._backoff_s = BACKOFF_FIRST_S
                if any(changed):
                    self._on_change(self._objects.values())
        if self._clock() - started_ns < SHORT_WATCH_NS:
            raise ApiError("watch: ended at once")

    def _apply(self, event: Mapping[str, Any]) -> bool:
        kind, item = event.get("type"), event["object"]
        if kind == "ERROR":
            if item.get("code") == 410:
                raise GoneError
            raise ApiError(f"watch: {item.get('reason')}: {item.get('message')}")
        self._version = str(item["metadata"]["resourceVersion"])
        if kind == "DELETED":
            self._objects.pop(identify(item), None)
            self._unreadable.pop(identify(item), None)
        elif kind in ("ADDED", "MODIFIED"):
            self._take(item)
        return kind != "BOOKMARK"

    def _take(self, item: Object) -> None:
        key = identify(item)
        try:
            self._read(item)
        except UNREADABLE as error:
            why = f"{type(error).__name__}: {error}"
            if self._unreadable.get(key) != why:
                self._events.emit("object-skipped", resource=self._resource, object="/".join(filter(None, key)), error=why)
            self._unreadable[key] = why
            self._objects.pop(key, None)
        else:
            self._unreadable.pop(key, None)
            self._objects[key] = item

    def _report_loss(self, reason: str) -> None:
        if not self._lost:
            self._lost = True
            self._events.emit("watch-lost", resource=self._resource, reason=reason)

    def _report_resumed(self) -> None:
        if self._lost:
            self._lost = False
            self._events.emit("watch-resumed", resource=self._resource, reason=f"from resourceVersion {self._version}")


async def split_lines(stream: aiohttp.StreamReader) -> AsyncIterator[list[bytes]]:
    """The complete lines of each chunk that arrives; a line may be longer than any buffer limit."""
    rest = b""
    async for chunk in stream.iter_any():
        *lines, rest = (rest + chunk).split(b"\n")
        if complete := [line for line in lines if line]:
            yield complete


def decode_object(text: bytes) -> Mapping[str, Any]:
    """A JSON object.

    Raises:
        ApiError: something else.
    """
    try:
        decoded = json.loads(text)
    except ValueError as error:
        raise ApiError(f"not JSON: {text[:100]!r}") from error
    if not isinstance(decoded, dict):
        raise ApiError(f"not an object: {text[:100]!r}")
    return decoded


def identify(item: Object) -> tuple[str, str]:
    """Namespace and name."""
    return item["metadata"].get("namespace", ""), item["metadata"]["name"]


def open_session(*, api_url: str, token: str, ca_file: Path) -> aiohttp.ClientSession:
    """A session with the API: TLS checked against the run's own authority, the bearer token on every request."""
    return aiohttp.ClientSession(
        base_url=api_url,
        headers={"Authorization": f"Bearer {token}"},
        connector=aiohttp.TCPConnector(
            ssl=ssl.create_default_context(cafile=ca_file) if api_url.startswith("https") else False,
            socket_factory=open_socket,
        ),
    )


def open_socket(address: Any) -> socket.socket:
    """A socket that notices a peer that vanished without a word: after 10 s of silence, three probes 5 s apart (tcp(7)).

    A watch has nothing to send, so without keep-alive a partition would go unnoticed until the watch times out.
    """
    family, kind, protocol = address[0], address[1], address[2]
    opened = socket.socket(family, kind, protocol)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 10)
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5)
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
    return opened
