"""A pod's program: nginx with its files. It belongs to PID 1 and survives this agent, which finds it again by its files."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from ipaddress import IPv4Address
from pathlib import Path

from nodeagent.kubelet.nginx import render_nginx
from nodeagent.kubelet.pod_spec import PodSpec

STATE = Path("/run/testbed/pods")
ADDRESS = "address"
POLL_S = 0.05
START_DEADLINE_S = 10.0


class PodError(Exception):
    """A pod's program did not start."""


class PodProgram:
    """Starts and stops it. `namespace`: the network namespace's file; None: it runs in the node's own."""

    def __init__(self, *, spec: PodSpec, node: str, address: IPv4Address, namespace: Path | None) -> None:
        self._spec = spec
        self._node = node
        self._address = address
        self._namespace = namespace

    @property
    def is_running(self) -> bool:
        return running_pid(self._spec.uid) is not None

    @property
    def _directory(self) -> Path:
        return STATE / self._spec.uid

    async def start(self) -> None:
        """It serves when this returns. Raises PodError, TimeoutError."""
        self._directory.mkdir(parents=True, exist_ok=True)
        text = render_nginx(
            pod=self._spec.name,
            node=self._node,
            pod_ip=str(self._address),
            ports=self._spec.ports or (80,),
            directory=str(self._directory),
            proxy_protocol=self._spec.proxy_protocol,
        )
        (self._directory / "nginx.conf").write_text(text, encoding="utf-8")
        (self._directory / ADDRESS).write_text(str(self._address), encoding="ascii")
        argv = ["nginx", "-e", "stderr", "-c", str(self._directory / "nginx.conf")]
        if self._namespace is not None:
            argv = ["nsenter", f"--net={self._namespace}", *argv]
        # nginx puts itself into the background when it listens: it then belongs to PID 1.
        process = await asyncio.create_subprocess_exec(*argv, stderr=None)
        status = await asyncio.wait_for(process.wait(), START_DEADLINE_S)
        if status != 0:
            raise PodError(f"nginx of {self._spec.key} ended with status {status}")

    async def stop(self, deadline: float) -> None:
        """SIGQUIT, on which nginx finishes what it is answering (nginx(8)); SIGKILL at `deadline` of the loop's clock."""
        loop = asyncio.get_running_loop()
        self._signal(signal.SIGQUIT)
        while self.is_running and loop.time() < deadline:
            await asyncio.sleep(POLL_S)
        self._signal(signal.SIGKILL)

    def remove(self) -> None:
        """Its files."""
        shutil.rmtree(self._directory, ignore_errors=True)

    def _signal(self, number: signal.Signals) -> None:
        if (pid := running_pid(self._spec.uid)) is not None:
            os.kill(pid, number)


def running_pid(uid: str) -> int | None:
    """The running nginx of this very pod: its configuration stands on its command line."""
    try:
        pid = int((STATE / uid / "nginx.pid").read_text(encoding="ascii"))
        argv = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (OSError, ValueError):
        return None
    return pid if uid.encode() in argv else None


def running_address(uid: str) -> IPv4Address | None:
    """The address of a pod that runs already, None when it does not."""
    if running_pid(uid) is None:
        return None
    try:
        return IPv4Address((STATE / uid / ADDRESS).read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
