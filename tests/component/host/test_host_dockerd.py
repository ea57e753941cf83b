"""What is taken away before an engine is started, and how its start is watched, with files and processes of the test."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.errors import EnvironmentUnmetError
from orchestrator.host.dockerd import EnginePaths, clear_remains, dockerd_argv, is_program, is_stale_socket, start_dockerd

DEAD_PID = 2**22 + 1  # above the largest that Linux gives (proc(5), pid_max)


@pytest.fixture
def paths(tmp_path: Path) -> EnginePaths:
    (tmp_path / "exec" / "containerd").mkdir(parents=True)
    return EnginePaths(
        socket=tmp_path / "d.sock",
        pid_file=tmp_path / "d.pid",
        exec_root=tmp_path / "exec",
        data_root=tmp_path / "data",
        containerd_socket=tmp_path / "c.sock",
        log=tmp_path / "d.log",
    )


def write_process(proc: Path, pid: int, *argv: str) -> None:
    (proc / str(pid)).mkdir(parents=True)
    (proc / str(pid) / "cmdline").write_bytes(b"\0".join(part.encode() for part in argv) + b"\0")


@pytest.fixture
def listening(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "listening.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(str(path))
        server.listen()
        yield path


def leave_stale_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(str(path))


def test_default_paths_are_not_passed_on_since_the_configuration_file_may_set_them() -> None:
    assert dockerd_argv(EnginePaths()) == ("dockerd",)


def test_paths_that_differ_become_flags(paths: EnginePaths, tmp_path: Path) -> None:
    assert dockerd_argv(paths) == (
        "dockerd",
        f"--host=unix://{tmp_path}/d.sock",
        f"--pidfile={tmp_path}/d.pid",
        f"--exec-root={tmp_path}/exec",
        f"--data-root={tmp_path}/data",
    )


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (("/usr/bin/dockerd", "--pidfile=/x/d.pid"), True),
        (("dockerd", "--pidfile=/x/d.pid"), True),
        (("/usr/bin/dockerd", "-H", "fd://"), False),
        (("/usr/bin/vim", "/x/d.pid"), False),
        (("vim", "dockerd", "/x/d.pid"), False),
    ],
)
def test_process_of_a_pid_file_is_known_by_program_and_mark(tmp_path: Path, argv: tuple[str, ...], expected: bool) -> None:
    write_process(tmp_path / "proc", 4711, *argv)
    (tmp_path / "d.pid").write_text("4711\n")
    assert is_program(tmp_path / "d.pid", "dockerd", "/x/d.pid", tmp_path / "proc") is expected


@pytest.mark.parametrize("content", ["", "not a number", str(DEAD_PID)])
def test_pid_file_without_a_living_process_names_no_program(tmp_path: Path, content: str) -> None:
    (tmp_path / "d.pid").write_text(content)
    assert not is_program(tmp_path / "d.pid", "dockerd", None)


def test_pid_files_of_strangers_and_sockets_of_the_dead_are_removed(paths: EnginePaths, tmp_path: Path) -> None:
    write_process(tmp_path / "proc", os.getpid(), "pytest", str(paths.exec_root))
    managed = paths.exec_root / "containerd"
    for file in (paths.pid_file, managed / "containerd.pid"):
        file.write_text(str(os.getpid()))
    leave_stale_socket(managed / "containerd.sock")
    leave_stale_socket(paths.containerd_socket)
    clear_remains(paths, tmp_path / "proc")
    assert not paths.pid_file.exists()
    assert list(managed.iterdir()) == []
    assert not paths.containerd_socket.exists()


def test_pid_file_of_the_living_engine_stays(paths: EnginePaths, tmp_path: Path) -> None:
    write_process(tmp_path / "proc", os.getpid(), "dockerd", f"--pidfile={paths.pid_file}")
    paths.pid_file.write_text(str(os.getpid()))
    clear_remains(paths, tmp_path / "proc")
    assert paths.pid_file.exists()


def test_socket_is_stale_only_where_nobody_listens(listening: Path, tmp_path: Path) -> None:
    leave_stale_socket(tmp_path / "stale.sock")
    assert is_stale_socket(tmp_path / "stale.sock")
    assert not is_stale_socket(listening)
    assert not is_stale_socket(tmp_path / "absent.sock")


class Clock:
    """Time that passes only while one sleeps."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s

    def sleep(self, duration_s: float) -> None:
        self.now_s += duration_s


def test_engine_that_is_starting_already_is_waited_for(paths: EnginePaths, tmp_path: Path) -> None:
    write_process(tmp_path / "proc", 4711, "dockerd", f"--pidfile={paths.pid_file}")
    paths.pid_file.write_text("4711")
    answers = iter(["connection refused", "connection refused", None])
    clock = Clock()
    start_dockerd(paths, lambda: next(answers), clock=clock, sleep=clock.sleep, proc=tmp_path / "proc")
    assert clock.now_s > 0
    assert not paths.log.exists(), "no second one was started"


def test_engine_that_never_answers_is_reported_with_the_last_reason_and_its_log(paths: EnginePaths, tmp_path: Path) -> None:
    write_process(tmp_path / "proc", 4711, "dockerd", f"--pidfile={paths.pid_file}")
    paths.pid_file.write_text("4711")
    paths.log.write_text("\n".join(f"line {number}" for number in range(30)))
    clock = Clock()
    with pytest.raises(EnvironmentUnmetError, match=r"within 60 s \(Connection refused\)\n  line 15\n") as caught:
        start_dockerd(paths, lambda: "Connection refused", clock=clock, sleep=clock.sleep, proc=tmp_path / "proc")
    assert "line 29" in str(caught.value)
    assert 60 <= clock.now_s < 61
