"""Commands in containers: waited for with a deadline, or only until they have answered."""

import threading
from collections.abc import Iterator

import pytest

from orchestrator.errors import DeadlineError
from orchestrator.testbed.clock import EngineClock
from orchestrator.testbed.commands import Capture, RunningCommand, passing_on
from orchestrator.testbed.engine import OutputStream


class Frozen:
    """A command that answers and then never ends, as one does in a container whose processes are stopped."""

    def __init__(self, *answers: bytes) -> None:
        self._answers = answers
        self.closed = threading.Event()

    def read(self) -> Iterator[tuple[OutputStream, bytes]]:
        for answer in self._answers:
            yield OutputStream.STDOUT, answer
        self.closed.wait(10)

    def status(self) -> None:
        return None

    def close(self) -> None:
        self.closed.set()


def run(execution: Frozen) -> tuple[Capture, RunningCommand]:
    capture, stop = Capture(), threading.Event()
    clock = EngineClock(offset_ns=0, stop=stop)
    return capture, RunningCommand("node-1", ["testbed-ctl"], execution, capture.take, clock=clock, stop=stop)


def test_an_answer_is_enough_although_the_command_never_ends() -> None:
    execution = Frozen(b'{"ok": ', b"true}\n")
    capture, command = run(execution)
    command.wait(5, enough=capture.has_line)
    assert capture.stdout == '{"ok": true}\n'
    assert execution.closed.is_set()


def test_half_an_answer_is_not_enough() -> None:
    execution = Frozen(b'{"ok": ')
    capture, command = run(execution)
    with pytest.raises(DeadlineError):
        command.wait(0.2, enough=capture.has_line)
    assert execution.closed.is_set()


class Failing(Frozen):
    """Says something on both outputs, and ends with a status of its own when it may."""

    def read(self) -> Iterator[tuple[OutputStream, bytes]]:
        yield OutputStream.STDOUT, b"half a line"
        yield OutputStream.STDERR, b"no such table\n"
        self.closed.wait(10)

    def status(self) -> int:  # type: ignore[override]
        return 3


def test_output_is_handed_on_as_it_comes_and_the_status_is_the_commands_own() -> None:
    execution, stop, heard = Failing(), threading.Event(), list[tuple[OutputStream, bytes]]()
    both = threading.Event()

    def hear(stream: OutputStream, chunk: bytes) -> None:
        heard.append((stream, chunk))
        if stream is OutputStream.STDERR:
            both.set()

    clock = EngineClock(offset_ns=0, stop=stop)
    command = RunningCommand("node-1", ["nft"], execution, passing_on(hear), clock=clock, stop=stop)
    assert both.wait(5)
    assert not command.has_ended
    execution.closed.set()
    assert command.wait_status(5) == 3
    assert heard == [(OutputStream.STDOUT, b"half a line"), (OutputStream.STDERR, b"no such table\n")]
