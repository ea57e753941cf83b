"""Commands in containers: waited for with a deadline, or only until they have answered."""

import threading
from collections.abc import Iterator

import pytest

from orchestrator.errors import DeadlineError
from orchestrator.testbed.clock import EngineClock
from orchestrator.testbed.commands import Capture, RunningCommand
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
