"""What containers print: events go to the history, every other line to the log of its container."""

import threading
from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from pathlib import Path

from orchestrator.model.history import Event, decode_event
from orchestrator.testbed.engine import OutputStream

TAIL_LINES = 5
LONGEST_LINE_BYTES = 1 << 20


class LineSplitter:
    """Whole lines out of chunks of one stream."""

    def __init__(self) -> None:
        self._pending = b""

    def feed(self, chunk: bytes) -> list[bytes]:
        *lines, self._pending = (self._pending + chunk).split(b"\n")
        if len(self._pending) > LONGEST_LINE_BYTES:
            lines.append(self._pending)
            self._pending = b""
        return lines

    def end(self) -> list[bytes]:
        """What came without a line's end."""
        rest, self._pending = self._pending, b""
        return [rest] if rest else []


class LogBook:
    """`logs/<container>.log`, written as the lines come; the last lines stay at hand for error messages. Thread-safe.

    `directory` None: the last lines alone.
    """

    def __init__(self, directory: Path | None) -> None:
        self._directory = directory
        self._tails: defaultdict[str, deque[str]] = defaultdict(lambda: deque(maxlen=TAIL_LINES))
        self._lock = threading.Lock()

    def write(self, container: str, line: bytes) -> None:
        with self._lock:
            self._tails[container].append(line.decode("utf-8", "replace"))
            if self._directory is None:
                return
            self._directory.mkdir(parents=True, exist_ok=True)
            with (self._directory / f"{container}.log").open("ab") as file:
                file.write(line + b"\n")

    def tail(self, container: str) -> str:
        with self._lock:
            return "\n".join(f"{container}: {line}" for line in self._tails[container])

    def tails(self) -> str:
        with self._lock:
            return "\n".join(f"{name}: {line}" for name in sorted(self._tails) for line in self._tails[name])


def follow_output(
    container: str,
    output: Iterable[tuple[OutputStream, bytes]],
    *,
    log: LogBook,
    on_event: Callable[[Event], None],
) -> None:
    """Until the output ends."""
    splitters = {stream: LineSplitter() for stream in OutputStream}

    def sort(lines: list[bytes]) -> None:
        for line in lines:
            event = decode_event(line)
            if event is not None:
                on_event(event)
            elif line.strip():
                log.write(container, line)

    for stream, chunk in output:
        sort(splitters[stream].feed(chunk))
    for splitter in splitters.values():
        sort(splitter.end())
