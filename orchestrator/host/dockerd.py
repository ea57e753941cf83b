"""The engine's process on this machine: starts `dockerd`, also over what a killed one left behind. Must not choose an engine."""

import fcntl
import os
import select
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path

from orchestrator.errors import CommandError, EnvironmentUnmetError
from orchestrator.host.command import Daemon, run_command, start_daemon

START_DEADLINE_S = 60.0
STOP_DEADLINE_S = 10.0
POLL_INTERVAL_S = 0.1
LOG_TAIL_LINES = 15
SYSTEMD = Path("/run/systemd/system")
CGROUPS = Path("/sys/fs/cgroup")
PROC = Path("/proc")

Probe = Callable[[], str | None]
"""Why the engine does not answer, or None where it does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnginePaths:
    """Where a `dockerd` keeps its files. The defaults are its own, and are not passed on: daemon.json may set them too."""

    socket: Path = Path("/var/run/docker.sock")
    pid_file: Path = Path("/var/run/docker.pid")
    exec_root: Path = Path("/var/run/docker")
    data_root: Path = Path("/var/lib/docker")
    containerd_socket: Path = Path("/run/containerd/containerd.sock")
    log: Path = Path("/var/log/dockerd.log")
    flags: tuple[str, ...] = ()

    @property
    def is_default(self) -> bool:
        return self == EnginePaths()


def dockerd_argv(paths: EnginePaths) -> tuple[str, ...]:
    """The command line for these paths. A flag that daemon.json sets too keeps dockerd from starting, so only what differs."""
    flags = {
        "socket": "--host=unix://{}",
        "pid_file": "--pidfile={}",
        "exec_root": "--exec-root={}",
        "data_root": "--data-root={}",
    }
    differing = (
        flags[field.name].format(getattr(paths, field.name))
        for field in fields(paths)
        if field.name in flags and getattr(paths, field.name) != field.default
    )
    return ("dockerd", *differing, *paths.flags)


def start_dockerd(
    paths: EnginePaths,
    probe: Probe,
    *,
    deadline_s: float = START_DEADLINE_S,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
    proc: Path = PROC,
) -> None:
    """Start the engine unless it is starting already, and wait for its answer. By systemd where that runs, else detached.

    Raises:
        EnvironmentUnmetError: it ended, or did not answer in time; the message has the end of its log.
    """
    daemon: Daemon | None = None
    if not is_program(paths.pid_file, "dockerd", _own_mark(paths), proc):
        clear_remains(paths, proc)
        if SYSTEMD.is_dir() and paths.is_default:  # sd_booted(3)
            _start_service()
        else:
            mount_cgroups()
            paths.log.parent.mkdir(parents=True, exist_ok=True)
            daemon = start_daemon(dockerd_argv(paths), log=paths.log)
    ends = clock() + deadline_s
    while (silence := probe()) is not None:
        status = daemon.exit_status() if daemon is not None else None
        # It gives way to another one that was started at the same moment, by the package's installation for example.
        if status is not None and not is_program(paths.pid_file, "dockerd", _own_mark(paths), proc):
            raise _not_started(paths, f"dockerd ended with status {status}")
        if clock() > ends:
            raise _not_started(paths, f"dockerd did not answer within {deadline_s:g} s ({silence})")
        sleep(POLL_INTERVAL_S)
    if daemon is not None:
        daemon.release()


@contextmanager
def one_at_a_time(paths: EnginePaths) -> Iterator[None]:
    """Holds back a second starter on this machine until the first is through (flock(2); the lock ends with its process)."""
    paths.log.parent.mkdir(parents=True, exist_ok=True)
    with paths.log.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def clear_remains(paths: EnginePaths, proc: Path = PROC) -> None:
    """Take away what a killed engine left in the way of the next one; containers and networks dockerd tidies itself.

    dockerd refuses to start while the process id in its pid file belongs to any process, even another program's; it takes any
    process with the id of its containerd for that containerd, and the mere presence of the system's containerd socket for a
    running one. Only a containerd whose command line names this very exec root is ended.
    """
    if not is_program(paths.pid_file, "dockerd", _own_mark(paths), proc):
        paths.pid_file.unlink(missing_ok=True)
    managed = paths.exec_root / "containerd"
    if is_program(managed / "containerd.pid", "containerd", str(paths.exec_root), proc):
        _end(int((managed / "containerd.pid").read_text(encoding="ascii")))
    for name in ("containerd.pid", "containerd.sock", "containerd.sock.ttrpc", "containerd-debug.sock"):
        (managed / name).unlink(missing_ok=True)
    if is_stale_socket(paths.containerd_socket):
        paths.containerd_socket.unlink()


def is_stale_socket(path: Path) -> bool:
    """True where a socket lies that nobody listens on."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            return True
        except OSError:
            return False
    return False


def is_program(pid_file: Path, program: str, mark: str | None, proc: Path = PROC) -> bool:
    """True where the process of a pid file lives, is `program` and has `mark` on its command line. Process ids are used again."""
    try:
        pid = int(pid_file.read_text(encoding="ascii"))
        argv = (proc / str(pid) / "cmdline").read_bytes().decode(errors="replace").split("\0")
    except (OSError, ValueError):
        return False
    return Path(argv[0]).name == program and (mark is None or any(mark in part for part in argv[1:]))


def mount_cgroups(mount_point: Path = CGROUPS) -> None:
    """Mount the unified hierarchy where no init system has mounted any (cgroups(7)); dockerd does not start without."""
    if not mount_point.is_mount():
        run_command(["mount", "-t", "cgroup2", "none", str(mount_point)], deadline_s=10.0)


def _own_mark(paths: EnginePaths) -> str | None:
    """What tells our dockerd's command line from another dockerd's; the default one has no flags."""
    return None if paths.pid_file == EnginePaths().pid_file else str(paths.pid_file)


def _start_service() -> None:
    try:
        # An engine that failed five times is not started again before this (systemd.unit(5), StartLimitBurst).
        run_command(["systemctl", "reset-failed", "docker.service", "docker.socket"], deadline_s=10.0)
        run_command(["systemctl", "start", "docker.service"], deadline_s=START_DEADLINE_S)
    except CommandError as error:
        raise EnvironmentUnmetError(f"the Docker Engine does not start: {error}", hint="see journalctl -u docker") from error


def _end(pid: int) -> None:
    # A reference to this very process, which becomes readable at its end: the id may be another's by then (pidfd_open(2)).
    handle = os.pidfd_open(pid)
    try:
        signal.pidfd_send_signal(handle, signal.SIGTERM)
        ended, _, _ = select.select([handle], [], [], STOP_DEADLINE_S)
        if not ended:
            signal.pidfd_send_signal(handle, signal.SIGKILL)
    finally:
        os.close(handle)


def _not_started(paths: EnginePaths, what: str) -> EnvironmentUnmetError:
    log = paths.log.read_text(encoding="utf-8", errors="replace").splitlines() if paths.log.is_file() else []
    telling = [line for line in log if "level=info" not in line]
    tail = "\n".join(f"  {line}" for line in telling[-LOG_TAIL_LINES:])
    return EnvironmentUnmetError(f"the Docker Engine does not start: {what}\n{tail}".rstrip(), hint=f"its log: {paths.log}")
