"""A container of the engine in memory, and what is read of it and of its engine as it comes."""

import queue
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from orchestrator.errors import EngineError
from orchestrator.testbed.engine import ContainerSpec, EngineEvent, OutputStream

if TYPE_CHECKING:
    from orchestrator.testbed.fake import FakeEngine


Line = tuple[OutputStream, bytes]


@dataclass(slots=True)
class FakeContainer:
    """One container; `program` may keep it and print later."""

    id: str
    spec: ContainerSpec
    engine: "FakeEngine"
    files: dict[str, bytes] = field(default_factory=dict)
    running: bool = False
    started: bool = False
    received: bytes = b""
    input_ended: bool = False
    on_input: Callable[[], None] | None = None
    """Called when something was sent or the input ended."""
    listeners: list["queue.SimpleQueue[Line | None]"] = field(default_factory=list)
    said: list["Line"] = field(default_factory=list)
    """Everything printed so far, as the engine keeps it."""

    def print(self, text: str, stream: OutputStream = OutputStream.STDOUT) -> None:
        self.said.append((stream, text.encode() + b"\n"))
        for listener in self.listeners:
            listener.put((stream, text.encode() + b"\n"))

    def exit(self, status: int = 0) -> None:
        """End by itself, or be killed."""
        if self.running:
            self.running = False
            for listener in self.listeners:
                listener.put(None)
            self.listeners.clear()
            self.engine.report("die", {**self.spec.labels, "exitCode": str(status)})
            if self.spec.auto_remove:
                self.engine.forget(self.id)


Program = Callable[[FakeContainer], None]
Command = Callable[[FakeContainer, Sequence[str]], tuple[int, str]]


def silent(container: FakeContainer) -> None:
    """A program that prints nothing and never ends."""


def no_command(container: FakeContainer, argv: Sequence[str]) -> tuple[int, str]:
    return 127, f"{argv[0]}: not found"


class FakeAttachment:
    def __init__(self, container: FakeContainer, lines: "queue.SimpleQueue[Line | None]") -> None:
        self._container = container
        self._lines = lines

    def read(self) -> Iterator[Line]:
        while (line := self._lines.get()) is not None:
            yield line

    def send(self, text: bytes) -> None:
        if not self._container.running:
            raise EngineError(f"the engine could not write to {self._container.spec.name}: it does not run")
        self._container.received += text
        self._tell()

    def end_input(self) -> None:
        self._container.input_ended = True
        self._tell()

    def _tell(self) -> None:
        if self._container.on_input is not None:
            self._container.on_input()


class FakeExecution:
    def __init__(self, status: int, output: str) -> None:
        self._status = status
        self._output = output

    def read(self) -> Iterator[Line]:
        yield OutputStream.STDOUT, self._output.encode()

    def status(self) -> int:
        return self._status

    def close(self) -> None:
        return


class FakeFeed:
    def __init__(self, feed: "queue.SimpleQueue[EngineEvent | None]") -> None:
        self._feed = feed

    def read(self) -> Iterator[EngineEvent]:
        while (event := self._feed.get()) is not None:
            yield event

    def close(self) -> None:
        self._feed.put(None)
