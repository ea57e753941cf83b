"""What containers print."""

from collections.abc import Iterable
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.model.history import Event
from orchestrator.testbed.engine import OutputStream
from orchestrator.testbed.output import LONGEST_LINE_BYTES, LineSplitter, LogBook, follow_output

OUT, ERR = OutputStream.STDOUT, OutputStream.STDERR
BOOTED = b'{"t_mono_ns":1,"source":"node-1/init","event":"booted","fields":{}}\n'


def followed(tmp_path: Path, output: Iterable[tuple[OutputStream, bytes]]) -> tuple[list[str], str]:
    events: list[Event] = []
    follow_output("node-1", output, log=LogBook(tmp_path), on_event=events.append)
    log = tmp_path / "node-1.log"
    return [item.event for item in events], log.read_text() if log.exists() else ""


@given(st.lists(st.binary(max_size=20)))
def test_lines_do_not_depend_on_how_the_stream_was_cut(chunks: list[bytes]) -> None:
    splitter = LineSplitter()
    lines = [line for chunk in chunks for line in splitter.feed(chunk)] + splitter.end()
    whole = b"".join(chunks)
    assert b"\n".join(lines) == whole.removesuffix(b"\n")


def test_a_line_without_end_is_not_kept_for_ever() -> None:
    splitter = LineSplitter()
    assert splitter.feed(b"x" * (LONGEST_LINE_BYTES + 1)) == [b"x" * (LONGEST_LINE_BYTES + 1)]
    assert splitter.end() == []


def test_events_go_to_the_history_and_everything_else_to_the_log(tmp_path: Path) -> None:
    assert followed(tmp_path, [(OUT, b"hello\n" + BOOTED + b'{"no": "event"}\n')]) == (["booted"], 'hello\n{"no": "event"}\n')


def test_an_event_cut_in_two_by_a_line_of_the_other_stream_is_whole(tmp_path: Path) -> None:
    output = [(OUT, BOOTED[:20]), (ERR, b"warning\n"), (OUT, BOOTED[20:])]
    assert followed(tmp_path, output) == (["booted"], "warning\n")


def test_the_last_words_of_a_container_need_no_line_end(tmp_path: Path) -> None:
    assert followed(tmp_path, [(ERR, b"Killed")]) == ([], "Killed\n")


def test_bytes_that_are_no_text_are_kept_as_they_are(tmp_path: Path) -> None:
    follow_output("node-1", [(OUT, b"\xff\xfe\n")], log=LogBook(tmp_path), on_event=lambda event: None)
    assert (tmp_path / "node-1.log").read_bytes() == b"\xff\xfe\n"


def test_the_tail_holds_the_last_lines_of_each_container(tmp_path: Path) -> None:
    log = LogBook(tmp_path)
    for number in range(20):
        log.write("b", b"line %d" % number)
    log.write("a", b"only")
    assert log.tails().splitlines()[:2] == ["a: only", "b: line 15"]
    assert log.tail("b").splitlines()[-1] == "b: line 19"
