"""The container's processes: started in order, reaped, restarted within a budget, stopped."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from testbed_init.config import ProcessConfig
from testbed_init.events import Clock, EventSink

RESTART_DELAY_NS = 200_000_000
RESTART_LIMIT = 20
STOP_GRACE_NS = 3_000_000_000
"""From SIGTERM to SIGKILL; `docker stop` itself kills after 10 s."""


class UnknownProcessError(ValueError):
    """No process of that name."""


class Spawner(Protocol):
    """How processes come to life, are signalled and are buried."""

    def spawn(self, argv: Sequence[str]) -> int:
        """Start and return the pid."""

    def signal(self, pid: int, number: int) -> None:
        """kill(2)."""

    def reap(self) -> Mapping[int, int]:
        """Exit status (negative: signal) of every child that has ended, orphans included."""


class PosixSpawner:
    """The real one."""

    def spawn(self, argv: Sequence[str]) -> int:
        """Start in a session of its own, so that a signal to init's group stays init's.

        SIGPIPE and SIGXFSZ go back to their defaults: Python ignores them, and ignored signals survive exec.
        """
        return os.posix_spawnp(
            argv[0], tuple(argv), os.environ, setsid=True, setsigmask=(), setsigdef=(signal.SIGPIPE, signal.SIGXFSZ)
        )

    def signal(self, pid: int, number: int) -> None:
        """kill(2); a process that has just ended is not an error."""
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return

    def reap(self) -> Mapping[int, int]:
        """Everything that waitpid(2) has, without blocking."""
        ended: dict[int, int] = {}
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return ended
            if pid == 0:
                return ended
            ended[pid] = os.waitstatus_to_exitcode(status)


@dataclass(slots=True, kw_only=True)
class Process:
    """One process and what is wanted of it."""

    config: ProcessConfig
    pid: int | None = None
    wanted: bool = True
    held: bool = False
    """A fault wants it dead: it is not restarted until it is released."""
    restarts: int = 0
    start_at_ns: int | None = None
    kill_at_ns: int | None = None

    def next_ns(self) -> int | None:
        """When something is to be done for it next."""
        return min((at for at in (self.start_at_ns, self.kill_at_ns) if at is not None), default=None)


@dataclass(slots=True, kw_only=True)
class Supervisor:
    """All of them, by name, in the order of the configuration."""

    spawner: Spawner
    clock: Clock
    events: EventSink
    processes: dict[str, Process] = field(default_factory=dict)

    def add(self, config: ProcessConfig) -> None:
        """Take a process on and start it."""
        process = Process(config=config)
        self.processes[config.name] = process
        self._spawn(process)

    def start(self, name: str) -> None:
        """Start it if it does not run, with a fresh restart budget."""
        process = self._find(name)
        process.wanted, process.held, process.restarts, process.kill_at_ns = True, False, 0, None
        if process.pid is None:
            self._spawn(process)

    def stop(self, name: str) -> None:
        """SIGTERM, SIGKILL after the grace; it is not restarted."""
        process = self._find(name)
        process.wanted, process.start_at_ns = False, None
        if process.pid is not None:
            self.spawner.signal(process.pid, signal.SIGTERM)
            # A frozen process gets its SIGTERM only once it runs again.
            self.spawner.signal(process.pid, signal.SIGCONT)
            process.kill_at_ns = self.clock() + STOP_GRACE_NS

    def hold(self, name: str) -> None:
        """No restarts from now on, not even one that is due."""
        process = self._find(name)
        process.held, process.start_at_ns = True, None

    def release(self, name: str) -> None:
        """Restarts again; started at once if it was wanted and does not run."""
        process = self._find(name)
        process.held = False
        if process.wanted and process.pid is None:
            self._spawn(process)

    def stop_all(self) -> None:
        """Stop every process, the last started first."""
        for name in reversed(tuple(self.processes)):
            self.stop(name)

    def signal(self, name: str, number: int) -> bool:
        """Send a signal; False if it does not run."""
        process = self._find(name)
        if process.pid is not None:
            self.spawner.signal(process.pid, number)
        return process.pid is not None

    def any_running(self) -> bool:
        """Whether one of them is alive."""
        return any(process.pid is not None for process in self.processes.values())

    def reap(self) -> None:
        """Bury what has ended, orphans included, and plan the restarts."""
        ended = self.spawner.reap()
        for process in self.processes.values():
            if process.pid is not None and process.pid in ended:
                self._ended(process, ended[process.pid])

    def next_ns(self) -> int | None:
        """When `advance` is wanted next."""
        return min((at for process in self.processes.values() if (at := process.next_ns()) is not None), default=None)

    def advance(self, now_ns: int) -> None:
        """Restart and kill what is due."""
        for process in self.processes.values():
            if process.start_at_ns is not None and process.start_at_ns <= now_ns:
                process.start_at_ns = None
                self._spawn(process)
            if process.kill_at_ns is not None and process.kill_at_ns <= now_ns:
                process.kill_at_ns = None
                if process.pid is not None:
                    self.spawner.signal(process.pid, signal.SIGKILL)

    def status(self) -> list[dict[str, object]]:
        """Name, pid (None: not running), whether it runs, how often it was restarted."""
        return [
            {"name": name, "pid": process.pid, "running": process.pid is not None, "restarts": process.restarts}
            for name, process in self.processes.items()
        ]

    def _find(self, name: str) -> Process:
        if name not in self.processes:
            raise UnknownProcessError(f"no process {name!r}; this container has {list(self.processes)}")
        return self.processes[name]

    def _spawn(self, process: Process) -> None:
        try:
            process.pid = self.spawner.spawn(process.config.argv)
        except OSError as error:
            self.events.emit("process-failed", process=process.config.name, error=f"{process.config.argv[0]}: {error}")
            self._plan_restart(process)

    def _ended(self, process: Process, status: int) -> None:
        process.pid = process.kill_at_ns = None
        self._plan_restart(process)
        self.events.emit(
            "process-exited",
            process=process.config.name,
            status=status,
            restarts_left=RESTART_LIMIT - process.restarts if process.start_at_ns is not None else 0,
        )

    def _plan_restart(self, process: Process) -> None:
        if process.wanted and not process.held and process.config.restart and process.restarts < RESTART_LIMIT:
            process.restarts += 1
            process.start_at_ns = self.clock() + RESTART_DELAY_NS
