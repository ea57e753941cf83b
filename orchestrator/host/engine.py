"""Finds a Docker Engine, or installs and starts one where this machine is ours to do so. Must not talk to the engine itself."""

import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from orchestrator.errors import DeadlineError, EnvironmentUnmetError
from orchestrator.host.command import run_command, start_daemon
from orchestrator.host.debian import can_install, install_packages

START_DEADLINE_S = 60.0
PACKAGES = ("docker.io", "iptables")
DEFAULT_HOST = "unix:///var/run/docker.sock"

Answers = Callable[[str], bool]
"""Whether an engine answers at a host URL; the caller's, since it has the client library."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnginePaths:
    """Where a `dockerd` that we start keeps its files, and further flags for it."""

    socket: Path = Path("/var/run/docker.sock")
    pid_file: Path = Path("/var/run/docker.pid")
    exec_root: Path = Path("/var/run/docker")
    log: Path = Path("/var/log/dockerd.log")
    flags: tuple[str, ...] = ()

    @property
    def host(self) -> str:
        return f"unix://{self.socket}"


def find_host(environment: Mapping[str, str], home: Path) -> str:
    """The engine that the user's own tools would use: DOCKER_HOST, the current docker context, else the default socket."""
    if host := environment.get("DOCKER_HOST"):
        return host
    context = environment.get("DOCKER_CONTEXT") or _current_context(home)
    if context and context != "default" and (host := _context_host(home, context)):
        return host
    rootless = Path(environment.get("XDG_RUNTIME_DIR", "/nonexistent")) / "docker.sock"
    if not Path("/var/run/docker.sock").exists() and rootless.exists():
        return f"unix://{rootless}"
    return DEFAULT_HOST


def _current_context(home: Path) -> str | None:
    try:
        config = json.loads((home / ".docker" / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return config.get("currentContext") if isinstance(config, dict) else None


def _context_host(home: Path, name: str) -> str | None:
    for file in (home / ".docker" / "contexts" / "meta").glob("*/meta.json"):
        try:
            meta = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(meta, dict) and meta.get("Name") == name:
            host = meta.get("Endpoints", {}).get("docker", {}).get("Host")
            return str(host) if host else None
    return None


def ensure_engine(answers: Answers, *, paths: EnginePaths | None = None, tell: Callable[[str], None] = lambda text: None) -> str:
    """The host URL of an engine that answers. Installs and starts one on Debian or Ubuntu as root; idempotent.

    Raises:
        EnvironmentUnmetError: none answers and starting one is not ours to do; the hint has the exact command.
        CommandError: the installation failed. DeadlineError: the engine was started and did not answer in time.
    """
    host = find_host(os.environ, Path.home()) if paths is None else paths.host
    if answers(host):
        return host
    paths = paths or EnginePaths()
    if host != paths.host and host != DEFAULT_HOST:
        raise EnvironmentUnmetError(
            f"no Docker Engine answers at {host}", hint="start it, or unset DOCKER_HOST and the docker context"
        )
    if shutil.which("dockerd") is None:
        if not can_install():
            raise EnvironmentUnmetError(
                f"no Docker Engine answers at {host}",
                hint="install one, for example: sudo apt-get install --no-install-recommends docker.io iptables",
            )
        tell(f"installing {', '.join(PACKAGES)}")
        install_packages(PACKAGES, reason="running containers")
        if answers(host):  # the package's own service may have started it
            return host
    if os.geteuid() != 0:
        raise EnvironmentUnmetError(
            f"no Docker Engine answers at {host}", hint="start it, for example: sudo systemctl start docker"
        )
    tell("starting the Docker Engine")
    _start(paths)
    _await_answer(answers, host, paths)
    return host


def _start(paths: EnginePaths) -> None:
    if Path("/run/systemd/system").is_dir() and paths == EnginePaths():  # sd_booted(3)
        run_command(["systemctl", "start", "docker"], deadline_s=START_DEADLINE_S)
        return
    clear_remains(paths)
    argv = ["dockerd", "--host", paths.host, "--pidfile", str(paths.pid_file), "--exec-root", str(paths.exec_root), *paths.flags]
    start_daemon(argv, log=paths.log)


def clear_remains(paths: EnginePaths, proc: Path = Path("/proc")) -> None:
    """Take away what an engine that was killed left in the way of the next one.

    dockerd refuses to start while the process id in its pid file belongs to any process, even to another program's; its
    containerd may have outlived it, or have left a pid file that now names a stranger. Only processes whose command line names
    these very files are ended.
    """
    if not _is_program(proc, paths.pid_file, "dockerd", str(paths.pid_file)):
        paths.pid_file.unlink(missing_ok=True)
    containerd_pid = paths.exec_root / "containerd" / "containerd.pid"
    if _is_program(proc, containerd_pid, "containerd", str(paths.exec_root)):
        _end(proc, int(containerd_pid.read_text(encoding="ascii")))
    for name in ("containerd.pid", "containerd.sock", "containerd.sock.ttrpc", "containerd-debug.sock"):
        (paths.exec_root / "containerd" / name).unlink(missing_ok=True)


def _is_program(proc: Path, pid_file: Path, program: str, argument: str) -> bool:
    try:
        pid = int(pid_file.read_text(encoding="ascii"))
        argv = (proc / str(pid) / "cmdline").read_bytes().decode(errors="replace").split("\0")
    except (OSError, ValueError):
        return False
    default = argument == str(EnginePaths().pid_file)
    return Path(argv[0]).name == program and (default or any(argument in part for part in argv[1:]))


def _end(proc: Path, pid: int, deadline_s: float = 10.0) -> None:
    os.kill(pid, signal.SIGTERM)
    ends = time.monotonic() + deadline_s
    while (proc / str(pid)).exists():
        if time.monotonic() > ends:
            os.kill(pid, signal.SIGKILL)
            return
        time.sleep(0.05)


def _await_answer(answers: Answers, host: str, paths: EnginePaths) -> None:
    ends = time.monotonic() + START_DEADLINE_S
    while not answers(host):
        if time.monotonic() > ends:
            tail = paths.log.read_text(encoding="utf-8", errors="replace").splitlines()[-15:] if paths.log.exists() else []
            raise DeadlineError(
                "an answer of the Docker Engine", START_DEADLINE_S, "\n".join(tail) or "no log", hint=f"see {paths.log}"
            )
        time.sleep(0.1)
