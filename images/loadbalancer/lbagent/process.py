"""HAProxy's process: checked, started, adopted, replaced, and watched until it ends. The only module that runs programs."""

from __future__ import annotations

import asyncio
import os
import subprocess  # noqa: TID251  the agent's one place for commands
import time
from collections.abc import Callable
from pathlib import Path

from lbagent.render import Paths
from lbagent.runtime import RuntimeApi, RuntimeApiError
from lbagent.statistics import parse_information

START_DEADLINE_S = 5.0
POLL_S = 0.005


class HaproxyError(Exception):
    """HAProxy refused its configuration or did not start; the message carries its own words."""


class ConfigRefusedError(HaproxyError):
    """`haproxy -c` refused a file: nothing was started, and what runs goes on."""


class HaproxyProcess:
    """The HAProxy of this container.

    It runs in a session of its own and is told by a pid file, so it outlives the agent: when the agent is killed, init
    inherits HAProxy, and the next agent adopts it. A pidfd (pidfd_open(2)) tells the end of a child and of an adopted
    process alike.
    """

    def __init__(self, *, paths: Paths, runtime: RuntimeApi, on_end: Callable[[int, int | None], None]) -> None:
        self._paths = paths
        self._runtime = runtime
        self._on_end = on_end
        self._starting = False
        self._ended: dict[int, int | None] = {}
        self.pid: int | None = None

    def adopt(self) -> bool:
        """Take over a HAProxy that runs already; False when there is none."""
        pid = read_pid(self._paths.pid_file)
        if pid is None or not is_haproxy(pid):
            return False
        self._watch(pid)
        self.pid = pid
        return True

    async def start(self, config: str) -> str:
        """Start HAProxy with this configuration, or let it take the place of the one that runs; returns its version.

        The successor gets the listening sockets of the running one (`-x`), which ends once its connections have
        (`-sf`): no connection is refused in between (management manual 2.6, section 4).

        Raises:
            ConfigRefusedError: the configuration is refused.
            HaproxyError: no answer on the admin socket within 5 s.
        """
        candidate = self._paths.config.with_suffix(".new")
        candidate.write_text(config)
        check_config(candidate)
        candidate.replace(self._paths.config)
        argv = ["haproxy", "-db", "-f", str(self._paths.config)]
        if self.pid is not None:
            argv += ["-x", str(self._paths.admin_socket), "-sf", str(self.pid)]
        previous = self.pid
        self._starting = True
        try:
            pid = os.posix_spawnp("haproxy", argv, os.environ, setsid=True)
            self._paths.pid_file.write_text(f"{pid}\n")
            self._watch(pid)
            version = await self._until_answering(pid)
            self.pid = pid
        except HaproxyError:
            # A successor that failed leaves the running one as it was.
            self._paths.pid_file.write_text(f"{previous or ''}\n")
            raise
        finally:
            self._starting = False
            self._settle()
        return version

    def check(self, config: str) -> str:
        """What HAProxy says against this configuration; empty if nothing."""
        candidate = self._paths.config.with_suffix(".alone")
        candidate.write_text(config)
        try:
            check_config(candidate)
        except ConfigRefusedError as error:
            return str(error)
        finally:
            candidate.unlink()
        return ""

    async def _until_answering(self, pid: int) -> str:
        deadline_s = time.monotonic() + START_DEADLINE_S
        last = "no admin socket yet"
        while time.monotonic() < deadline_s:
            if pid in self._ended:
                raise HaproxyError(f"HAProxy (pid {pid}) gave {self._ended[pid]} while starting; its messages are above")
            try:
                information = parse_information(await self._runtime.ask("show info"))
            except RuntimeApiError as error:
                last = str(error)
            else:
                if information.get("Pid") == str(pid):
                    return information["Version"]
                last = f"pid {information.get('Pid')} still answers"
            await asyncio.sleep(POLL_S)
        raise HaproxyError(f"HAProxy (pid {pid}) does not answer within {START_DEADLINE_S:g} s: {last}")

    def _watch(self, pid: int) -> None:
        pidfd = os.pidfd_open(pid)
        asyncio.get_running_loop().add_reader(pidfd, self._bury, pid, pidfd)

    def _bury(self, pid: int, pidfd: int) -> None:
        asyncio.get_running_loop().remove_reader(pidfd)
        status: int | None = None
        try:
            ended = os.waitid(os.P_PIDFD, pidfd, os.WEXITED)
        except ChildProcessError:
            pass  # adopted: its parent is init, which reaps it
        else:
            if ended is not None:
                status = ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status
        os.close(pidfd)
        self._ended[pid] = status
        if not self._starting:
            self._settle()

    def _settle(self) -> None:
        """Report the end of the HAProxy that serves; a predecessor's end, or a failed successor's, is none."""
        if self.pid is not None and self.pid in self._ended:
            pid, self.pid = self.pid, None
            self._on_end(pid, self._ended[pid])


def check_config(path: Path) -> None:
    """Let HAProxy check the file (`haproxy -c`).

    Raises:
        ConfigRefusedError: with what it said.
    """
    argv = ["haproxy", "-c", "-q", "-f", str(path)]
    checked = subprocess.run(argv, capture_output=True, text=True, timeout=10, check=False)
    if checked.returncode != 0:
        raise ConfigRefusedError(f"`{' '.join(argv)}` gave {checked.returncode}: {checked.stderr.strip()[-2000:]}")


def read_pid(path: Path) -> int | None:
    """The pid in a pid file, or None."""
    try:
        return int(path.read_text())
    except (FileNotFoundError, ValueError):
        return None


def is_haproxy(pid: int) -> bool:
    """Whether that process is alive and a HAProxy (proc(5), `stat`: name in brackets, then the state)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return "(haproxy)" in stat and stat[stat.rindex(")") + 2] not in "ZX"
