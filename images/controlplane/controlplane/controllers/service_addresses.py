"""An IPAddress for each cluster IP, and the ServiceCIDR that they are of, which cannot go while they are there.

Source: kubernetes, pkg/registry/core/service/ipallocator (ControllerName) and pkg/controller/servicecidrs. There the allocator
makes the object before the Service; here it follows it, since one process allocates.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from controlplane.allocation.services import cluster_ips_of
from controlplane.cluster import Cluster
from controlplane.deletion import DeleteOptions
from controlplane.kinds.service_cidr import IP_ADDRESSES, SERVICE_CIDRS
from controlplane.objects import (
    Key,
    Object,
    condition,
    is_terminating,
    key_of,
    name_of,
    spec_of,
    status_of,
    with_condition,
    with_metadata,
    with_status,
)
from controlplane.store.history import Change, ChangeType

LABELS = {"ipaddress.kubernetes.io/ip-family": "IPv4", "ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io"}
FINALIZER = "networking.k8s.io/service-cidr-finalizer"
READY = {"type": "Ready", "status": "True", "reason": "", "message": "Kubernetes Service CIDR is ready"}
TERMINATING = {
    "type": "Ready",
    "status": "False",
    "reason": "Terminating",
    "message": "There are still IPAddresses referencing the ServiceCIDR, please remove them or create a new ServiceCIDR",
}


class IpAddressController:
    """Keys are `("", address)`."""

    def __init__(self, *, cluster: Cluster) -> None:
        self._cluster = cluster
        self._holders: dict[str, Key] = {}

    def affected(self, change: Change) -> Iterable[Key]:
        if change.plural == "ipaddresses":
            yield key_of(change.item)
        if change.plural != "services":
            return
        key = key_of(change.item)
        held = cluster_ips_of(change.item) if change.type is not ChangeType.DELETED else set()
        let_go = {address for address in cluster_ips_of(change.before or change.item) - held if self._holders.get(address) == key}
        for address in let_go:
            del self._holders[address]
        taken = {address for address in held if self._holders.get(address) != key}
        self._holders |= dict.fromkeys(taken, key)
        yield from (("", address) for address in sorted(let_go | taken))

    def reconcile(self, key: Key) -> None:
        holder, found = self._holders.get(key[1]), self._cluster.store.find("ipaddresses", *key)
        parent = None if holder is None else {"group": "", "resource": "services", "namespace": holder[0], "name": holder[1]}
        if found is not None and spec_of(found).get("parentRef") != parent:
            self._cluster.delete(IP_ADDRESSES, key, DeleteOptions())
            found = None
        if found is None and parent is not None:
            metadata = {"name": key[1], "labels": dict(LABELS)}
            item = {"apiVersion": IP_ADDRESSES.group_version, "kind": IP_ADDRESSES.kind, "metadata": metadata}
            self._cluster.create(IP_ADDRESSES, {**item, "spec": {"parentRef": parent}})


class ServiceCidrController:
    """Only the network that the control plane allocates from is protected, and ready: others are stored only."""

    def __init__(self, *, cluster: Cluster, name: str) -> None:
        self._cluster = cluster
        self._name = name

    def affected(self, change: Change) -> Iterable[Key]:
        if change.plural == "servicecidrs" or (change.plural == "ipaddresses" and change.type is ChangeType.DELETED):
            yield "", self._name

    def reconcile(self, key: Key) -> None:
        item = self._cluster.store.find("servicecidrs", *key)
        if item is None:
            return
        finalizers = item["metadata"].get("finalizers") or []
        if is_terminating(item) and not self._is_needed(item):
            if FINALIZER in finalizers:
                left = [finalizer for finalizer in finalizers if finalizer != FINALIZER]
                self._cluster.update(SERVICE_CIDRS, key, lambda before: with_metadata(before, finalizers=left))
            return
        wanted = TERMINATING if is_terminating(item) else READY
        changed = item
        if not is_terminating(item) and FINALIZER not in finalizers:
            changed = with_metadata(item, finalizers=[*finalizers, FINALIZER])
        known = condition(item, "Ready") or {}
        if any(known.get(field) != text for field, text in wanted.items()):
            conditions = with_condition(status_of(item).get("conditions") or (), wanted, self._cluster.now())
            changed = with_status(changed, conditions=conditions)
        if changed is not item:
            self._cluster.store.update("servicecidrs", changed)

    def _is_needed(self, item: Object) -> bool:
        """Whether an address is of this network and of no other."""
        others = [other for other in self._cluster.store.items("servicecidrs") if name_of(other) != self._name]
        addresses = [ip_address(name_of(address)) for address in self._cluster.store.items("ipaddresses")]
        own, elsewhere = _networks([item]), _networks(others)
        return any(
            any(address in network for network in own) and not any(address in network for network in elsewhere)
            for address in addresses
        )


def _networks(items: Iterable[Object]) -> list[IPv4Network | IPv6Network]:
    return [ip_network(text) for item in items for text in spec_of(item).get("cidrs") or ()]
