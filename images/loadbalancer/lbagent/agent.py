"""The agent's tasks: HAProxy's life, the watches, the rounds, the counters."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from lbagent.addresses import LinkAddresses
from lbagent.api import HttpApi
from lbagent.cluster import Object, read_node
from lbagent.ingress.classes import read_controllers
from lbagent.ingress.feed import IngressFeed
from lbagent.ingress.reading import read_ingress
from lbagent.load_balancers import read_service
from lbagent.log_socket import LogSocket
from lbagent.process import HaproxyProcess
from lbagent.provisioner import Provisioner
from lbagent.reconciler import Reconciler
from lbagent.render import Paths
from lbagent.replacement import Replacement
from lbagent.runtime import AdminSocket, RuntimeApiError
from lbagent.settings import Settings
from lbagent.statistics import SHOW_SERVERS, Retries, parse_information, parse_retries
from testbed_init.events import Clock, EventSink

STATISTICS_S = 1.0
RESTART_DELAY_S = 0.2


class Agent:
    """One load balancer."""

    def __init__(
        self, *, settings: Settings, paths: Paths, connection_log: Path, ca_file: Path, events: EventSink, clock: Clock
    ) -> None:
        self._settings = settings
        self._paths = paths
        self._ca_file = ca_file
        self._events = events
        self._clock = clock
        self._runtime = AdminSocket(path=paths.admin_socket)
        self._haproxy = HaproxyProcess(paths=paths, runtime=self._runtime, on_end=self._on_haproxy_end)
        self._reconciler = Reconciler(backends=settings.backends(), runtime=self._runtime, events=events)
        self._log = LogSocket(path=paths.log_socket, file=connection_log, events=events, clock=clock)
        replacement = Replacement(
            settings=settings,
            paths=paths,
            haproxy=self._haproxy,
            runtime=self._runtime,
            reconciler=self._reconciler,
            events=events,
        )
        self._provisioner = Provisioner(
            settings=settings,
            paths=paths,
            replacement=replacement,
            reconciler=self._reconciler,
            addresses=LinkAddresses(beside=settings.public_ip),
        )
        self._ingresses = IngressFeed(self._provisioner.on_ingresses)

    def ask_reload(self) -> None:
        """Render the configuration anew; HAProxy is replaced by a successor, or started if it does not run."""
        self._provisioner.ask_reload()

    async def run(self) -> None:
        """Serve until cancelled.

        Raises:
            HaproxyError: the first start failed; nothing can be served without it.
        """
        self._log.serve()
        try:
            # Before anything slow is imported: the frontends answer from here on.
            await self._take_up_haproxy()
            await self._serve()
        finally:
            self._log.close()

    async def _take_up_haproxy(self) -> None:
        if self._haproxy.adopt():
            self._events.emit("haproxy-adopted", pid=self._haproxy.pid)
        elif self._paths.pid_file.exists() and not self._settings.restart_haproxy:
            sys.stderr.write("lbagent: HAProxy has ended before; it is started on SIGHUP\n")
        else:
            await self._provisioner.start()

    async def _serve(self) -> None:
        from testbed_kube.watch import ResourceWatch, identify, open_session  # aiohttp takes 0.2 s to import

        api = self._settings.api_url
        async with (
            open_session(api_url=api, token=self._settings.token, ca_file=self._ca_file) as session,
            asyncio.TaskGroup() as tasks,
        ):
            watched: list[tuple[str, str, Callable[[Collection[Object]], None], Callable[[Object], object]]] = [
                ("/api/v1", "nodes", self._reconciler.on_nodes, read_node),
                ("/api/v1", "services", self._on_services, read_service),
            ]
            if self._settings.ingresses:
                # What is wrong with a Secret is said of the Ingress that names it.
                watched.append(("/api/v1", "secrets", self._ingresses.on_secrets, identify))
                networking = "/apis/networking.k8s.io/v1"
                watched.append((networking, "ingresses", self._ingresses.on_ingresses, read_ingress))
                watched.append((networking, "ingressclasses", self._ingresses.on_classes, lambda item: read_controllers([item])))
            for group, resource, on_change, read in watched:
                watch = ResourceWatch(
                    session=session,
                    path=f"{group}/{resource}",
                    resource=resource,
                    on_change=on_change,
                    events=self._events,
                    clock=self._clock,
                    read=read,
                )
                tasks.create_task(watch.run())
            tasks.create_task(self._reconciler.run())
            tasks.create_task(self._report_statistics())
            tasks.create_task(self._provisioner.run(HttpApi(session)))

    def _on_services(self, objects: Collection[Object]) -> None:
        self._reconciler.on_services(objects)
        self._provisioner.on_services(self._reconciler.services or {})
        self._ingresses.on_services(self._reconciler.services or {})

    def _on_haproxy_end(self, pid: int, status: int | None) -> None:
        self._events.emit("haproxy-exited", pid=pid, status=status)
        if self._settings.restart_haproxy:
            asyncio.get_running_loop().call_later(RESTART_DELAY_S, self.ask_reload)

    async def _report_statistics(self) -> None:
        last: Mapping[tuple[str, str], Retries] = {}
        dropped = "0"
        while True:
            await asyncio.sleep(STATISTICS_S)
            if self._haproxy.pid is None:
                continue
            try:
                counters = parse_retries(await self._runtime.ask(SHOW_SERVERS))
                information = parse_information(await self._runtime.ask("show info"))
            except RuntimeApiError:
                continue  # frozen or just gone: the reconciler says so, and the counters come with the next answer
            for (backend, server), now in counters.items():
                if now != last.get((backend, server), Retries(retries=0, redispatches=0, connection_errors=0)):
                    self._events.emit(
                        "retries",
                        backend=backend,
                        server=server,
                        retries=now.retries,
                        redispatches=now.redispatches,
                        connection_errors=now.connection_errors,
                    )
            last = counters
            if information.get("DroppedLogs", dropped) != dropped:
                dropped = information["DroppedLogs"]
                self._events.emit("log-lines-dropped", lines=int(dropped))
