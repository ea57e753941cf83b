"""Endpoints controller: the older view of the same pods, for those who still read it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from controlplane.cluster import Cluster
from controlplane.controllers.endpointslices import has_managed_endpoints, services_of_pod
from controlplane.controllers.indexes import PodIndex
from controlplane.controllers.slice_contents import Port, conditions_of, is_endpoint_of, ports_of_pod
from controlplane.controllers.trigger_times import TriggerTimes, with_trigger
from controlplane.deletion import DeleteOptions
from controlplane.kinds.endpoints import ENDPOINTS
from controlplane.objects import Key, Object, is_terminating, key_of, labels_of, name_of, namespace_of, spec_of, status_of
from controlplane.store.history import Change

MANAGED_BY = "endpoints.kubernetes.io/managed-by"


class EndpointsController:
    """kubernetes, pkg/controller/endpoint."""

    def __init__(self, *, cluster: Cluster, pods: PodIndex) -> None:
        self._cluster = cluster
        self._pods = pods
        self._triggers = TriggerTimes()

    def affected(self, change: Change) -> Iterable[Key]:
        if change.plural in ("services", "endpoints"):
            yield key_of(change.item)
        elif change.plural == "pods":
            yield from services_of_pod(self._cluster, change)

    def reconcile(self, key: Key) -> None:
        service = self._cluster.store.find("services", *key)
        existing = self._cluster.store.find("endpoints", *key)
        if service is None:
            self._triggers.forget(key)
            if existing is not None and MANAGED_BY in labels_of(existing):
                self._cluster.delete(ENDPOINTS, key, DeleteOptions())
            return
        if not has_managed_endpoints(service):
            return
        pods = [pod for pod in self._pods.in_namespace(key[0]) if is_endpoint_of(service, pod)]
        labels = {**labels_of(service), MANAGED_BY: "endpoint-controller"}
        subsets, trigger = render_subsets(service, pods), self._triggers.take(service, pods)
        if existing is None:
            metadata = {"name": name_of(service), "namespace": namespace_of(service), "labels": labels}
            item: Object = {"apiVersion": "v1", "kind": "Endpoints", "metadata": metadata}
            self._cluster.create(ENDPOINTS, with_trigger({**item, "subsets": subsets} if subsets else item, trigger))
            return
        changed = {**existing, "metadata": {**existing["metadata"], "labels": labels}}
        changed.pop("subsets", None)
        changed = {**changed, "subsets": subsets} if subsets else changed
        if changed != existing:
            self._cluster.store.update("endpoints", with_trigger(changed, trigger))


def render_subsets(service: Object, pods: Iterable[Object]) -> list[Object]:
    """Addresses grouped by ports, ready and not ready; terminating pods are in neither."""
    groups: dict[tuple[Port, ...], dict[str, list[Object]]] = defaultdict(lambda: {"addresses": [], "notReadyAddresses": []})
    for pod in pods:
        conditions = conditions_of(service, pod)
        if is_terminating(pod) and not conditions["ready"]:
            continue
        groups[ports_of_pod(service, pod)]["addresses" if conditions["ready"] else "notReadyAddresses"].append(_address(pod))
    subsets = []
    for ports, lists in sorted(groups.items(), key=lambda entry: str(entry[0])):
        subset: Object = {name: sorted(found, key=lambda entry: entry["ip"]) for name, found in lists.items() if found}
        if ports:
            subset["ports"] = [
                {**({"name": name} if name else {}), "port": number, "protocol": protocol} for name, protocol, number, _ in ports
            ]
        subsets.append(subset)
    return subsets


def _address(pod: Object) -> Object:
    reference = {"kind": "Pod", "namespace": namespace_of(pod), "name": name_of(pod), "uid": pod["metadata"]["uid"]}
    address: Object = {"ip": status_of(pod)["podIP"], "targetRef": reference}
    if node := spec_of(pod).get("nodeName"):
        address["nodeName"] = node
    return address
