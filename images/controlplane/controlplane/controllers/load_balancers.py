"""Addresses of Services of type LoadBalancer: a cloud's service controller without the cloud."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv4Network

from controlplane.allocation.external_ips import PoolError, pick_external_ip
from controlplane.cluster import Cluster
from controlplane.controllers.recorder import NORMAL, WARNING, Recorder
from controlplane.kinds.service import type_of
from controlplane.objects import Key, Object, is_terminating, key_of, spec_of, status_of, with_status
from controlplane.store.history import Change, ChangeType


class LoadBalancerController:
    """Gives an address, and takes it back when the type changes. A Service with a loadBalancerClass is somebody else's."""

    def __init__(self, *, cluster: Cluster, recorder: Recorder, pool: IPv4Network | None) -> None:
        self._cluster = cluster
        self._recorder = recorder
        self._pool = pool

    def affected(self, change: Change) -> Iterable[Key]:
        if change.plural != "services":
            return
        if change.type is ChangeType.DELETED:
            # Its address may be what others wait for.
            for service in self._cluster.store.items("services"):
                if type_of(service) == "LoadBalancer" and not list(_ingress_ips(service)):
                    yield key_of(service)
        else:
            yield key_of(change.item)

    def reconcile(self, key: Key) -> None:
        service = self._cluster.store.find("services", *key)
        if service is None or is_terminating(service):
            return
        if type_of(service) != "LoadBalancer":
            if list(_ingress_ips(service)):
                self._cluster.store.update("services", with_status(service, loadBalancer={}))
            return
        if spec_of(service).get("loadBalancerClass") or self._pool is None:
            return
        wanted = spec_of(service).get("loadBalancerIP", "")
        held = list(_ingress_ips(service))
        if held and (not wanted or wanted == held[0]):
            return
        self._assign(service, self._pool, wanted)

    def _assign(self, service: Object, pool: IPv4Network, wanted: str) -> None:
        others = (item for item in self._cluster.store.items("services") if key_of(item) != key_of(service))
        used = {IPv4Address(text) for item in others for text in _ingress_ips(item)}
        try:
            address = pick_external_ip(pool, used=used, wanted=wanted)
        except PoolError as error:
            message = f"Error syncing load balancer: failed to ensure load balancer: {error}"
            self._recorder.record(service, WARNING, "SyncLoadBalancerFailed", message)
            return
        status = {"ingress": [{"ip": str(address), "ipMode": "VIP"}]}
        changed = self._cluster.store.update("services", with_status(service, loadBalancer=status))
        self._recorder.record(changed, NORMAL, "EnsuredLoadBalancer", "Ensured load balancer")


def _ingress_ips(service: Object) -> Iterator[str]:
    for entry in (status_of(service).get("loadBalancer") or {}).get("ingress") or ():
        if entry.get("ip"):
            yield entry["ip"]
