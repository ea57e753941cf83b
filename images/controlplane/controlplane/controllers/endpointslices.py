"""EndpointSlice controller: which pods are behind a Service, and in which condition."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from controlplane.cluster import Cluster
from controlplane.controllers.indexes import PodIndex
from controlplane.controllers.slice_contents import (
    Port,
    conditions_of,
    is_endpoint_of,
    ports_of_pod,
    ports_of_slice,
    render_port,
)
from controlplane.controllers.trigger_times import TriggerTimes, with_trigger
from controlplane.deletion import DeleteOptions
from controlplane.kinds.endpoints import ENDPOINT_SLICES, MANAGED_BY_LABEL, SERVICE_LABEL
from controlplane.kinds.service_type import is_headless, type_of
from controlplane.objects import (
    Key,
    Object,
    is_pod_finished,
    is_pod_ready,
    is_terminating,
    key_of,
    labels_of,
    name_of,
    namespace_of,
    owner_reference,
    spec_of,
    status_of,
    with_metadata,
)
from controlplane.selectors import matches_labels
from controlplane.store.history import Change, ChangeType

MANAGER = "endpointslice-controller.k8s.io"
SLICE_LIMIT = 100
HEADLESS_LABEL = "service.kubernetes.io/headless"
ZONE_LABEL = "topology.kubernetes.io/zone"


class EndpointSliceController:
    """kubernetes, staging/src/k8s.io/endpointslice."""

    def __init__(self, *, cluster: Cluster, pods: PodIndex) -> None:
        self._cluster = cluster
        self._pods = pods
        self._triggers = TriggerTimes()

    def affected(self, change: Change) -> Iterable[Key]:
        match change.plural:
            case "services":
                yield key_of(change.item)
            case "pods":
                yield from services_of_pod(self._cluster, change)
            case "endpointslices":
                if labels_of(change.item).get(MANAGED_BY_LABEL) == MANAGER:
                    yield namespace_of(change.item), labels_of(change.item).get(SERVICE_LABEL, "")
            case "nodes":
                zone = labels_of(change.item).get(ZONE_LABEL)
                old = None if change.before is None else labels_of(change.before).get(ZONE_LABEL)
                if zone != old or change.before is None:
                    for pod in self._pods.on_node(name_of(change.item)):
                        yield from _selecting(self._cluster, pod)

    def reconcile(self, key: Key) -> None:
        service = self._cluster.store.find("services", *key)
        existing = self._slices(key)
        if service is None or is_terminating(service) or not has_managed_endpoints(service):
            # Slices of a Service that has lost its selector stay, as the real controller leaves them.
            if service is None:
                self._triggers.forget(key)
                self._remove(existing)
            return
        pods = [pod for pod in self._pods.in_namespace(namespace_of(service)) if is_endpoint_of(service, pod)]
        trigger, wanted = self._triggers.take(service, pods), self._wanted(service, pods)
        for ports, endpoints in wanted.items():
            mine = [item for item in existing if ports_of_slice(item) == ports]
            self._fit(service, ports, mine, endpoints, trigger)
        stale = [item for item in existing if ports_of_slice(item) not in wanted]
        self._remove(stale)

    def _slices(self, key: Key) -> list[Object]:
        found = self._cluster.store.items("endpointslices", key[0])
        mine = [
            item
            for item in found
            if labels_of(item).get(SERVICE_LABEL) == key[1] and labels_of(item).get(MANAGED_BY_LABEL) == MANAGER
        ]
        return sorted(mine, key=key_of)

    def _wanted(self, service: Object, pods: Iterable[Object]) -> dict[tuple[Port, ...], dict[str, Object]]:
        """Endpoints by their ports, then by address; a Service without any still has one empty slice."""
        groups: dict[tuple[Port, ...], dict[str, Object]] = defaultdict(dict)
        for pod in pods:
            if not self._is_lost(service, pod):
                groups[ports_of_pod(service, pod)][str(status_of(pod)["podIP"])] = self._endpoint(service, pod)
        return dict(groups) or {(): {}}

    def _is_lost(self, service: Object, pod: Object) -> bool:
        """Its Node is not there. That alone is no reason to look at the Service: it keeps the endpoint until the next change.

        Source: kubernetes, staging/src/k8s.io/endpointslice, reconciler.go ("skipping Pod for Service, Node not found").
        """
        node = spec_of(pod).get("nodeName", "")
        is_there = self._cluster.store.find("nodes", "", node) is not None
        return bool(node) and not is_there and not spec_of(service).get("publishNotReadyAddresses")

    def _endpoint(self, service: Object, pod: Object) -> Object:
        node_name = spec_of(pod).get("nodeName")
        endpoint: Object = {
            "addresses": [status_of(pod)["podIP"]],
            "conditions": conditions_of(service, pod),
            "targetRef": {
                "kind": "Pod",
                "namespace": namespace_of(pod),
                "name": name_of(pod),
                "uid": pod["metadata"]["uid"],
            },
        }
        if spec_of(pod).get("hostname") and spec_of(pod).get("subdomain") == name_of(service):
            endpoint["hostname"] = spec_of(pod)["hostname"]
        if node_name:
            endpoint["nodeName"] = node_name
            node = self._cluster.store.find("nodes", "", node_name)
            if node is not None and (zone := labels_of(node).get(ZONE_LABEL)):
                endpoint["zone"] = zone
        return endpoint

    def _fit(
        self,
        service: Object,
        ports: tuple[Port, ...],
        existing: Sequence[Object],
        wanted: dict[str, Object],
        trigger: str,
    ) -> None:
        """Keep each endpoint in the slice that has it, fill the gaps, and add or drop whole slices only when needed."""
        left = dict(wanted)
        contents = []
        for item in existing:
            kept = [left.pop(address) for address in _addresses(item) if address in left]
            contents.append((item, kept))
        for item, kept in contents:
            while left and len(kept) < SLICE_LIMIT:
                kept.append(left.pop(next(iter(left))))
            if kept or (not wanted and item is contents[0][0]):
                self._write(service, item, kept, trigger)
            else:
                self._remove([item])
        rest = list(left.values())
        for start in range(0, max(len(rest), 0 if existing else 1), SLICE_LIMIT):
            self._create(service, ports, rest[start : start + SLICE_LIMIT], trigger)

    def _write(self, service: Object, item: Object, endpoints: list[Object], trigger: str) -> None:
        changed = {**item, "endpoints": endpoints}
        if endpoints != item.get("endpoints"):
            changed = with_metadata(changed, generation=item["metadata"].get("generation", 1) + 1)
        labels = _labels(service)
        if labels != labels_of(item):
            changed = with_metadata(changed, labels=labels)
        if changed != item:
            self._cluster.store.update("endpointslices", with_trigger(changed, trigger))

    def _create(self, service: Object, ports: tuple[Port, ...], endpoints: list[Object], trigger: str) -> None:
        item = {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "generateName": f"{name_of(service)}-",
                "namespace": namespace_of(service),
                "labels": _labels(service),
                "ownerReferences": [owner_reference(service)],
            },
            "addressType": "IPv4",
            "endpoints": endpoints,
            "ports": [render_port(port) for port in ports],
        }
        self._cluster.create(ENDPOINT_SLICES, with_trigger(item, trigger))

    def _remove(self, items: Iterable[Object]) -> None:
        for item in items:
            self._cluster.delete(ENDPOINT_SLICES, key_of(item), DeleteOptions())


def has_managed_endpoints(service: Object) -> bool:
    """Without a selector, endpoints are the user's."""
    return bool(spec_of(service).get("selector")) and type_of(service) != "ExternalName"


