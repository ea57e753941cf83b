"""Responders on loopback for the load's tests: each says what it does to a connection."""

from __future__ import annotations

import json
import socket as stdlib_socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import gevent
from gevent.server import StreamServer
from gevent.socket import socket

from loadtests.load_file import Arrivals, Expect, LoadClass

clock = time.monotonic_ns
POD = json.dumps({"pod": "pod-a", "node": "node-1", "pod_ip": "10.0.1.2", "client": "127.0.0.1", "port": 8080}).encode()

Serve = Callable[[socket], None]


def render_response(body: bytes = POD, *, status: str = "200 OK", close: bool = False) -> bytes:
    connection = b"Connection: close\r\n" if close else b""
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n".encode()
    return head + connection + b"\r\n" + body


def read_request(stream: socket) -> bytes:
    """One request, empty when the client closed the connection."""
    received = b""
    while b"\r\n\r\n" not in received:
        part = stream.recv(4096)
        if not part:
            return b""
        received += part
    return received


def answer_once(response: bytes) -> Serve:
    """Answer the first request with these bytes, and close."""

    def serve(stream: socket) -> None:
        read_request(stream)
        stream.sendall(response)

    return serve


def keep_answering(response: bytes = render_response()) -> Serve:
    def serve(stream: socket) -> None:
        while read_request(stream):
            stream.sendall(response)

    return serve


def stall(stream: socket) -> None:
    """Never answer; return when the client gives up."""
    while stream.recv(4096):
        pass


def abort(stream: socket) -> None:
    """Let the close that follows send RST: SO_LINGER with time 0 (socket(7))."""
    stream.setsockopt(stdlib_socket.SOL_SOCKET, stdlib_socket.SO_LINGER, struct.pack("ii", 1, 0))


def reset(stream: socket) -> None:
    """Answer a request with RST."""
    read_request(stream)
    abort(stream)


@dataclass(slots=True)
class Responder:
    port: int
    connections: int = 0
    open: set[socket] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"


@contextmanager
def responding(serve: Serve) -> Iterator[Responder]:
    """A server that treats every connection so, and counts them."""
    responder = Responder(port=0)

    def accept(stream: socket, _address: object) -> None:
        responder.connections += 1
        responder.open.add(stream)
        try:
            serve(stream)
        except OSError:
            pass  # the client left: it may
        finally:
            responder.open.discard(stream)
            stream.close()

    server = StreamServer(("127.0.0.1", 0), accept, backlog=256)
    server.start()
    responder.port = server.server_port
    try:
        yield responder
    finally:
        for stream in list(responder.open):
            stream.close()
        server.stop(timeout=0.1)
        gevent.sleep(0)


def free_port() -> int:
    """A port on which nothing listens."""
    with stdlib_socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def make_class(url: str, **changes: object) -> LoadClass:
    values = {
        "path": "nodeport",
        "connection_class": "new",
        "url": url,
        "rate_rps": 200.0,
        "connections": 1,
        "arrivals": Arrivals.UNIFORM,
        "expect": Expect.POD,
    }
    return LoadClass(**(values | changes))  # type: ignore[arg-type]
