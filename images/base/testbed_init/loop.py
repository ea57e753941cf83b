"""Init's one thread: waits for signals, requests and deadlines, and hits the instants of faults."""

from __future__ import annotations

import os
import selectors
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from testbed_init.arming import Armoury
from testbed_init.control import Control
from testbed_init.processes import Supervisor

SPIN_NS = 1_000_000
"""A wake-up from sleep comes late by what the scheduler and the timer slack take; the rest is spun."""
QUIET_NS = 20_000_000
"""Before an instant nothing else is begun that could run into it."""
REQUEST_LIMIT_BYTES = 65536
TICK_NS = 1_000_000_000

EXIT_STOPPED = 0
EXIT_EXPIRED = 98


@dataclass(slots=True, kw_only=True)
class Loop:
    """Runs until SIGTERM, expiry or a fault that ends the container."""

    supervisor: Supervisor
    armoury: Armoury
    control: Control
    expires_mono_ns: int
    tick: Callable[[], None]
    clock: Callable[[], int] = time.monotonic_ns
    selector: selectors.BaseSelector = field(default_factory=selectors.DefaultSelector)
    stopping: bool = False
    wakeup: socket.socket | None = None
    """Kept open: the interpreter writes to its descriptor from the signal handler."""
    pending: dict[socket.socket, bytearray] = field(default_factory=dict)

    def open(self, socket_path: Path) -> None:
        """Take signals and requests from now on; they are served by `run`."""
        self._watch_signals()
        self._listen(socket_path)

    def run(self) -> int:
        """Serve; returns the exit status."""
        # Children may have ended before their signal could be taken.
        self.supervisor.reap()
        next_tick_ns = self.clock() + TICK_NS
        while True:
            instant_ns = self.armoury.next_instant_ns()
            if instant_ns is not None and instant_ns - self.clock() < QUIET_NS:
                wait_until(instant_ns, self.clock)
                status = self.armoury.advance(max(instant_ns, self.clock()))
                if status is not None:
                    return status
                continue
            if self.stopping and not self.supervisor.any_running():
                return EXIT_STOPPED
            self._wait(min(self._deadlines(next_tick_ns, instant_ns)))
            now_ns = self.clock()
            if now_ns >= self.expires_mono_ns:
                return EXIT_EXPIRED
            if not self.armoury.holds_restarts():
                self.supervisor.advance(now_ns)
            status = self.armoury.advance(now_ns)
            if status is not None:
                return status
            if now_ns >= next_tick_ns:
                self.tick()
                next_tick_ns += TICK_NS * (1 + (now_ns - next_tick_ns) // TICK_NS)

    def _deadlines(self, next_tick_ns: int, instant_ns: int | None) -> list[int]:
        candidates = [
            next_tick_ns,
            self.expires_mono_ns,
            None if self.armoury.holds_restarts() else self.supervisor.next_ns(),
            None if instant_ns is None else instant_ns - QUIET_NS,
            self.armoury.next_ns(),
        ]
        return [at for at in candidates if at is not None]

    def _wait(self, until_ns: int) -> None:
        for key, _ in self.selector.select(max(0, until_ns - self.clock()) / 1e9):
            receive: Callable[[], None] = key.data
            receive()

    def _watch_signals(self) -> None:
        reading, writing = socket.socketpair()
        for end in (reading, writing):
            end.setblocking(False)
        # PID 1 gets no signal that it has no handler for (pid_namespaces(7)).
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
            signal.signal(number, lambda *_: None)
        signal.set_wakeup_fd(writing.fileno(), warn_on_full_buffer=False)
        self.wakeup = writing
        self.selector.register(reading, selectors.EVENT_READ, lambda: self._on_signals(reading))

    def _on_signals(self, reading: socket.socket) -> None:
        received = set(reading.recv(4096))
        if signal.SIGCHLD in received:
            self.supervisor.reap()
        if received & {signal.SIGTERM, signal.SIGINT} and not self.stopping:
            self.stopping = True
            self.armoury.heal_all()
            self.supervisor.stop_all()

    def _listen(self, path: Path) -> None:
        path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(os.fspath(path))
        path.chmod(0o600)
        listener.listen(16)
        listener.setblocking(False)
        self.selector.register(listener, selectors.EVENT_READ, lambda: self._accept(listener))

    def _accept(self, listener: socket.socket) -> None:
        stream, _ = listener.accept()
        stream.setblocking(False)
        self.pending[stream] = bytearray()
        self.selector.register(stream, selectors.EVENT_READ, lambda: self._receive(stream))

    def _receive(self, stream: socket.socket) -> None:
        request = self.pending[stream]
        try:
            chunk = stream.recv(REQUEST_LIMIT_BYTES)
            request += chunk
            if chunk and b"\n" not in request and len(request) < REQUEST_LIMIT_BYTES:
                return
            if request:
                # The socket's buffer takes the whole answer; a client that does not read it loses it.
                stream.send(self.control.answer(bytes(request)))
        except OSError:
            pass  # the client is gone, and nobody else is concerned
        self.selector.unregister(stream)
        del self.pending[stream]
        stream.close()


def wait_until(instant_ns: int, clock: Callable[[], int]) -> None:
    """Sleep up to 1 ms before the instant and spin the rest; returns at it, late by microseconds when a CPU is free."""
    ahead_ns = instant_ns - clock() - SPIN_NS
    if ahead_ns > 0:
        time.sleep(ahead_ns / 1e9)
    while clock() < instant_ns:
        pass
