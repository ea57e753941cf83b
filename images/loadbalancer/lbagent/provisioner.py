"""Brings HAProxy's frontends and the interface's addresses to what Services of type LoadBalancer and Ingresses ask for.

Only a frontend that comes, goes or changes needs a new HAProxy (a seamless reload); nodes, node ports and renewed certificates
never do.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterable, Mapping

from lbagent.addresses import AddressError, Addresses
from lbagent.api import Api, ApiError
from lbagent.cluster import Object
from lbagent.frontends import Check, Frontend
from lbagent.frontends.ingress import IngressFrontend
from lbagent.ingress.files import keep_only, write_files
from lbagent.ingress.reading import IngressView
from lbagent.ingress.telling import Teller
from lbagent.load_balancers import RELEASED, SERVED_IP, LoadBalancer, find_leaving, find_load_balancers, service_path
from lbagent.process import ConfigRefusedError, HaproxyError
from lbagent.quarantine import Quarantine
from lbagent.reconciler import Reconciler
from lbagent.render import Paths
from lbagent.replacement import Replacement, backends_of
from lbagent.runtime import RuntimeApiError
from lbagent.settings import Settings

RETRY_FIRST_S, RETRY_LAST_S = 0.25, 4.0
"""What HAProxy refuses it refuses again, and each attempt starts a program."""
LOOK_S = 0.1
"""How often HAProxy is asked whether the path of a Service works that has an address and is not told of it."""


class Provisioner:
    """Level-triggered: whatever changed, the whole is compared with what runs."""

    def __init__(
        self,
        *,
        settings: Settings,
        paths: Paths,
        replacement: Replacement,
        reconciler: Reconciler,
        addresses: Addresses,
    ) -> None:
        self._settings = settings
        self._paths = paths
        self._replacement = replacement
        self._reconciler = reconciler
        self._addresses = addresses
        self._balancers: tuple[LoadBalancer, ...] | None = None
        """None before the first list of services: then nothing is taken away."""
        self._leaving: tuple[str, ...] = ()
        """Paths of Services whose end waits until nothing here serves them."""
        self._ingresses: IngressView | None = None
        """None before the first lists of what Ingresses depend on."""
        self._checks: Mapping[str, Check] = {}
        self._teller = Teller(settings.public_ip)
        self._quarantine = Quarantine(check=replacement.check, ingress_frontends=self._ingress_frontends)
        self._wanted = asyncio.Event()
        self._is_awaited = False
        """Whether a Service waits for its first server that is up."""

    def on_services(self, services: Mapping[str, Object]) -> None:
        """The services changed."""
        self._balancers = find_load_balancers(services, self._settings.services)
        self._leaving = find_leaving(services)
        self._wanted.set()

    def on_ingresses(self, view: IngressView, services: Mapping[str, Object]) -> None:
        """The Ingresses, or what they depend on, changed."""
        self._ingresses = view
        has_port = (key for key, service in services.items() if (service.get("spec") or {}).get("healthCheckNodePort"))
        self._checks = dict.fromkeys(has_port, Check.HEALTH_CHECK_NODE_PORT)
        self._wanted.set()

    def ask_reload(self) -> None:
        """Replace HAProxy by a successor whatever it serves, or start it if it does not run."""
        self._replacement.ask()
        self._wanted.set()

    async def start(self) -> None:
        """Start HAProxy with the frontends that need no cluster.

        Raises:
            HaproxyError
        """
        await self._replacement.start_first(self._settings.frontends)

    async def run(self, api: Api) -> None:
        """Provision for ever."""
        retry_s = RETRY_FIRST_S
        while True:
            has_changed = await self._look_again()
            self._wanted.clear()
            try:
                await (self.provision(api) if has_changed else self._tell_served(api))
                retry_s = RETRY_FIRST_S
            except (AddressError, ApiError, HaproxyError, RuntimeApiError) as error:
                # The running HAProxy, if any, goes on with the configuration it has.
                sys.stderr.write(f"lbagent: {error}\n")
                await asyncio.sleep(retry_s)
                retry_s = min(2 * retry_s, RETRY_LAST_S)
                self._wanted.set()

    async def provision(self, api: Api) -> None:
        """Addresses first, since HAProxy cannot bind one that is not there; then frontends; then tell the API; then tidy up.

        Raises:
            AddressError, ApiError, HaproxyError, RuntimeApiError: what was done stays, and the next attempt goes on from there.
        """
        # As of now, like the balancers: what is to go from the next round on is still served in this one.
        is_known, leaving = self._is_known(), self._leaving
        balancers, view = self._quarantine.admit(self._balancers or (), self._ingresses)
        ingresses = self._ingress_frontends(view)
        balanced = (item for balancer in balancers for item in balancer.frontends)
        frontends: tuple[Frontend, ...] = (*self._settings.frontends, *balanced, *ingresses)
        files = {path: content for frontend in ingresses for path, content in frontend.files().items()}
        wanted = {address for balancer in balancers for address in (balancer.address, *balancer.further)}
        if self._replacement.is_dead:
            # It stays dead until it is asked for, and holds no frontend: what is to go need not wait for it.
            if is_known and leaving:
                await self._addresses.keep_only(wanted)
                await self._release(leaving, api)
            return
        await self._addresses.add(wanted)
        if self._replacement.is_asked or (is_known and await self._replacement.is_needed(frontends, files)):
            try:
                await self._replacement.replace(frontends, files)
            except ConfigRefusedError:
                if not self._quarantine.search(balancers, view):
                    raise
                self._wanted.set()  # the others are served in the next round
                return
        if not is_known:
            return
        write_files(files)
        if self._reconciler.backends != (backends := backends_of(frontends)):
            self._reconciler.serve(backends)  # a HAProxy that was taken over serves more than the plan's own frontends
        await self._addresses.keep_only(wanted)
        keep_only(self._paths.ingress, files.keys())
        await self._release(leaving, api)
        await self._quarantine.tell(api)
        await self._tell_served(api)
        if view is not None:
            await self._teller.tell(view, api)

    async def _look_again(self) -> bool:
        """False when nothing has changed, and only what is awaited is to be looked for."""
        try:
            async with asyncio.timeout(LOOK_S if self._is_awaited else None):
                await self._wanted.wait()
        except TimeoutError:
            return False
        return True

    async def _tell_served(self, api: Api) -> None:
        """An address is told once every port of its Service has a server that is up: until then the Service is `<pending>`.

        Once told it stays, whatever becomes of the servers: an address that came and went with them would be no address.
        """
        self._is_awaited = False
        balancers, _ = self._quarantine.admit(self._balancers or (), self._ingresses)
        untold = [balancer for balancer in balancers if not balancer.is_told]
        if not untold or not self._replacement.is_running:
            return
        working = {server.backend for server in await self._reconciler.read_servers() if server.takes_connections}
        for balancer in untold:
            if working.issuperset(backend.name for backend in backends_of(balancer.frontends)):
                await api.patch(service_path(balancer), {"metadata": {"annotations": {SERVED_IP: str(balancer.address)}}})
            else:
                self._is_awaited = True

    @staticmethod
    async def _release(leaving: Iterable[str], api: Api) -> None:
        """Say of Services on their way out that neither frontend nor address is left of them."""
        for path in leaving:
            await api.patch(path, {"metadata": {"annotations": {RELEASED: "true"}}})

    def _is_known(self) -> bool:
        """Whether everything that frontends depend on has been heard of; before that nothing is taken away."""
        return self._balancers is not None and (self._ingresses is not None or not self._settings.ingresses)

    def _ingress_frontends(self, view: IngressView | None) -> tuple[IngressFrontend, ...]:
        """None while there is no Ingress: then nothing is bound."""
        if view is None or not view.ingresses:
            return ()
        return tuple(
            IngressFrontend(entry=entry, view=view, directory=self._paths.ingress, checks=self._checks)
            for entry in self._settings.ingresses
        )
