"""What a connection class is to the load: something that carries out one request. No behaviour here."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from loadtests.connections.target import Target

Clock = Callable[[], int]
"""CLOCK_MONOTONIC in ns."""


@dataclass(slots=True, kw_only=True)
class Exchange:
    """What became of one request. Filled in step by step, so that a failure keeps what was reached before it."""

    sent_ns: int = 0
    first_byte_ns: int = 0
    http_status: int = 0
    body: bytes = b""
    local_port: int = 0
    connection_use: int = 0
    """1: the first request on its connection."""
    attempt: int = 1


class ConnectionClass(Protocol):
    """One way to use connections to one target. Made once per class of the load, then asked by many greenlets at once."""

    def request(self, exchange: Exchange) -> None:
        """Carry out one request and return when a complete response is in `exchange`, whatever its status.

        Raises RequestFailedError, not later than the time-out after `exchange.sent_ns`.
        """
        ...

    def close(self) -> None:
        """Give up connections that are kept; called when no request is in flight."""
        ...


class ConnectionClassFactory(Protocol):
    def __call__(self, target: Target, *, timeout_s: float, connections: int, clock: Clock) -> ConnectionClass: ...
