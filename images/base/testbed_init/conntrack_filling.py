"""`python3 -m testbed_init.conntrack_filling`: fills the connection tracking table of its network namespace, and keeps it full.

Takes orders on standard input (testbed_init.orders): `begin` fills all but a rest, `strike` fills the rest and keeps it full,
`release` removes what was filled in. The entries carry a mark of their own, belong to an address range that nothing uses
(RFC 2544's second half), are assured, so that the kernel does not drop them early for a new connection
(nf_conntrack_core.c, early_drop), and end by themselves.

Source: linux/netfilter/nfnetlink_conntrack.h.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
import time
from collections.abc import Iterator
from pathlib import Path

from testbed_init.netfilter_messages import (
    NETLINK_NETFILTER,
    NLM_F_ACK,
    NLM_F_REQUEST,
    parse_errors,
    render_attribute,
    render_message,
)
from testbed_init.orders import serve

COUNT, LIMIT = (Path("/proc/sys/net/netfilter") / name for name in ("nf_conntrack_count", "nf_conntrack_max"))
NFNL_SUBSYS_CTNETLINK = 1
MSG_NEW, MSG_DELETE = 0, 2
NLM_F_CREATE = 0x400
NESTED = 0x8000
CTA_TUPLE_ORIG, CTA_TUPLE_REPLY, CTA_STATUS, CTA_TIMEOUT, CTA_MARK, CTA_MARK_MASK = 1, 2, 3, 7, 8, 21
CTA_TUPLE_IP, CTA_TUPLE_PROTO, CTA_IP_SRC, CTA_IP_DST = 1, 2, 1, 2
CTA_PROTO_NUM, CTA_PROTO_SRC_PORT, CTA_PROTO_DST_PORT = 1, 2, 3
SEEN_REPLY, ASSURED, CONFIRMED = 1 << 1, 1 << 2, 1 << 3
MARK = 0x7E57BED
LIFETIME_S = 300
"""They end without us after this; while the fault lasts, what ends is replaced."""
REST = 4096
"""Left free until the instant: quickly filled, and room enough until then."""
FIRST = int.from_bytes(bytes((198, 19, 128, 0)), "big")
PORTS = 32768
"""Entries for each host."""
ANY_PORT, DISCARD_PORT = b"\xde\xad", b"\x00\x09"
BATCH = 256
KEEP_FULL_S = 0.02


def render_entries(numbers: range) -> bytes:
    """The messages that create these entries: UDP, which has no state to describe.

    Entries of one host differ in two ports alone; everything else is rendered once for a host, because a quarter of a million
    of them must not take long.
    """
    parts: list[bytes] = []
    host = -1
    head = middle = tail = b""
    for number in numbers:
        if number // PORTS != host:
            host = number // PORTS
            head, middle, tail = _render_host(host).split(ANY_PORT)
        port = struct.pack(">H", 1024 + number % PORTS)
        parts += (head, port, middle, port, tail)
    return b"".join(parts)


def _render_host(host: int) -> bytes:
    """An entry with `ANY_PORT` where its port stands."""
    client, server = struct.pack(">I", FIRST + host), struct.pack(">I", FIRST - 1)
    attributes = (
        _render_tuple(CTA_TUPLE_ORIG, client, server, ANY_PORT, DISCARD_PORT)
        + _render_tuple(CTA_TUPLE_REPLY, server, client, DISCARD_PORT, ANY_PORT)
        + render_attribute(CTA_STATUS, struct.pack(">I", SEEN_REPLY | ASSURED | CONFIRMED))
        + render_attribute(CTA_TIMEOUT, struct.pack(">I", LIFETIME_S))
        + render_attribute(CTA_MARK, struct.pack(">I", MARK))
    )
    return render_message(NFNL_SUBSYS_CTNETLINK, MSG_NEW, attributes, family=socket.AF_INET, flags=NLM_F_REQUEST | NLM_F_CREATE)


def _render_tuple(kind: int, source: bytes, destination: bytes, source_port: bytes, destination_port: bytes) -> bytes:
    addresses = render_attribute(CTA_IP_SRC, source) + render_attribute(CTA_IP_DST, destination)
    ports = (
        render_attribute(CTA_PROTO_NUM, struct.pack("B", socket.IPPROTO_UDP))
        + render_attribute(CTA_PROTO_SRC_PORT, source_port)
        + render_attribute(CTA_PROTO_DST_PORT, destination_port)
    )
    both = render_attribute(CTA_TUPLE_IP | NESTED, addresses) + render_attribute(CTA_TUPLE_PROTO | NESTED, ports)
    return render_attribute(kind | NESTED, both)


class Filler:
    """The table and what we put into it."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
        self._socket.bind((0, 0))
        self._socket.setblocking(False)
        self._next = 0
        self._struck = False
        self._refused = 0

    def obey(self, verb: str, words: list[str]) -> str | None:
        """One order; None for one that is not known. Raises OSError."""
        match verb:
            case "begin":
                self._fill(max(0, int(LIMIT.read_text()) - int(COUNT.read_text()) - REST))
                return COUNT.read_text().strip()
            case "strike":
                self._struck = True
                self._top_up()
                return f"{time.monotonic_ns()} {COUNT.read_text().strip()} {LIMIT.read_text().strip()}"
            case "release":
                self.end()
                return f"{self._next} {self._refused}"
        return None

    def descriptors(self) -> tuple[int, ...]:
        """Nothing comes by itself."""
        return ()

    def due_s(self) -> float | None:
        """Entries of others end all the time: while the fault lasts, their place is taken."""
        return KEEP_FULL_S if self._struck else None

    def advance(self) -> None:
        """Take what has become free."""
        if self._struck:
            self._top_up()

    def end(self) -> None:
        """Remove what carries our mark, and nothing else."""
        self._struck = False
        mark = render_attribute(CTA_MARK, struct.pack(">I", MARK)) + render_attribute(CTA_MARK_MASK, b"\xff" * 4)
        self._socket.setblocking(True)
        flags = NLM_F_REQUEST | NLM_F_ACK
        self._socket.send(render_message(NFNL_SUBSYS_CTNETLINK, MSG_DELETE, mark, family=socket.AF_INET, flags=flags))
        for status in parse_errors(self._socket.recv(65536)):
            if status not in (0, errno.ENOENT):
                raise OSError(status, f"remove entries: {os.strerror(status)}")
        self._socket.setblocking(False)

    def _top_up(self) -> None:
        """Until the kernel itself says that the table is full."""
        while ENOMEM_ONLY not in self._fill(BATCH):
            pass

    def _fill(self, wanted: int) -> set[int]:
        """Add that many; what the kernel answered. Raises OSError for any other refusal than a full table."""
        refusals: set[int] = set()
        for first in range(0, wanted, BATCH):
            numbers = range(self._next, self._next + min(BATCH, wanted - first))
            self._socket.send(render_entries(numbers))
            answered = list(self._answers())
            self._refused += len(answered)
            refusals.update(answered)
            self._next = numbers.stop
            if refusals:
                break
        if refusals - {ENOMEM_ONLY}:
            status = min(refusals - {ENOMEM_ONLY})
            raise OSError(status, f"add entries: {os.strerror(status)}")
        return refusals

    def _answers(self) -> Iterator[int]:
        """Only refusals are answered; the kernel works a batch off before `send` returns."""
        while True:
            try:
                yield from parse_errors(self._socket.recv(1 << 20))
            except BlockingIOError:
                return


ENOMEM_ONLY = errno.ENOMEM
"""What the kernel answers when the table is full."""


if __name__ == "__main__":
    serve(Filler())
