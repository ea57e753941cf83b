"""Objects for which HAProxy refuses its configuration: found one by one, left out until they change, and told of.

Without it one Service or Ingress that HAProxy does not take would keep every other change from being served.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lbagent.api import Api
from lbagent.frontends import Frontend
from lbagent.frontends.ingress import IngressFrontend
from lbagent.ingress.files import write_files
from lbagent.ingress.reading import IngressView, read_alone, without
from lbagent.load_balancers import SERVED_IP, LoadBalancer, service_path
from lbagent.object_events import events_path, render_event

Frontends = tuple[Frontend, ...]
REASON = "SyncLoadBalancerFailed"
COMPONENT = "service-controller"


@dataclass(slots=True, kw_only=True)
class Quarantine:
    """`check`: what HAProxy says against a configuration of these frontends alone, empty if nothing."""

    check: Callable[[Frontends], str]
    ingress_frontends: Callable[[IngressView], tuple[IngressFrontend, ...]]
    _refused: dict[str, str] = field(default_factory=dict)
    """What HAProxy said, by what it was asked to serve: an object that changes is tried again."""
    _left_out: dict[LoadBalancer, str] = field(default_factory=dict)
    _told: set[tuple[str, str]] = field(default_factory=set)

    def admit(
        self, balancers: tuple[LoadBalancer, ...], view: IngressView | None
    ) -> tuple[tuple[LoadBalancer, ...], IngressView | None]:
        """Those that are not known to be refused; the view says of which Ingresses they are."""
        self._left_out = {}
        if not self._refused:
            return balancers, view
        units = {fingerprint(frontends): subject for subject, frontends in self._units(balancers, view)}
        self._refused = {print_: said for print_, said in self._refused.items() if print_ in units}
        refused = {units[print_]: said for print_, said in self._refused.items()}
        self._left_out = {subject: said for subject, said in refused.items() if isinstance(subject, LoadBalancer)}
        ingresses = {subject: said for subject, said in refused.items() if isinstance(subject, str)}
        admitted = tuple(balancer for balancer in balancers if balancer not in self._left_out)
        return admitted, view if view is None or not ingresses else without(view, ingresses)

    def search(self, balancers: tuple[LoadBalancer, ...], view: IngressView | None) -> bool:
        """After a refusal: which of them are refused alone. False: none is, or HAProxy refuses a configuration without any."""
        if self.check(()):
            return False
        found = False
        for _, frontends in self._units(balancers, view):
            # Its maps are named by their content, and so are others than those of all Ingresses together.
            write_files(
                {path: text for item in frontends if isinstance(item, IngressFrontend) for path, text in item.files().items()}
            )
            if said := self.check(frontends):
                self._refused[fingerprint(frontends)] = said
                found = True
        return found

    async def tell(self, api: Api) -> None:
        """Of Services; of Ingresses the view has it. A Service that was served is not any more, and its address is pending again.

        Raises:
            ApiError: what was not told is told at the next attempt.
        """
        for balancer, said in self._left_out.items():
            if balancer.is_told:
                await api.patch(service_path(balancer), {"metadata": {"annotations": {SERVED_IP: None}}})
            if (balancer.uid, said) not in self._told:
                metadata = {"namespace": balancer.namespace, "name": balancer.name, "uid": balancer.uid}
                event = render_event(
                    api_version="v1",
                    kind="Service",
                    metadata=metadata,
                    reason=REASON,
                    message=f"Error syncing load balancer: failed to ensure load balancer: {said}",
                    component=COMPONENT,
                )
                await api.create(events_path(metadata), event)
                self._told.add((balancer.uid, said))

    def _units(
        self, balancers: Iterable[LoadBalancer], view: IngressView | None
    ) -> Iterator[tuple[LoadBalancer | str, Frontends]]:
        """What can be served without the rest: a Service, or an Ingress (by its name)."""
        yield from ((balancer, balancer.frontends) for balancer in balancers)
        for key in view.ingresses if view is not None else ():
            assert view is not None
            yield key, self.ingress_frontends(read_alone(view, key))


def fingerprint(frontends: Frontends) -> str:
    """Of all that HAProxy would be given for them."""
    files = sorted((str(path), text) for path, text in files_of(frontends).items())
    said = [*(item.render({}) for item in frontends), *(part for file in files for part in file)]
    return hashlib.sha256("\0".join(said).encode()).hexdigest()


def files_of(frontends: Frontends) -> Mapping[Path, str]:
    """What HAProxy reads for them besides its configuration."""
    served = (item for item in frontends if isinstance(item, IngressFrontend))
    return {path: text for item in served for path, text in item.files().items()}
