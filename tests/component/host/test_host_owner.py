"""A process is told from every other, and known to be gone as soon as it has ended."""

import subprocess
import sys
from pathlib import Path

from orchestrator.host.owner import is_gone, name_owner


def test_living_process_is_not_gone_and_an_ended_one_is() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        owner = name_owner(process.pid)
        assert is_gone(owner) is False
        process.kill()
        # A zombie until it is waited for: gone all the same.
        while is_gone(owner) is False:
            pass
    assert is_gone(owner) is True
    assert is_gone(name_owner()) is False


def test_later_process_with_the_same_number_is_another() -> None:
    *world, started = name_owner().split("/")
    assert is_gone("/".join((*world, f"{int(started) - 1}"))) is True


def test_nothing_is_known_of_another_machine_or_of_what_is_no_owner() -> None:
    assert is_gone(name_owner().replace("/", "0/", 1)) is None
    assert is_gone("") is None
    assert is_gone("1") is None


def test_without_proc_nothing_is_named_and_nothing_is_gone(tmp_path: Path) -> None:
    assert name_owner(proc=tmp_path) == ""
    assert is_gone(name_owner(), proc=tmp_path) is None