def services_of_pod(cluster: Cluster, change: Change) -> Iterator[Key]:
    """Services that select the pod as it is or as it was, if anything changed that an endpoint shows."""
    if change.before is not None and change.type is not ChangeType.DELETED and _shown(change.before) == _shown(change.item):
        return
    yield from _selecting(cluster, change.item)
    if change.before is not None and labels_of(change.before) != labels_of(change.item):
        yield from _selecting(cluster, change.before)


def _shown(pod: Object) -> tuple[object, ...]:
    return (
        labels_of(pod),
        status_of(pod).get("podIP"),
        is_pod_ready(pod),
        is_terminating(pod),
        is_pod_finished(pod),
        spec_of(pod).get("nodeName"),
    )


def _selecting(cluster: Cluster, pod: Object) -> Iterator[Key]:
    for service in cluster.store.items("services", namespace_of(pod)):
        selector = spec_of(service).get("selector")
        if selector and matches_labels(selector, labels_of(pod)):
            yield key_of(service)


def _labels(service: Object) -> dict[str, str]:
    labels = dict(labels_of(service))
    labels |= {SERVICE_LABEL: name_of(service), MANAGED_BY_LABEL: MANAGER}
    if is_headless(service):
        labels[HEADLESS_LABEL] = ""
    else:
        labels.pop(HEADLESS_LABEL, None)
    return labels


def _addresses(item: Object) -> list[str]:
    return [endpoint["addresses"][0] for endpoint in item.get("endpoints") or () if endpoint.get("addresses")]
