"""HAProxy as it runs, and its successors: whether one is needed, and its start without a lost connection.

What is to be served is the provisioner's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Protocol

from lbagent.frontends import Backend, Frontend
from lbagent.ingress.files import changed_files, write_files
from lbagent.ingress.renewal import renew_certificates
from lbagent.process import ConfigRefusedError, HaproxyError
from lbagent.reconciler import Reconciler
from lbagent.render import Paths, render_config
from lbagent.runtime import RuntimeApi, RuntimeApiError
from lbagent.servers import LiveServer
from lbagent.settings import Settings
from testbed_init.events import EventSink


class Haproxy(Protocol):
    """The process, as far as it is replaced."""

    pid: int | None

    async def start(self, config: str) -> str:
        """See `HaproxyProcess`."""

    def check(self, config: str) -> str:
        """See `HaproxyProcess`."""


class Replacement:
    """Of one HAProxy by the next."""

    def __init__(
        self,
        *,
        settings: Settings,
        paths: Paths,
        haproxy: Haproxy,
        runtime: RuntimeApi,
        reconciler: Reconciler,
        events: EventSink,
    ) -> None:
        self._settings = settings
        self._paths = paths
        self._haproxy = haproxy
        self._runtime = runtime
        self._reconciler = reconciler
        self._events = events
        self._is_asked = False
        self._owes_reload = False
        """Whether configuration or certificates on disk are not HAProxy's yet, and only a successor will read them."""

    def ask(self) -> None:
        """Whatever it serves; and a HAProxy that does not run is started."""
        self._is_asked = True

    @property
    def is_asked(self) -> bool:
        return self._is_asked

    @property
    def is_running(self) -> bool:
        return self._haproxy.pid is not None

    @property
    def is_dead(self) -> bool:
        """It stays so until somebody asks for it."""
        return not self.is_running and not self._is_asked

    def check(self, frontends: tuple[Frontend, ...]) -> str:
        """What HAProxy says against a configuration of these alone; empty if nothing."""
        return self._haproxy.check(render_config(self._settings, self._paths, frontends, {}))

    async def is_needed(self, frontends: tuple[Frontend, ...], files: Mapping[Path, str]) -> bool:
        """False when HAProxy serves these, and has taken the certificates that are new."""
        if self._owes_reload or not self._serves(frontends):
            return True
        return not await renew_certificates(self._runtime, changed_files(files))

    async def replace(self, frontends: tuple[Frontend, ...], files: Mapping[Path, str]) -> None:
        """Start HAProxy, or a successor; what fails is still asked for, and owed where the disk is ahead of what runs.

        Raises:
            HaproxyError, RuntimeApiError
        """
        asked, self._is_asked = self._is_asked, False
        is_first = not self.is_running
        renewed = changed_files(files)
        try:
            live = None if is_first else await self._reconciler.read_servers()
            if live is not None:
                await self._retire(frontends, live)
            write_files(files)
            await self._start("haproxy-started" if is_first else "haproxy-reloaded", frontends, live)
        except (HaproxyError, RuntimeApiError) as error:
            self._is_asked = self._is_asked or asked
            self._owes_reload = self._owes_reload or bool(renewed) or not isinstance(error, ConfigRefusedError)
            raise
        self._owes_reload = False

    async def start_first(self, frontends: tuple[Frontend, ...]) -> None:
        """HAProxy, where none runs. Raises HaproxyError."""
        await self._start("haproxy-started", frontends, None)

    async def _start(self, event: str, frontends: tuple[Frontend, ...], live: Iterable[LiveServer] | None) -> None:
        """`live`: what the predecessor has; None where there is none, and every server that is known starts as healthy."""
        known = {backend.name for backend in self._reconciler.backends}
        backends = backends_of(frontends)
        servers = self._reconciler.servers_of(backend for backend in backends if backend.name in known)
        if live is not None:
            # A server in the file starts as healthy. The others, and new backends', come at run time: after a passed check.
            up = {(server.backend, server.name) for server in live if server.up and not server.maintenance}
            servers = {name: tuple(server for server in group if (name, server.name) in up) for name, group in servers.items()}
        version = await self._haproxy.start(render_config(self._settings, self._paths, frontends, servers))
        self._events.emit(event, version=version, pid=self._haproxy.pid)
        self._reconciler.serve(backends)

    def _serves(self, frontends: tuple[Frontend, ...]) -> bool:
        """Whether HAProxy was started with these, by this agent or the one before it: the file tells."""
        try:
            running = self._paths.config.read_text()
        except FileNotFoundError:
            return False
        wanted = render_config(self._settings, self._paths, frontends, {})
        return "".join(line for line in running.splitlines(keepends=True) if not line.startswith("    server ")) == wanted

    async def _retire(self, frontends: tuple[Frontend, ...], live: Iterable[LiveServer]) -> None:
        """Cut what is connected through frontends that go: their address goes too, and a connection would hang there.

        Source: HAProxy 2.6 management manual, section 9.3: `shutdown frontend`, `shutdown sessions server`.
        """
        staying = {backend.name for backend in backends_of(frontends)}
        for server in live:
            if server.backend not in staying:
                await self._runtime.ask(f"shutdown frontend {server.backend}")
                await self._runtime.ask(f"shutdown sessions server {server.backend}/{server.name}")


def backends_of(frontends: Iterable[Frontend]) -> tuple[Backend, ...]:
    """In the order of their frontends."""
    return tuple(backend for frontend in frontends for backend in frontend.backends())
