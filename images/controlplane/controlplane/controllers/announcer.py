"""Events of the run's history (docs/contracts.md section 2), stamped with the instant of the commit that they report."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime

from controlplane.clock import Clock, parse_time
from controlplane.controllers.node_health import LEASE_NAMESPACE
from controlplane.kinds.endpoints import SERVICE_LABEL
from controlplane.objects import Object, condition, labels_of, name_of, namespace_of, spec_of
from controlplane.store.history import Change, ChangeType
from controlplane.store.store import Store
from testbed_init.events import EventSink


class Announcer:
    """Follows the store and reports what a reader of the history wants to know."""

    def __init__(self, *, store: Store, clock: Clock, events: EventSink) -> None:
        self._store = store
        self._clock = clock
        self._events = events
        self._tellers: dict[str, Callable[[Change], None]] = {
            "nodes": self._tell_node,
            "pods": self._tell_pod,
            "endpointslices": self._tell_slice,
        }
        store.subscribe(self._follow)

    def _follow(self, change: Change) -> None:
        if (teller := self._tellers.get(change.plural)) is not None:
            teller(change)

    def _tell_node(self, change: Change) -> None:
        name = name_of(change.item)
        if change.type is ChangeType.DELETED:
            self._events.emit("node-deleted", t_mono_ns=change.t_mono_ns, node=name)
            return
        ready, before = condition(change.item, "Ready"), condition(change.before or {}, "Ready")
        is_ready, was_ready = _is_true(ready), _is_true(before)
        # A node that registers as not ready was never ready: that is no loss.
        if is_ready == was_ready:
            return
        self._events.emit(
            "node-ready" if is_ready else "node-not-ready",
            t_mono_ns=change.t_mono_ns,
            node=name,
            reason=(ready or {}).get("reason", ""),
            lease_age_s=self._lease_age_s(name),
        )

    def _lease_age_s(self, node: str) -> float | None:
        lease = self._store.find("leases", LEASE_NAMESPACE, node)
        renewed = spec_of(lease or {}).get("renewTime")
        if not renewed:
            return None
        try:
            return round(_age_s(self._clock.now(), renewed), 3)
        except ValueError:
            return None

    def _tell_pod(self, change: Change) -> None:
        node = spec_of(change.item).get("nodeName")
        if change.type is not ChangeType.DELETED and node and spec_of(change.before or {}).get("nodeName") != node:
            self._events.emit("pod-scheduled", t_mono_ns=change.t_mono_ns, pod=name_of(change.item), node=node)

    def _tell_slice(self, change: Change) -> None:
        service = f"{namespace_of(change.item)}/{labels_of(change.item).get(SERVICE_LABEL, '')}"
        before = {} if change.before is None else dict(_endpoints(change.before))
        after = {} if change.type is ChangeType.DELETED else dict(_endpoints(change.item))
        for address, endpoint in before.items():
            if address not in after:
                self._tell_endpoint("endpoint-removed", change, service, address, endpoint)
        for address, endpoint in after.items():
            state, old = _state(endpoint), _state(before[address]) if address in before else None
            if state != old:
                self._tell_endpoint(f"endpoint-{state}", change, service, address, endpoint)

    def _tell_endpoint(self, event: str, change: Change, service: str, address: str, endpoint: Object) -> None:
        self._events.emit(
            event,
            t_mono_ns=change.t_mono_ns,
            service=service,
            endpoint=address,
            node=endpoint.get("nodeName", ""),
            pod=(endpoint.get("targetRef") or {}).get("name", ""),
            revision=change.version,
        )


def _is_true(entry: Object | None) -> bool:
    return entry is not None and entry.get("status") == "True"


def _age_s(now: datetime, text: str) -> float:
    return (now - parse_time(text)).total_seconds()


def _endpoints(item: Object) -> Iterator[tuple[str, Object]]:
    for endpoint in item.get("endpoints") or ():
        for address in (endpoint.get("addresses") or ())[:1]:
            for port in item.get("ports") or ():
                yield f"{address}:{port.get('port')}", endpoint


def _state(endpoint: Object) -> str:
    """`terminating` wins: such an endpoint is used only when there is no other."""
    conditions = endpoint.get("conditions") or {}
    if conditions.get("terminating"):
        return "terminating"
    return "ready" if conditions.get("ready", True) else "not-ready"
