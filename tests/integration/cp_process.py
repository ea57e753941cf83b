"""The control plane as a process of its own, asked over its two listeners."""

import asyncio
import datetime
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import aiohttp

from orchestrator.testbed.pki import make_secrets

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import sys
from pathlib import Path
from controlplane.__main__ import main
here = Path(sys.argv[1])
sys.exit(main(here / "config.json", here / "pki", here / "state"))
"""
MERGE = {"Content-Type": "application/merge-patch+json"}
CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


class Process:
    """`python3 -m controlplane` with a directory of its own for configuration, certificates and state."""

    def __init__(self, directory: Path, **settings: object) -> None:
        self.directory = directory
        self.port, self.insecure_port = free_port(), free_port()
        now = datetime.datetime.now(datetime.UTC)
        self.secrets = make_secrets(addresses=[IPv4Address("127.0.0.1")], now=now, lifetime=datetime.timedelta(hours=1))
        (directory / "pki").mkdir()
        (directory / "pki/server.crt").write_bytes(self.secrets.server_pem)
        (directory / "pki/server.key").write_bytes(self.secrets.server_key_pem)
        config = {
            "run_id": "test",
            "container": "controlplane",
            "default_via": None,
            "settings": {
                "bind": f"127.0.0.1:{self.port}",
                "insecure_bind": f"127.0.0.1:{self.insecure_port}",
                "token": self.secrets.token,
                "cluster_cidr": "10.0.0.0/16",
                "service_cidr": "10.3.240.0/20",
                **settings,
            },
        }
        (directory / "config.json").write_text(json.dumps(config), encoding="utf-8")
        self._running: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        path = os.pathsep.join(str(ROOT / place) for place in ("images/controlplane", "images/base"))
        with (self.directory / "events").open("ab") as events, (self.directory / "log").open("ab") as log:
            self._running = subprocess.Popen(
                [sys.executable, "-c", PROGRAM, str(self.directory)],
                env={**os.environ, "PYTHONPATH": path},
                stdout=events,
                stderr=log,
            )

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        assert self._running is not None
        self._running.send_signal(number)
        return self._running.wait(10)

    @property
    def log(self) -> str:
        return (self.directory / "log").read_text(encoding="utf-8")

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.directory / "events").read_bytes().splitlines()]


@asynccontextmanager
async def client_of(process: Process, *, insecure: bool = False) -> AsyncIterator[aiohttp.ClientSession]:
    context = ssl.create_default_context(cadata=process.secrets.ca_pem.decode())
    url = f"http://127.0.0.1:{process.insecure_port}" if insecure else f"https://127.0.0.1:{process.port}"
    headers = {} if insecure else {"Authorization": f"Bearer {process.secrets.token}"}
    connector = aiohttp.TCPConnector(limit=0, ssl=context)
    timeout = aiohttp.ClientTimeout(total=120)
    async with aiohttp.ClientSession(url, connector=connector, headers=headers, timeout=timeout) as session:
        yield session


async def await_ready(process: Process, session: aiohttp.ClientSession, deadline_s: float = 30.0) -> float:
    """Seconds until the API answered."""
    began = time.monotonic()
    while True:
        try:
            async with session.get("/readyz") as response:
                assert response.status == 200
                return time.monotonic() - began
        except aiohttp.ClientError:
            assert time.monotonic() - began < deadline_s, process.log
            await asyncio.sleep(0.01)


async def create(session: aiohttp.ClientSession, path: str, body: dict[str, Any]) -> dict[str, Any]:
    async with session.post(path, json=body) as response:
        answer: dict[str, Any] = await response.json()
        assert response.status == 201, answer
        return answer


async def patch(session: aiohttp.ClientSession, path: str, body: dict[str, Any]) -> dict[str, Any]:
    async with session.patch(path, data=json.dumps(body), headers=MERGE) as response:
        answer: dict[str, Any] = await response.json()
        assert response.status == 200, answer
        return answer


def config_map(name: str, **values: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": values}
