"""Commands on this machine, with commands that every machine has."""

import gc
import os
import signal
from pathlib import Path

import pytest

from orchestrator.errors import CommandError, DeadlineError
from orchestrator.host.command import run_command, start_daemon


def test_output_and_errors_come_back_together(tmp_path: Path) -> None:
    text = run_command(["sh", "-c", "echo out; echo err >&2"], deadline_s=5, log=tmp_path / "log")
    assert text == "out\nerr\n"
    assert (tmp_path / "log").read_text() == text


def test_failure_carries_command_status_and_the_end_of_its_output() -> None:
    with pytest.raises(CommandError, match=r"`sh -c 'echo broken; exit 3'` ended with status 3\nbroken") as caught:
        run_command(["sh", "-c", "echo broken; exit 3"], deadline_s=5)
    assert caught.value.status == 3


def test_log_is_written_when_the_command_fails(tmp_path: Path) -> None:
    with pytest.raises(CommandError):
        run_command(["sh", "-c", "echo broken; exit 3"], deadline_s=5, log=tmp_path / "log")
    assert (tmp_path / "log").read_text() == "broken\n"


def test_command_that_does_not_exist_is_named() -> None:
    with pytest.raises(CommandError, match="no-such-command: not found") as caught:
        run_command(["no-such-command"], deadline_s=5)
    assert caught.value.status == 127


def test_deadline_ends_the_command_and_shows_what_it_said() -> None:
    with pytest.raises(DeadlineError, match=r"not within 0\.2 s; last state: begun"):
        run_command(["sh", "-c", "echo begun; exec sleep 60"], deadline_s=0.2)


def test_daemon_is_watched_until_it_is_released_and_runs_on(tmp_path: Path) -> None:
    daemon = start_daemon(["sleep", "60"], log=tmp_path / "log")
    pid = daemon.pid
    assert daemon.exit_status() is None
    daemon.release()
    del daemon
    gc.collect()
    assert os.getsid(pid) == pid, "a session of its own: the terminal's signals do not reach it"
    os.kill(pid, signal.SIGKILL)
    assert os.waitpid(pid, 0)[1] == signal.SIGKILL


def test_daemon_s_end_is_seen_with_its_log(tmp_path: Path) -> None:
    daemon = start_daemon(["sh", "-c", "echo refused; exit 5"], log=tmp_path / "log")
    os.waitid(os.P_PID, daemon.pid, os.WEXITED | os.WNOWAIT)
    assert daemon.exit_status() == 5
    assert (tmp_path / "log").read_text() == "refused\n"
