"""Messages and orders of the processes that work for faults; what they do to a kernel is tested in real containers."""

import errno
import os
import socket
import struct
import threading
import time

import pytest

from testbed_init.conntrack_filling import MARK, render_entries
from testbed_init.delaying import LONGEST_AGE_NS, came_ns
from testbed_init.netfilter_messages import parse_attributes, parse_errors, render_attribute, render_message
from testbed_init.orders import answer
from testbed_init.tools import KernelError, StartedHelper, StartedTool, run_tool


def test_attributes_are_padded_to_four_bytes_and_come_back_as_they_were() -> None:
    attributes = [(1, b"abc"), (2, b"abcd"), (3, b"")]
    message = render_message(3, 2, b"".join(render_attribute(kind, value) for kind, value in attributes), resource=61000)
    assert len(message) % 4 == 0
    assert struct.unpack_from("=IH", message) == (len(message), 3 << 8 | 2)
    assert struct.unpack_from(">H", message, 18) == (61000,)
    assert list(parse_attributes(message)) == attributes


@pytest.mark.parametrize("status", [0, errno.ENOMEM])
def test_acknowledgements_tell_the_status_of_each_message_of_a_batch(status: int) -> None:
    acknowledgement = struct.pack("=IHHIIi", 36, 2, 0, 0, 0, -status) + b"\0" * 16
    assert list(parse_errors(acknowledgement * 3)) == [status] * 3


def test_no_two_filled_in_entries_are_the_same_flow_and_all_carry_the_mark() -> None:
    size = len(render_entries(range(1)))
    batch = render_entries(range(32766, 32770))
    entries = [batch[at : at + size] for at in range(0, len(batch), size)]
    assert len(set(entries)) == 4
    assert entries[2] == render_entries(range(32768, 32769))
    for entry in entries:
        assert struct.unpack_from("=I", entry) == (size,)
        assert entry[16] == socket.AF_INET
        attributes = dict(parse_attributes(entry))
        assert struct.unpack(">I", attributes[8]) == (MARK,)


def test_a_packet_waits_from_its_stamp_on_and_never_from_before_what_is_plausible() -> None:
    def stamp(age_ns: int) -> bytes:
        at_ns = time.time_ns() - age_ns
        return struct.pack(">QQ", at_ns // 1_000_000_000, at_ns % 1_000_000_000 // 1000)

    before_ns = time.monotonic_ns()
    assert came_ns(None) >= before_ns
    assert before_ns - 20_001_000 <= came_ns(stamp(20_000_000)) <= time.monotonic_ns() - 19_000_000
    assert came_ns(stamp(3600 * 1_000_000_000)) >= before_ns - LONGEST_AGE_NS
    assert came_ns(stamp(-3600 * 1_000_000_000)) >= before_ns


class Worker:
    def obey(self, verb: str, words: list[str]) -> str | None:
        if verb == "fail":
            raise OSError(errno.EPERM, "Operation not permitted")
        return " ".join(words) if verb == "echo" else None

    def descriptors(self) -> tuple[int, ...]:
        return ()

    def due_s(self) -> float | None:
        return None

    def advance(self) -> None:
        return

    def end(self) -> None:
        return


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("echo 1 2", "ok 1 2"),
        ("fail", "error Operation not permitted"),
        ("dance", "error unknown order dance"),
        ("", "error no order"),
    ],
)
def test_every_order_is_answered(line: str, expected: str) -> None:
    assert answer(Worker(), line) == expected


def test_a_started_tool_acts_when_it_gets_its_input() -> None:
    tool = StartedTool(["sh", "-c", "cat; echo done"])
    assert tool.finish(b"text ") == b"text done\n"


def test_a_tool_that_fails_says_how_and_why() -> None:
    with pytest.raises(KernelError, match=r"`sh -c echo no >&2; exit 3` gave 3: no"):
        run_tool(["sh", "-c", "echo no >&2; exit 3"])
    with pytest.raises(KernelError, match="cannot start no-such-tool: No such file or directory"):
        run_tool(["no-such-tool"])


def test_a_tool_can_seek_in_its_input() -> None:
    assert run_tool(["sh", "-c", "test -f /dev/stdin && cat"], text=b"kept") == b"kept"


def test_a_helper_answers_line_by_line_and_ends_with_its_input() -> None:
    helper = StartedHelper(["sh", "-c", "while read -r line; do echo ok $line; done"])
    helper.tell("first")
    assert helper.order("second") == "second"
    helper.end()
    ended = threading.Event()
    threading.Thread(target=lambda: (os.waitpid(helper.pid, 0), ended.set()), daemon=True).start()
    assert ended.wait(10)


def test_a_helper_that_has_ended_is_an_error() -> None:
    helper = StartedHelper(["sh", "-c", "read -r line"])
    with pytest.raises(KernelError, match=r"it has ended|Broken pipe"):
        helper.order("anything")
    helper.end()
    os.waitpid(helper.pid, 0)
