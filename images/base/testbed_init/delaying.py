"""`python3 -m testbed_init.delaying`: holds the packets of netfilter queues for a fixed time each, in order.

Takes orders on standard input (testbed_init.orders): `strike QUEUE[,QUEUE] DELAY_NS` binds the queues, `release` lets
everything go and unbinds them. While nobody is bound, the rules in front of the queues let packets pass, so that the end of
this process ends the delay, whatever ended it.

Source: linux/netfilter/nfnetlink_queue.h; only metadata is copied, whatever the size of a packet.
"""

from __future__ import annotations

import os
import socket
import struct
import time
from collections import deque

from testbed_init.netfilter_messages import (
    NETLINK_NETFILTER,
    NLM_F_ACK,
    NLM_F_REQUEST,
    parse_attributes,
    parse_errors,
    render_attribute,
    render_message,
)
from testbed_init.orders import serve

SOL_NETLINK, NETLINK_NO_ENOBUFS = 270, 5
SO_RCVBUFFORCE = 33
RECEIVE_BUFFER_BYTES = 32 << 20
NFNL_SUBSYS_QUEUE = 3
MSG_CONFIG, MSG_VERDICT_BATCH = 2, 3
CFG_CMD, CFG_PARAMS, CFG_QUEUE_MAXLEN, CFG_MASK, CFG_FLAGS = 1, 2, 3, 4, 5
CMD_BIND, CMD_UNBIND = 1, 2
COPY_META = 1
FLAG_FAIL_OPEN, FLAG_GSO = 1, 4
"""A full queue lets packets pass instead of losing them; large segments stay whole."""
NFQA_PACKET_HDR, NFQA_VERDICT_HDR, NFQA_TIMESTAMP = 1, 2, 4
SO_TIMESTAMPNS = 35
LONGEST_AGE_NS = 50_000_000
"""A packet that waited longer before it was seen is late anyhow."""
NF_ACCEPT = 1
QUEUE_LENGTH = 65536


class Queue:
    """One queue, bound as long as this object holds it."""

    def __init__(self, number: int, delay_ns: int) -> None:
        self._number = number
        self._delay_ns = delay_ns
        self._waiting: deque[tuple[int, int]] = deque()
        self.held = 0
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
        self._socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER_BYTES)
        self._socket.setsockopt(SOL_NETLINK, NETLINK_NO_ENOBUFS, 1)
        self._socket.bind((0, 0))
        self._configure(render_attribute(CFG_CMD, struct.pack(">BBH", CMD_BIND, 0, 0)))
        flags = struct.pack(">I", FLAG_FAIL_OPEN | FLAG_GSO)
        self._configure(
            render_attribute(CFG_PARAMS, struct.pack(">IB", 0, COPY_META))
            + render_attribute(CFG_QUEUE_MAXLEN, struct.pack(">I", QUEUE_LENGTH))
            + render_attribute(CFG_FLAGS, flags)
            + render_attribute(CFG_MASK, flags)
        )
        self._socket.setblocking(False)

    def fileno(self) -> int:
        """Readable when packets have come."""
        return self._socket.fileno()

    def take(self) -> None:
        """Note what has come; each is due one delay after it came, or was seen where the kernel does not say when it came."""
        while True:
            try:
                attributes = dict(parse_attributes(self._socket.recv(65536)))
            except BlockingIOError:
                return
            if NFQA_PACKET_HDR in attributes:
                number: int = struct.unpack_from(">I", attributes[NFQA_PACKET_HDR])[0]
                self._waiting.append((came_ns(attributes.get(NFQA_TIMESTAMP)) + self._delay_ns, number))
                self.held += 1

    def due_ns(self) -> int | None:
        """When the next one is due."""
        return self._waiting[0][0] if self._waiting else None

    def let_go(self, until_ns: int) -> None:
        """Accept what is due by then: one message for all, because ids ascend."""
        last = None
        while self._waiting and self._waiting[0][0] <= until_ns:
            last = self._waiting.popleft()[1]
        if last is not None:
            self._send(MSG_VERDICT_BATCH, render_attribute(NFQA_VERDICT_HDR, struct.pack(">II", NF_ACCEPT, last)))

    def close(self) -> None:
        """Let everything go. Length 0 first: from then on packets pass, so that none is in the queue when it is unbound."""
        self._send(MSG_CONFIG, render_attribute(CFG_QUEUE_MAXLEN, struct.pack(">I", 0)))
        self.take()
        self.let_go(time.monotonic_ns() + 2 * self._delay_ns)
        self._send(MSG_CONFIG, render_attribute(CFG_CMD, struct.pack(">BBH", CMD_UNBIND, 0, 0)))
        self._socket.close()

    def _send(self, kind: int, attributes: bytes, flags: int = NLM_F_REQUEST) -> None:
        self._socket.send(render_message(NFNL_SUBSYS_QUEUE, kind, attributes, resource=self._number, flags=flags))

    def _configure(self, attributes: bytes) -> None:
        """Raises OSError with the kernel's refusal."""
        self._send(MSG_CONFIG, attributes, NLM_F_REQUEST | NLM_F_ACK)
        while True:
            for status in parse_errors(self._socket.recv(65536)):
                if status:
                    raise OSError(status, f"queue {self._number}: {os.strerror(status)}")
                return


def came_ns(timestamp: bytes | None) -> int:
    """The instant at which a packet came, on the monotonic clock: the kernel's stamp is wall-clock seconds and microseconds."""
    # In this order: an interruption between the two readings makes the packet late, and never early.
    wall_ns = time.time_ns()
    now_ns = time.monotonic_ns()
    if timestamp is None:
        return now_ns
    seconds, microseconds = struct.unpack(">QQ", timestamp)
    age_ns: int = wall_ns - (seconds * 1_000_000_000 + microseconds * 1000)
    # A wall clock that was set meanwhile must not hold packets back.
    return now_ns - min(max(0, age_ns), LONGEST_AGE_NS)


class Delay:
    """Keeps the time of every queue."""

    def __init__(self) -> None:
        self._queues: list[Queue] = []
        # Packets are stamped on arrival as long as some socket wants it (socket(7)); nothing is read from this one.
        self._stamping = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._stamping.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)

    def obey(self, verb: str, words: list[str]) -> str | None:
        """One order; None for one that is not known. Raises OSError."""
        match verb:
            case "strike":
                self._queues = [Queue(int(number), int(words[1])) for number in words[0].split(",")]
                return str(time.monotonic_ns())
            case "release":
                held = sum(queue.held for queue in self._queues)
                self.end()
                return str(held)
        return None

    def descriptors(self) -> tuple[int, ...]:
        """Of the bound queues."""
        return tuple(queue.fileno() for queue in self._queues)

    def due_s(self) -> float | None:
        """Until the first packet is due."""
        due = [at for queue in self._queues if (at := queue.due_ns()) is not None]
        return max(0, min(due) - time.monotonic_ns()) / 1e9 if due else None

    def advance(self) -> None:
        """What is due goes; what has come waits."""
        for queue in self._queues:
            queue.let_go(time.monotonic_ns())
            queue.take()

    def end(self) -> None:
        """Everything goes on its way."""
        for queue in self._queues:
            queue.close()
        self._queues = []


if __name__ == "__main__":
    serve(Delay())
