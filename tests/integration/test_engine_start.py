"""A Docker Engine of the test's own, beside the machine's, through its lives: first start, kill, start over the remains."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from orchestrator.errors import EngineError, EnvironmentUnmetError
from orchestrator.host.command import start_daemon
from orchestrator.host.dockerd import EnginePaths, dockerd_argv, mount_cgroups, start_dockerd
from orchestrator.host.endpoint import EngineEndpoint
from orchestrator.host.engine import ensure_engine
from orchestrator.testbed.connection import open_client, plain_reason

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(os.geteuid() != 0 or shutil.which("dockerd") is None, reason="starts a dockerd: needs root and dockerd"),
]

DEATH_DEADLINE_S = 20.0


def silence(endpoint: EngineEndpoint) -> str | None:
    try:
        open_client(endpoint).close()
    except EngineError as error:
        return plain_reason(error)
    return None


def pids_of(paths: EnginePaths) -> dict[str, int]:
    files = {"dockerd": paths.pid_file, "containerd": paths.exec_root / "containerd" / "containerd.pid"}
    return {name: int(file.read_text()) for name, file in files.items() if file.exists()}


def kill(pid: int) -> None:
    """The end of a process, whoever its parent is."""
    handle = os.pidfd_open(pid)
    try:
        signal.pidfd_send_signal(handle, signal.SIGKILL)
        deadline = time.monotonic() + DEATH_DEADLINE_S
        while is_alive(pid) and time.monotonic() < deadline:
            time.sleep(0.02)
    finally:
        os.close(handle)
    assert not is_alive(pid)


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    if state == "Z":
        with suppress(ChildProcessError):  # not every one is ours to reap
            os.waitpid(pid, os.WNOHANG)
        return False
    return True


@pytest.fixture
def bridge() -> Iterator[str]:
    """A bridge of the test's own: `--bridge=none` would make dockerd delete docker0, which belongs to the machine's engine."""
    name = f"itbeng{os.getpid() % 100000}"
    for argv in (["link", "add", name, "type", "bridge"], ["addr", "add", "198.19.255.241/28", "dev", name]):
        subprocess.run(["ip", *argv], check=True)
    yield name
    subprocess.run(["ip", "link", "del", name], check=True)


@pytest.fixture
def paths(tmp_path_factory: pytest.TempPathFactory, bridge: str) -> Iterator[EnginePaths]:
    root = tmp_path_factory.mktemp("engine")  # short: a socket's path has 108 bytes at most (unix(7))
    paths = EnginePaths(
        socket=root / "docker.sock",
        pid_file=root / "docker.pid",
        exec_root=root / "exec",
        data_root=root / "data",
        containerd_socket=root / "no-containerd.sock",
        log=root / "dockerd.log",
        flags=(f"--bridge={bridge}", "--iptables=false", "--ip6tables=false", "--storage-driver=vfs"),
    )
    yield paths
    pids = pids_of(paths)
    if "dockerd" in pids and is_alive(pids["dockerd"]):
        os.kill(pids["dockerd"], signal.SIGTERM)
        deadline = time.monotonic() + DEATH_DEADLINE_S
        while is_alive(pids["dockerd"]) and time.monotonic() < deadline:
            time.sleep(0.05)
    for pid in pids.values():
        if is_alive(pid):
            kill(pid)
    mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for mount in sorted((mount for mount in mounts if mount.startswith(f"{root}/")), reverse=True):
        subprocess.run(["umount", "--lazy", mount], check=True)
    shutil.rmtree(root)


@pytest.fixture
def endpoint(paths: EnginePaths) -> EngineEndpoint:
    return EngineEndpoint(url=f"unix://{paths.socket}", origin="test")


def test_engine_is_started_where_none_answers_and_left_alone_where_one_does(paths: EnginePaths, endpoint: EngineEndpoint) -> None:
    told: list[str] = []
    assert ensure_engine([endpoint], silence, paths=paths, tell=told.append) == endpoint
    first = pids_of(paths)
    assert ensure_engine([endpoint], silence, paths=paths, tell=told.append) == endpoint
    assert pids_of(paths) == first
    assert told == ["starting the Docker Engine"]
    client = open_client(endpoint)
    assert client.info()["DockerRootDir"] == str(paths.data_root)
    client.close()


def test_engine_starts_over_the_remains_of_a_killed_one(paths: EnginePaths, endpoint: EngineEndpoint) -> None:
    ensure_engine([endpoint], silence, paths=paths)
    before = pids_of(paths)
    for pid in before.values():
        if is_alive(pid):
            kill(pid)
    assert paths.socket.exists()
    with subprocess.Popen(["sleep", "120"]) as stranger:  # process ids are used again
        try:
            paths.pid_file.write_text(str(stranger.pid))
            (paths.exec_root / "containerd" / "containerd.pid").write_text(str(stranger.pid))
            ensure_engine([endpoint], silence, paths=paths)
            assert stranger.poll() is None
        finally:
            stranger.kill()
    assert pids_of(paths).keys() == before.keys()
    assert stranger.pid not in pids_of(paths).values()


def test_containerd_that_outlived_its_engine_is_replaced(paths: EnginePaths, endpoint: EngineEndpoint) -> None:
    ensure_engine([endpoint], silence, paths=paths)
    before = pids_of(paths)
    kill(before["dockerd"])
    ensure_engine([endpoint], silence, paths=paths)
    assert pids_of(paths)["dockerd"] != before["dockerd"]
    assert not is_alive(before["containerd"])


def test_engine_that_another_starts_at_the_same_moment_is_taken(paths: EnginePaths, endpoint: EngineEndpoint) -> None:
    other = start_daemon(dockerd_argv(paths), log=paths.log)
    deadline = time.monotonic() + DEATH_DEADLINE_S
    while not paths.log.read_text() and time.monotonic() < deadline:
        time.sleep(0.005)  # until it lives, which is before it answers
    start_dockerd(paths, lambda: silence(endpoint))
    assert pids_of(paths)["dockerd"] == other.pid
    other.release()


def test_engine_that_cannot_start_says_why_with_the_end_of_its_log(paths: EnginePaths, endpoint: EngineEndpoint) -> None:
    refused = EnginePaths(
        socket=paths.socket, pid_file=paths.pid_file, exec_root=paths.exec_root, log=paths.log, flags=("--no-such-flag",)
    )
    began = time.monotonic()
    with pytest.raises(EnvironmentUnmetError, match=r"ended with status 1\d*\n.*unknown flag: --no-such-flag") as caught:
        start_dockerd(refused, lambda: silence(endpoint))
    assert str(paths.log) in str(caught.value.hint)
    assert time.monotonic() - began < 10


def test_unified_cgroups_are_mounted_where_nothing_is(tmp_path: Path) -> None:
    mount_cgroups(tmp_path)
    try:
        assert (tmp_path / "cgroup.procs").exists()
        mount_cgroups(tmp_path)
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)
    assert not tmp_path.is_mount()
