"""Netlink messages about tracked UDP flows, as bytes. Pure (linux/netlink.h, linux/netfilter/nfnetlink_conntrack.h).

Read by hand, two tuples of each flow and nothing else: a library that decodes every attribute takes 0.26 ms for each flow, which
is seconds for the flows of a node under load, in the process that keeps its rules.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from nodeagent.proxy.conntrack import Flow, Target

HEADER = struct.Struct("=IHHII")  # nlmsghdr: length, type, flags, sequence, port
FAMILY = struct.Struct("=BBH")  # nfgenmsg: family, version, resource
ATTRIBUTE = struct.Struct("=HH")  # nlattr: length, type
ERROR = struct.Struct("=i")

SUBSYSTEM = 1 << 8  # NFNL_SUBSYS_CTNETLINK
FLOW, GET, DELETE = SUBSYSTEM | 0, SUBSYSTEM | 1, SUBSYSTEM | 2  # IPCTNL_MSG_CT_NEW, _GET, _DELETE
ERROR_MESSAGE, DONE = 2, 3  # NLMSG_ERROR, NLMSG_DONE
REQUEST, ACKNOWLEDGE, DUMP = 0x1, 0x4, 0x300

NESTED, TYPE_MASK = 0x8000, 0x3FFF
ORIGINAL, REPLY, IDENTIFIER, FILTER = 1, 2, 12, 25  # CTA_TUPLE_ORIG, CTA_TUPLE_REPLY, CTA_ID, CTA_FILTER
TUPLE_ADDRESSES, TUPLE_PROTOCOL = 1, 2  # CTA_TUPLE_IP, CTA_TUPLE_PROTO
SOURCE_ADDRESS, DESTINATION_ADDRESS = 1, 2  # CTA_IP_V4_SRC, _DST
PROTOCOL, SOURCE_PORT, DESTINATION_PORT = 1, 2, 3  # CTA_PROTO_NUM, _SRC_PORT, _DST_PORT
FILTER_ORIGINAL = 1  # CTA_FILTER_ORIG_FLAGS
BY_PROTOCOL = 1 << 3  # CTA_FILTER_FLAG(CTA_PROTO_NUM), since Linux 5.8; without it every flow is told

Attributes = dict[int, tuple[int, int]]
"""Where the contents of each attribute begin and end, by type."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one received buffer says: flows, and whether the kernel has said all. `errors` counts from 0 (an acknowledgement)."""

    flows: tuple[Flow, ...] = ()
    errors: tuple[int, ...] = ()
    done: bool = False


def render_dump() -> bytes:
    """Ask for every tracked UDP flow of IPv4."""
    protocol = _render(TUPLE_PROTOCOL | NESTED, _render(PROTOCOL, bytes([socket.IPPROTO_UDP])))
    wanted = _render(FILTER | NESTED, _render(FILTER_ORIGINAL, struct.pack("=I", BY_PROTOCOL)))
    return _message(GET, REQUEST | DUMP, _render(ORIGINAL | NESTED, protocol) + wanted)


def render_deletion(flow: Flow) -> bytes:
    """Delete this flow and no later one between the same ends: its identity includes the kernel's own number."""
    return _message(DELETE, REQUEST | ACKNOWLEDGE, flow.identity)


def decode(received: bytes) -> Answer:
    """Raises OSError when the kernel refuses a dump."""
    flows: list[Flow] = []
    errors: list[int] = []
    done = False
    for kind, start, end in _messages(received):
        if kind == FLOW:
            flow = _decode_flow(received, start, end)
            flows += () if flow is None else (flow,)
        elif kind == ERROR_MESSAGE:
            errors.append(-ERROR.unpack_from(received, start)[0])
        elif kind == DONE:
            done = True
            if (code := -ERROR.unpack_from(received, start)[0]) != 0:
                raise OSError(code, f"dump of tracked flows: {os.strerror(code)}")
    return Answer(flows=tuple(flows), errors=tuple(errors), done=done)


def is_failure(code: int) -> bool:
    """Whether an answer to a deletion is one; that the flow has just gone by itself is none."""
    return code not in (0, errno.ENOENT)


def _messages(received: bytes) -> Iterator[tuple[int, int, int]]:
    """Type, start and end of each message's contents."""
    at = 0
    while at + HEADER.size <= len(received):
        length, kind, _, _, _ = HEADER.unpack_from(received, at)
        yield kind, at + HEADER.size, at + length
        at += _aligned(length)


def _decode_flow(received: bytes, start: int, end: int) -> Flow | None:
    """None: not UDP."""
    attributes = _attributes(received, start + FAMILY.size, end)
    original, reply = (_decode_tuple(received, *attributes[kind]) for kind in (ORIGINAL, REPLY))
    if original is None or reply is None:
        return None
    identity = b"".join(_copied(received, attributes, kind) for kind in (ORIGINAL, IDENTIFIER))
    return Flow(destination=original[1], reply_source=reply[0], identity=identity)


def _decode_tuple(received: bytes, start: int, end: int) -> tuple[Target, Target] | None:
    """Source and destination."""
    parts = _attributes(received, start, end)
    protocol = _attributes(received, *parts[TUPLE_PROTOCOL])
    if received[protocol[PROTOCOL][0]] != socket.IPPROTO_UDP:
        return None
    addresses = _attributes(received, *parts[TUPLE_ADDRESSES])
    return (
        (_address(received, addresses[SOURCE_ADDRESS]), _port(received, protocol[SOURCE_PORT])),
        (_address(received, addresses[DESTINATION_ADDRESS]), _port(received, protocol[DESTINATION_PORT])),
    )


def _address(received: bytes, where: tuple[int, int]) -> str:
    return socket.inet_ntoa(received[slice(*where)])


def _port(received: bytes, where: tuple[int, int]) -> int:
    return int.from_bytes(received[slice(*where)], "big")


def _attributes(received: bytes, start: int, end: int) -> Attributes:
    found: Attributes = {}
    while start < end:
        length, kind = ATTRIBUTE.unpack_from(received, start)
        found[kind & TYPE_MASK] = (start + ATTRIBUTE.size, start + length)
        start += _aligned(length)
    return found


def _copied(received: bytes, attributes: Attributes, kind: int) -> bytes:
    """The attribute as it came."""
    start, end = attributes[kind]
    return received[start - ATTRIBUTE.size : start + _aligned(end - start)]


def _render(kind: int, content: bytes) -> bytes:
    length = ATTRIBUTE.size + len(content)
    return ATTRIBUTE.pack(length, kind) + content.ljust(_aligned(length) - ATTRIBUTE.size, b"\0")


def _message(kind: int, flags: int, attributes: bytes) -> bytes:
    content = FAMILY.pack(socket.AF_INET, 0, 0) + attributes
    return HEADER.pack(HEADER.size + len(content), kind, flags, 0, 0) + content


def _aligned(length: int) -> int:
    """NLMSG_ALIGN, NLA_ALIGN."""
    return (length + 3) & ~3
