"""The iptables-restore that stays and waits: a program that holds its conversation, as a real process.

The real one holds it in tests/integration/test_node_rules.py.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from nodeagent.proxy.iptables.tools import IptablesTools
from nodeagent.proxy.rules import RulesError

# Notes each start; repeats comments, keeps what is committed, ends at what it does not know, with words.
PROGRAM = """
import os, sys, time
from pathlib import Path
directory = Path(sys.argv[1])
with (directory / "starts").open("a") as starts:
    starts.write(f"{os.getpid()}\\n")
pending = []
for line in sys.stdin:
    if line.startswith("#"):
        sys.stdout.write(line)
        sys.stdout.flush()
    elif line == "COMMIT\\n":
        with (directory / "committed").open("a") as committed:
            committed.write("".join(pending))
        pending = []
    elif line == "sleep\\n":
        time.sleep(60)
    elif line == "warn\\n":
        sys.stderr.write("this is going out of use\\n")
    elif line == "fail\\n":
        sys.stderr.write("restore: line 2 failed: No chain/target/match by that name.\\n")
        sys.exit(1)
    else:
        pending.append(line)
"""


class World:
    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.argv = [sys.executable, "-c", PROGRAM, str(directory)]

    @property
    def starts(self) -> list[int]:
        return [int(line) for line in (self.directory / "starts").read_text().splitlines()]

    @property
    def committed(self) -> list[str]:
        return (self.directory / "committed").read_text().splitlines()


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture
def tools(world: World) -> Iterator[IptablesTools]:
    with closing(IptablesTools(world.argv)) as tools:
        yield tools


def test_one_process_restores_again_and_again(world: World, tools: IptablesTools) -> None:
    for number in range(3):
        tools.restore(f"rule {number}\nCOMMIT\n")
        assert world.committed[-1] == f"rule {number}"
    assert len(world.starts) == 1


def test_more_than_a_pipe_holds_is_restored(world: World, tools: IptablesTools) -> None:
    rules = [f"rule {number}" for number in range(50_000)]
    tools.restore("\n".join((*rules, "COMMIT", "")))
    assert world.committed == rules


def test_refusal_is_told_in_the_programs_words_and_the_next_one_gets_a_new_process(world: World, tools: IptablesTools) -> None:
    with pytest.raises(RulesError, match="gave 1: restore: line 2 failed: No chain/target/match by that name"):
        tools.restore("before\nCOMMIT\nfail\nafter\nCOMMIT\n")
    assert world.committed == ["before"]
    tools.restore("again\nCOMMIT\n")
    assert world.committed == ["before", "again"]
    assert len(world.starts) == 2


def test_refusal_in_more_than_a_pipe_holds_is_told_all_the_same(tools: IptablesTools) -> None:
    with pytest.raises(RulesError, match="gave 1: restore: line 2"):
        tools.restore("fail\n" + "rule\n" * 50_000)


def test_warning_is_no_refusal(world: World, tools: IptablesTools) -> None:
    tools.restore("warn\nrule\nCOMMIT\n")
    assert world.committed == ["rule"]


def test_process_that_was_killed_while_it_waited_is_replaced(world: World, tools: IptablesTools) -> None:
    tools.restore("one\nCOMMIT\n")
    os.kill(world.starts[0], signal.SIGKILL)
    _await_end(world.starts[0])
    tools.restore("two\nCOMMIT\n")
    assert world.committed == ["one", "two"]


def test_process_that_does_not_answer_is_killed_at_the_deadline(world: World) -> None:
    with closing(IptablesTools(world.argv, deadline_s=1.0)) as tools:
        with pytest.raises(RulesError, match="gave -9: no words"):
            tools.restore("sleep\nCOMMIT\n")
        tools.restore("rule\nCOMMIT\n")
    assert world.committed == ["rule"]


def test_program_that_is_not_there_is_told() -> None:
    with pytest.raises(RulesError, match="No such file"):
        IptablesTools(["/nowhere/iptables-restore"]).restore("COMMIT\n")


def test_process_ends_when_it_is_given_up(world: World) -> None:
    with closing(IptablesTools(world.argv)) as tools:
        tools.restore("rule\nCOMMIT\n")
        (process,) = world.starts
        assert Path(f"/proc/{process}").exists()
    assert not Path(f"/proc/{process}").exists()


def _await_end(process: int) -> None:
    """Until it is a zombie, which only its parent can take away."""
    deadline = time.monotonic() + 5
    while Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
        assert time.monotonic() < deadline
        time.sleep(0.01)
