"""The control plane as a process: quick to start, killed and back without a loss, many watchers on many objects."""

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
import pytest

from orchestrator.testbed.pki import make_secrets

pytestmark = pytest.mark.integration
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


async def await_ready(process: Process, session: aiohttp.ClientSession, deadline_s: float = 10.0) -> float:
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


async def test_answers_soon_after_its_start_and_ends_when_told(tmp_path: Path) -> None:
    process = Process(tmp_path)
    async with client_of(process) as session:
        process.start()
        took_s = await await_ready(process, session)
    assert process.end() == 0
    # Well under a second on an idle core; the rest is for machines that run other tests meanwhile.
    assert took_s < 10


async def test_killed_control_plane_comes_back_with_every_object_and_watchers_resume(tmp_path: Path) -> None:
    process = Process(tmp_path)
    async with client_of(process) as session:
        process.start()
        await await_ready(process, session)
        created = await create(session, CONFIG_MAPS, config_map("a", x="1"))
        place = created["metadata"]["resourceVersion"]
        for number in range(50):
            last = await patch(session, f"{CONFIG_MAPS}/a", {"data": {"x": str(number)}})
        process.end(signal.SIGKILL)
        process.start()
        await await_ready(process, session)
        async with session.get(f"{CONFIG_MAPS}/a") as response:
            assert await response.json() == last
        after = await patch(session, f"{CONFIG_MAPS}/a", {"data": {"x": "after"}})
        assert int(after["metadata"]["resourceVersion"]) > int(last["metadata"]["resourceVersion"])
        query = {"watch": "true", "resourceVersion": place}
        async with session.get(CONFIG_MAPS, params=query) as response:
            seen = [json.loads(await response.content.readline())["object"]["data"]["x"] for _ in range(51)]
            response.close()
    assert seen == [*map(str, range(50)), "after"]
    process.end()


async def test_wrong_configuration_is_named_and_nothing_is_served(tmp_path: Path) -> None:
    process = Process(tmp_path, node_port_rnage="1-2")
    process.start()
    assert process._running is not None
    assert process._running.wait(10) == 78
    assert "unknown keys ['node_port_rnage']" in process.log


async def test_endpoint_follows_its_pod_within_milliseconds(tmp_path: Path) -> None:
    process = Process(tmp_path)
    pods, slices = "/api/v1/namespaces/default/pods", "/apis/discovery.k8s.io/v1/endpointslices"
    async with client_of(process) as session:
        process.start()
        await await_ready(process, session)
        status = {"conditions": [{"type": "Ready", "status": "True"}]}
        await create(session, "/api/v1/nodes", {"metadata": {"name": "node-1"}, "status": status})
        ports = [{"port": 80, "targetPort": 8080}]
        await create(
            session,
            "/api/v1/namespaces/default/services",
            {"metadata": {"name": "web"}, "spec": {"selector": {"a": "b"}, "ports": ports}},
        )
        spec = {"containers": [{"name": "web", "image": "nginx"}]}
        await create(session, pods, {"metadata": {"name": "p", "labels": {"a": "b"}}, "spec": spec})
        taken_ms = []
        query = {"watch": "true", "labelSelector": "kubernetes.io/service-name=web"}
        async with session.get(slices, params=query) as response:
            for ready in ["True", "False"] * 10:
                conditions = [{"type": "Ready", "status": ready}]
                began = time.monotonic()
                await patch(session, f"{pods}/p/status", {"status": {"podIP": "10.0.1.2", "conditions": conditions}})
                while True:
                    item = json.loads(await response.content.readline())["object"]
                    if [entry["conditions"]["ready"] for entry in item["endpoints"]] == [ready == "True"]:
                        break
                taken_ms.append((time.monotonic() - began) * 1000)
            response.close()
    process.end()
    assert sorted(taken_ms)[len(taken_ms) // 2] < 15
    told = [line["event"] for line in process.events() if line["event"].startswith("endpoint-")]
    assert told[:3] == ["endpoint-ready", "endpoint-not-ready", "endpoint-ready"]


async def test_thousand_watchers_on_ten_thousand_objects_miss_nothing_and_see_one_order(tmp_path: Path) -> None:
    process = Process(tmp_path)
    watchers, objects, changes = 1000, 10_000, 50
    async with client_of(process, insecure=True) as session:
        process.start()
        await await_ready(process, session)
        room = asyncio.Semaphore(20)

        async def make(number: int) -> None:
            async with room:
                await create(session, CONFIG_MAPS, config_map(f"c{number}", x="y"))

        await asyncio.gather(*(make(number) for number in range(objects)))
        async with session.get(CONFIG_MAPS) as response:
            listed = await response.json()
        assert len(listed["items"]) == objects
        query = {"watch": "true", "resourceVersion": listed["metadata"]["resourceVersion"]}
        ready = asyncio.Semaphore(0)

        async def watch() -> list[str]:
            async with session.get(CONFIG_MAPS, params=query) as response:
                ready.release()
                seen = [json.loads(await response.content.readline())["object"] for _ in range(changes)]
                response.close()
                return [item["metadata"]["resourceVersion"] for item in seen]

        tasks = [asyncio.create_task(watch()) for _ in range(watchers)]
        for _ in range(watchers):
            await ready.acquire()
        made = []
        for number in range(changes):
            changed = await patch(session, f"{CONFIG_MAPS}/c{number * 100}", {"data": {"x": "z"}})
            made.append(changed["metadata"]["resourceVersion"])
        for seen in await asyncio.gather(*tasks):
            assert seen == made
    assert process.end() == 0
