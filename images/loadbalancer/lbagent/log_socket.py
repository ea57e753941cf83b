"""HAProxy's log socket: health transitions become events at once, connections go to a file in batches."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path

from lbagent.connection_log import CONNECTION, parse_transition, render_connection
from testbed_init.events import Clock, EventSink

BATCH_S = 0.2
RECEIVE_LIMIT = 512
"""Lines taken per wake-up, so that a flood cannot keep the loop from everything else."""


class LogSocket:
    """Receives on a unix datagram socket.

    HAProxy never waits for its log: what the socket's queue does not take is dropped and counted (`DroppedLogs`). The
    queue takes `net.unix.max_dgram_qlen` lines, 10 by default, which the container's settings raise; from some 270 lines on,
    half a second at 600 connections/s, HAProxy's own send buffer is full (unix(7): queued lines count as the sender's).
    """

    def __init__(self, *, path: Path, file: Path, events: EventSink, clock: Clock) -> None:
        self._events = events
        self._clock = clock
        self._batch: list[bytes] = []
        self._flush_timer: asyncio.TimerHandle | None = None
        path.unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._socket.bind(str(path))
        file.parent.mkdir(parents=True, exist_ok=True)
        self._file = file.open("ab", buffering=0)

    def serve(self) -> None:
        """Receive from now on, in the running loop."""
        asyncio.get_running_loop().add_reader(self._socket, self._receive)

    def flush(self) -> None:
        """Write what is still in memory."""
        if self._flush_timer is not None:
            self._flush_timer.cancel()
            self._flush_timer = None
        if self._batch:
            self._file.write(b"".join(self._batch))
            self._batch.clear()

    def close(self) -> None:
        """Stop receiving."""
        asyncio.get_running_loop().remove_reader(self._socket)
        self.flush()
        self._socket.close()
        self._file.close()

    def _receive(self) -> None:
        now_ns = self._clock()
        receive: Callable[[int], bytes] = self._socket.recv
        for _ in range(RECEIVE_LIMIT):
            try:
                line = receive(2048)
            except BlockingIOError:
                break
            if line.startswith(CONNECTION):
                self._batch.append(render_connection(line, now_ns))
            else:
                self._report(line, now_ns)
        if self._batch and self._flush_timer is None:
            self._flush_timer = asyncio.get_running_loop().call_later(BATCH_S, self.flush)

    def _report(self, line: bytes, now_ns: int) -> None:
        transition = parse_transition(line)
        if transition is not None:
            self._events.emit(
                "server-up" if transition.up else "server-down",
                t_mono_ns=now_ns,
                backend=transition.backend,
                server=transition.server,
                reason=transition.reason,
            )
