"""The proxy's HTTP servers: health check node ports, :10256 (healthz, livez), 127.0.0.1:10249 (proxyMode, healthz, metrics)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass

from aiohttp import web

from nodeagent.proxy.gate import Gate
from nodeagent.proxy.health import ProxyHealth
from nodeagent.proxy.health_check import HealthCheck, ServiceName, plan_health_checks, render_answer
from nodeagent.proxy.metrics import ProxyMetrics
from nodeagent.proxy.services import ServicePort
from testbed_init.events import EventSink

HEALTHZ_PORT, METRICS_PORT = 10256, 10249
RETRY_S = 5.0
"""As kube-proxy waits for an address that another has."""
JSON = {"Content-Type": "application/json", "X-Content-Type-Options": "nosniff"}
TEXT = {"Content-Type": "text/plain; charset=utf-8", "X-Content-Type-Options": "nosniff"}
EXPOSITION = {"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


async def serve(handler: Handler, hosts: Collection[str], port: int, gate: Gate) -> web.ServerRunner:
    """Listen and answer at all of them; the runner's `cleanup` ends it together with its open connections. Raises OSError."""

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        await gate.passed()
        return await handler(request)

    runner = web.ServerRunner(web.Server(answer, access_log=None), shutdown_timeout=0.0)
    await runner.setup()
    try:
        for host in hosts:
            await web.TCPSite(runner, host, port).start()
    except OSError:
        await runner.cleanup()
        raise
    return runner


@dataclass(frozen=True, slots=True, kw_only=True)
class _Open:
    port: int
    runner: web.ServerRunner


class HealthCheckServers:
    """One server for each Service that has a health check node port; what it says follows each commit at once."""

    def __init__(
        self, *, node: str, addresses: Collection[str], health: ProxyHealth, events: EventSink, gate: Gate | None = None
    ) -> None:
        self._node = node
        self._addresses = addresses
        self._health = health
        self._events = events
        self._gate = gate or Gate()
        self._wanted: dict[ServiceName, HealthCheck] = {}
        self._open: dict[ServiceName, _Open] = {}
        self._due = asyncio.Event()

    def after_commit(self, ports: Collection[ServicePort]) -> None:
        self._wanted = plan_health_checks(ports)
        self._due.set()  # always: what an earlier commit asked for may be half done, and what failed is tried again

    async def run(self) -> None:
        """Until cancelled; then all are closed."""
        try:
            while True:
                await self._due.wait()
                await self._gate.passed()
                self._due.clear()
                await self._follow()
        finally:
            for server in self._open.values():
                await server.runner.cleanup()

    async def _follow(self) -> None:
        wanted = dict(self._wanted)
        for service, server in tuple(self._open.items()):
            if service not in wanted or wanted[service].port != server.port:
                del self._open[service]
                await server.runner.cleanup()
        for service in wanted.keys() - self._open.keys():
            port = wanted[service].port
            try:
                runner = await serve(self._answer_for(service), self._addresses, port, self._gate)
                self._open[service] = _Open(port=port, runner=runner)
            except OSError as error:
                name = "/".join(service)
                self._events.emit("health-check-failed", node=self._node, service=name, port=port, error=str(error))

    def _answer_for(self, service: ServiceName) -> Handler:
        async def handle(_: web.BaseRequest) -> web.Response:
            check = self._wanted.get(service)
            if check is None:  # its Service has just gone, and the server is about to
                return web.Response(status=503)
            answer = render_answer(check, proxy_healthy=self._health.healthy)
            return web.Response(status=answer.status, headers=answer.headers, body=answer.body.encode())

        return handle


class ProxyServers:
    """The two servers that are there from the start; `metrics` is also where they report."""

    def __init__(self, *, node: str, mode: str, health: ProxyHealth, metrics: ProxyMetrics, gate: Gate | None = None) -> None:
        self._node = node
        self._mode = mode
        self._health = health
        self._metrics = metrics
        self._gate = gate or Gate()

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._keep(self._answer_health, "0.0.0.0", HEALTHZ_PORT))
            tasks.create_task(self._keep(self._answer_metrics, "127.0.0.1", METRICS_PORT))

    async def _keep(self, handler: Handler, host: str, port: int) -> None:
        """Serve until cancelled; while another has the port, try again."""
        while True:
            try:
                runner = await serve(handler, (host,), port, self._gate)
                break
            except OSError as error:
                self._metrics.emit("health-check-failed", node=self._node, service=None, port=port, error=str(error))
                await asyncio.sleep(RETRY_S)
        try:
            await asyncio.Event().wait()
        finally:
            await runner.cleanup()

    async def _answer_health(self, request: web.BaseRequest) -> web.Response:
        if request.path == "/healthz":
            status, body = self._health.healthz()
        elif request.path == "/livez":
            status, body = self._health.livez()
        else:
            return _not_found()
        self._metrics.count_probe(request.path.removeprefix("/"), status)
        return web.Response(status=status, headers=JSON, body=body.encode())

    async def _answer_metrics(self, request: web.BaseRequest) -> web.Response:
        if request.path == "/healthz":
            return web.Response(headers=TEXT, body=b"ok")
        if request.path == "/proxyMode":
            return web.Response(headers=TEXT, body=self._mode.encode())
        if request.path == "/metrics":
            return web.Response(headers=EXPOSITION, body=self._metrics.render().encode())
        return _not_found()


def _not_found() -> web.Response:
    return web.Response(status=404, headers=TEXT, body=b"404 page not found\n")
