"""`python3 -m testbed_init.delaying`: holds the packets of two netfilter queues for a fixed time each, in order.

Takes one order a line on standard input and answers each with `ok ...` or `error ...`: `strike QUEUE[,QUEUE] DELAY_NS` binds
the queues, `release` lets everything go and unbinds them. The end of the input does the same. While nobody is bound, the
rules in front of the queues let packets pass, so that the end of this process ends the delay, whatever ended it.

Source: linux/netfilter/nfnetlink_queue.h; only metadata is copied, whatever the size of a packet.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import struct
import time
from collections import deque

NETLINK_NETFILTER = 12
SOL_NETLINK, NETLINK_NO_ENOBUFS = 270, 5
SO_RCVBUFFORCE = 33
RECEIVE_BUFFER_BYTES = 32 << 20
NFNL_SUBSYS_QUEUE = 3
MSG_PACKET, MSG_CONFIG, MSG_VERDICT_BATCH = 0, 2, 3
NLM_F_REQUEST, NLM_F_ACK = 1, 4
NLMSG_ERROR = 2
CFG_CMD, CFG_PARAMS, CFG_QUEUE_MAXLEN, CFG_MASK, CFG_FLAGS = 1, 2, 3, 4, 5
CMD_BIND, CMD_UNBIND = 1, 2
COPY_META = 1
FLAG_FAIL_OPEN, FLAG_GSO = 1, 4
"""A full queue lets packets pass instead of losing them; large segments stay whole."""
NFQA_PACKET_HDR, NFQA_VERDICT_HDR = 1, 2
NF_ACCEPT = 1
QUEUE_LENGTH = 65536
HEADERS_SIZE = 20
"""nlmsghdr (16) and nfgenmsg (4)."""


def render_message(kind: int, queue: int, attributes: bytes, *, flags: int = NLM_F_REQUEST) -> bytes:
    """One netlink message to that queue."""
    body = struct.pack("=BB", socket.AF_UNSPEC, 0) + struct.pack(">H", queue) + attributes
    return struct.pack("=IHHII", 16 + len(body), NFNL_SUBSYS_QUEUE << 8 | kind, flags, 0, 0) + body


def render_attribute(kind: int, value: bytes) -> bytes:
    """Length, kind, value, padded to 4 bytes."""
    return struct.pack("=HH", 4 + len(value), kind) + value + b"\0" * (-len(value) % 4)


def parse_packet_id(message: bytes) -> int | None:
    """The id of a queued packet, None in a message about something else."""
    at = HEADERS_SIZE
    while at + 4 <= len(message):
        size, kind = struct.unpack_from("=HH", message, at)
        if kind == NFQA_PACKET_HDR:
            number: int = struct.unpack_from(">I", message, at + 4)[0]
            return number
        if size < 4:
            return None
        at += size + (-size % 4)
    return None


class Queue:
    """One queue, bound as long as this object holds it."""

    def __init__(self, number: int, delay_ns: int) -> None:
        self._number = number
        self._delay_ns = delay_ns
        self._waiting: deque[tuple[int, int]] = deque()
        self.held = 0
        self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
        self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER_BYTES)
        self.socket.setsockopt(SOL_NETLINK, NETLINK_NO_ENOBUFS, 1)
        self.socket.bind((0, 0))
        self._configure(render_attribute(CFG_CMD, struct.pack(">BBH", CMD_BIND, 0, 0)))
        flags = FLAG_FAIL_OPEN | FLAG_GSO
        self._configure(
            render_attribute(CFG_PARAMS, struct.pack(">IB", 0, COPY_META))
            + render_attribute(CFG_QUEUE_MAXLEN, struct.pack(">I", QUEUE_LENGTH))
            + render_attribute(CFG_FLAGS, struct.pack(">I", flags))
            + render_attribute(CFG_MASK, struct.pack(">I", flags))
        )
        self.socket.setblocking(False)

    def take(self) -> None:
        """Note what has come; each is due one delay after it was seen."""
        while True:
            try:
                message = self.socket.recv(65536)
            except BlockingIOError:
                return
            number = parse_packet_id(message)
            if number is not None:
                self._waiting.append((time.monotonic_ns() + self._delay_ns, number))
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
            verdict = render_attribute(NFQA_VERDICT_HDR, struct.pack(">II", NF_ACCEPT, last))
            self.socket.send(render_message(MSG_VERDICT_BATCH, self._number, verdict))

    def close(self) -> None:
        """Let everything go. Length 0 first: from then on packets pass, so that none is in the queue when it is unbound."""
        shut = render_attribute(CFG_QUEUE_MAXLEN, struct.pack(">I", 0))
        self.socket.send(render_message(MSG_CONFIG, self._number, shut))
        self.take()
        self.let_go(time.monotonic_ns() + 2 * self._delay_ns)
        unbind = render_attribute(CFG_CMD, struct.pack(">BBH", CMD_UNBIND, 0, 0))
        self.socket.send(render_message(MSG_CONFIG, self._number, unbind))
        self.socket.close()

    def _configure(self, attributes: bytes) -> None:
        """Raises OSError with the kernel's refusal."""
        self.socket.send(render_message(MSG_CONFIG, self._number, attributes, flags=NLM_F_REQUEST | NLM_F_ACK))
        while True:
            answer = self.socket.recv(65536)
            if struct.unpack_from("=H", answer, 4)[0] == NLMSG_ERROR:
                status = -struct.unpack_from("=i", answer, 16)[0]
                if status:
                    raise OSError(status, f"queue {self._number}: {errno.errorcode.get(status, status)} {os.strerror(status)}")
                return


class Delay:
    """Takes orders and keeps the time."""

    def __init__(self) -> None:
        self._queues: list[Queue] = []

    def run(self) -> None:
        """Until the input ends."""
        pending = b""
        while True:
            due = [at for queue in self._queues if (at := queue.due_ns()) is not None]
            timeout_s = max(0, min(due) - time.monotonic_ns()) / 1e9 if due else None
            ready, _, _ = select.select([0, *(queue.socket.fileno() for queue in self._queues)], [], [], timeout_s)
            now_ns = time.monotonic_ns()
            for queue in self._queues:
                queue.let_go(now_ns)
                queue.take()
            if 0 in ready:
                chunk = os.read(0, 4096)
                if not chunk:
                    self._release()
                    return
                *lines, pending = (pending + chunk).split(b"\n")
                for line in lines:
                    os.write(1, f"{self._obey(line.decode())}\n".encode())

    def _obey(self, line: str) -> str:
        verb, *words = line.split()
        try:
            if verb == "strike":
                self._queues = [Queue(int(number), int(words[1])) for number in words[0].split(",")]
                return f"ok {time.monotonic_ns()}"
            return f"ok {self._release()}" if verb == "release" else f"error unknown order {verb}"
        except OSError as error:
            return f"error {error.strerror}"

    def _release(self) -> int:
        held = sum(queue.held for queue in self._queues)
        for queue in self._queues:
            queue.close()
        self._queues = []
        return held


def main() -> None:
    """Entry point."""
    Delay().run()


if __name__ == "__main__":
    main()
