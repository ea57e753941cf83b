"""Messages of netfilter's netlink family (linux/netfilter/nfnetlink.h): rendering and parsing, for queues and for connections."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator

NETLINK_NETFILTER = 12
NLM_F_REQUEST, NLM_F_ACK = 1, 4
NLMSG_ERROR = 2
HEADERS_SIZE = 20
"""nlmsghdr (16) and nfgenmsg (4)."""


def render_message(
    subsystem: int, kind: int, attributes: bytes, *, family: int = socket.AF_UNSPEC, resource: int = 0, flags: int = NLM_F_REQUEST
) -> bytes:
    """One message; `resource` is the number of a queue."""
    body = struct.pack("=BB", family, 0) + struct.pack(">H", resource) + attributes
    return struct.pack("=IHHII", 16 + len(body), subsystem << 8 | kind, flags, 0, 0) + body


def render_attribute(kind: int, value: bytes) -> bytes:
    """Length, kind, value, padded to 4 bytes."""
    return struct.pack("=HH", 4 + len(value), kind) + value + b"\0" * (-len(value) % 4)


def parse_attributes(message: bytes) -> Iterator[tuple[int, bytes]]:
    """Kinds and values of a message's attributes, in order."""
    at = HEADERS_SIZE
    while at + 4 <= len(message):
        size, kind = struct.unpack_from("=HH", message, at)
        if size < 4:
            return
        yield kind, message[at + 4 : at + size]
        at += size + (-size % 4)


def parse_errors(datagram: bytes) -> Iterator[int]:
    """Status of each acknowledgement in it: 0, or an errno."""
    at = 0
    while at + 20 <= len(datagram):
        size, kind = struct.unpack_from("=IH", datagram, at)
        if kind == NLMSG_ERROR:
            yield -struct.unpack_from("=i", datagram, at + 16)[0]
        at += max(16, size + (-size % 4))
