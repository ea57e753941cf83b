"""Commands that init runs, without `subprocess`: it alone takes as long to import as the rest of init."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Sequence
from typing import IO, Protocol

HELPER_DEADLINE_S = 4.0
"""Longer than any of their orders takes on a busy machine; init does nothing else meanwhile."""


class KernelError(OSError):
    """A kernel request failed; the message says which and on what."""


class Tool(Protocol):
    """A command that has started and waits for its input."""

    def finish(self, text: bytes) -> bytes:
        """Give it the input and return its output. Raises KernelError."""

    def abandon(self) -> None:
        """Let it end without input."""


class StartedTool:
    """The real one. Started ahead of an instant, it only reads and acts at the instant: loading and linking are over by then."""

    def __init__(self, argv: Sequence[str]) -> None:
        self._argv = tuple(argv)
        reading, self._stdin = os.pipe()
        try:
            self._running = _Running(self._argv, reading)
        finally:
            os.close(reading)

    def finish(self, text: bytes) -> bytes:
        """Give it the input and return its output.

        Raises:
            KernelError: with the command line, the exit status and what it wrote to standard error.
        """
        try:
            with os.fdopen(self._stdin, "wb") as stdin:
                stdin.write(text)
        except BrokenPipeError:
            pass  # it ended without reading; its status says why
        return self._running.collect()

    def abandon(self) -> None:
        """Let it end without input; it is reaped like any orphan."""
        os.close(self._stdin)
        self._running.close()


class _Running:
    """A process whose outputs go to files in memory."""

    def __init__(self, argv: Sequence[str], stdin: int) -> None:
        self._argv = argv
        self._stdout, self._stderr = (os.fdopen(os.memfd_create(name), "w+b") for name in ("stdout", "stderr"))
        descriptors = (stdin, self._stdout.fileno(), self._stderr.fileno())
        streams = [(os.POSIX_SPAWN_DUP2, fd, number) for number, fd in enumerate(descriptors)]
        try:
            self._pid = os.posix_spawnp(argv[0], tuple(argv), os.environ, file_actions=streams)
        except OSError as error:
            self.close()
            raise KernelError(f"cannot start {argv[0]}: {error.strerror}") from error

    def collect(self) -> bytes:
        """Wait for its end and return its output. Raises KernelError."""
        try:
            status = os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])
            if status != 0:
                raise KernelError(
                    f"`{' '.join(self._argv)}` gave {status}: {_read(self._stderr).decode(errors='replace').strip()}"
                )
            return _read(self._stdout)
        except ChildProcessError:
            raise KernelError(f"`{' '.join(self._argv)}` ended before its time") from None
        finally:
            self.close()

    def close(self) -> None:
        """Give up what it wrote."""
        self._stdout.close()
        self._stderr.close()


class Helper(Protocol):
    """A process of ours that works for a fault until it is told to end."""

    def tell(self, line: str) -> None:
        """Hand it one line whose answer is of no interest. Raises KernelError."""

    def order(self, line: str) -> str:
        """Hand it one line and return its answer. Raises KernelError."""

    def end(self) -> None:
        """Close its input, on which it ends."""


class StartedHelper:
    """The real one: a line in, a line out. When init ends, so does its input, and the helper undoes its work."""

    def __init__(self, argv: Sequence[str]) -> None:
        self._name = argv[-1]
        self._pending = b""
        self._unanswered = 0
        reading, self._stdin = os.pipe()
        self._stdout, writing = os.pipe()
        streams = [(os.POSIX_SPAWN_DUP2, reading, 0), (os.POSIX_SPAWN_DUP2, writing, 1)]
        try:
            self.pid = os.posix_spawnp(argv[0], list(argv), os.environ, file_actions=streams, setsid=True)
        except OSError as error:
            raise KernelError(f"cannot start {argv[0]}: {error.strerror}") from error
        finally:
            os.close(reading)
            os.close(writing)

    def tell(self, line: str) -> None:
        """Hand it one line whose answer is of no interest."""
        try:
            os.write(self._stdin, f"{line}\n".encode())
        except OSError as error:
            raise KernelError(f"{self._name}: {error.strerror}") from error
        self._unanswered += 1

    def order(self, line: str) -> str:
        """Hand it one line and return its answer.

        Raises:
            KernelError: no answer in time, or one that is not `ok ...`.
        """
        self.tell(line)
        until_s = time.monotonic() + HELPER_DEADLINE_S
        while self._unanswered:
            answer = self._read_line(until_s)
            self._unanswered -= 1
            if not answer.startswith("ok"):
                raise KernelError(f"{self._name}: {line}: {answer}")
        return answer.removeprefix("ok").strip()

    def _read_line(self, until_s: float) -> str:
        while b"\n" not in self._pending:
            ready, _, _ = select.select([self._stdout], [], [], max(0.0, until_s - time.monotonic()))
            chunk = os.read(self._stdout, 4096) if ready else b""
            if not chunk:
                raise KernelError(f"{self._name}: {'it has ended' if ready else f'no answer within {HELPER_DEADLINE_S:g} s'}")
            self._pending += chunk
        line, _, self._pending = self._pending.partition(b"\n")
        return line.decode()

    def end(self) -> None:
        """Close its input, on which it ends; it is reaped like any orphan."""
        os.close(self._stdin)
        os.close(self._stdout)


def run_tool(argv: Sequence[str], *, text: bytes = b"") -> bytes:
    """Run a command with `text` on its standard input and return its output. Raises KernelError.

    The input is a file in memory: some tools want to seek in it (`ip route restore`).
    """
    with os.fdopen(os.memfd_create("stdin"), "w+b") as stdin:
        stdin.write(text)
        stdin.seek(0)
        return _Running(argv, stdin.fileno()).collect()


def _read(stream: IO[bytes]) -> bytes:
    stream.seek(0)
    return stream.read()
