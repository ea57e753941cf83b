"""EndpointSlice mirroring controller: Endpoints that people write for a Service without a selector, as slices for kube-proxy."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from controlplane.cluster import Cluster
from controlplane.controllers.recorder import WARNING, Recorder
from controlplane.controllers.slice_contents import Port, ports_of_slice, render_port
from controlplane.deletion import DeleteOptions
from controlplane.kinds.endpoints import ENDPOINT_SLICES, MANAGED_BY_LABEL, SERVICE_LABEL
from controlplane.objects import (
    Key,
    Object,
    annotations_of,
    is_terminating,
    key_of,
    labels_of,
    name_of,
    namespace_of,
    owner_reference,
    spec_of,
    with_metadata,
)
from controlplane.store.history import Change, ChangeType

MANAGER = "endpointslicemirroring-controller.k8s.io"
SKIP_LABEL = "endpointslice.kubernetes.io/skip-mirror"
LEADER = "control-plane.alpha.kubernetes.io/leader"
NOT_COPIED = frozenset({"endpoints.kubernetes.io/last-change-trigger-time", "kubectl.kubernetes.io/last-applied-configuration"})
SUBSET_LIMIT = 1000
"""Addresses of one subset (--mirroring-max-endpoints-per-subset)."""


class EndpointSliceMirroring:
    """kubernetes, pkg/controller/endpointslicemirroring; keys are those of the Endpoints, and so of the Service."""

    def __init__(self, *, cluster: Cluster, recorder: Recorder) -> None:
        self._cluster = cluster
        self._recorder = recorder
        self._slices: dict[Key, dict[Key, None]] = defaultdict(dict)
        """The mirrored slices of each Service, in order of their creation."""

    def affected(self, change: Change) -> Iterable[Key]:
        match change.plural:
            case "endpoints":
                yield key_of(change.item)
            case "services":
                if (
                    change.before is None
                    or change.type is ChangeType.DELETED
                    or _selector(change.before) != _selector(change.item)
                ):
                    yield key_of(change.item)
            case "endpointslices":
                yield from self._follow(change)

    def _follow(self, change: Change) -> Iterator[Key]:
        if change.before is not None and (owner := _mirrored_for(change.before)) is not None:
            self._slices[owner].pop(key_of(change.before), None)
            yield owner
        if change.type is not ChangeType.DELETED and (owner := _mirrored_for(change.item)) is not None:
            self._slices[owner][key_of(change.item)] = None
            yield owner

    def reconcile(self, key: Key) -> None:
        endpoints = self._cluster.store.find("endpoints", *key)
        service = self._cluster.store.find("services", *key)
        if endpoints is None or service is None or _selector(service) or not is_mirrored(endpoints):
            self._remove(list(self._slices[key]))
            return
        existing: dict[tuple[Port, ...], list[Object]] = defaultdict(list)
        for place in self._slices[key]:
            if (found := self._cluster.store.find("endpointslices", *place)) is not None:
                existing[ports_of_slice(found)].append(found)
        wanted = self._wanted(endpoints)
        spare = [item for ports, items in existing.items() for item in (items[1:] if ports in wanted else items)]
        for ports, found_endpoints in wanted.items():
            if existing[ports]:
                self._write(existing[ports][0], endpoints, list(found_endpoints.values()))
            elif not is_terminating(endpoints):
                self._create(endpoints, ports, list(found_endpoints.values()))
        self._remove([key_of(item) for item in spare])

    def _wanted(self, endpoints: Object) -> dict[tuple[Port, ...], dict[str, Object]]:
        """Endpoints by their ports, then by address: subsets of the same ports share a slice."""
        groups: dict[tuple[Port, ...], dict[str, Object]] = defaultdict(dict)
        skipped = 0
        for subset in endpoints.get("subsets") or ():
            entries = [(entry, True) for entry in subset.get("addresses") or ()]
            entries += [(entry, False) for entry in subset.get("notReadyAddresses") or ()]
            skipped += max(0, len(entries) - SUBSET_LIMIT)
            for entry, ready in entries[:SUBSET_LIMIT]:
                groups[ports_of_slice(subset)][entry["ip"]] = _endpoint(entry, ready=ready)
        if skipped:
            message = (
                f"A max of {SUBSET_LIMIT} addresses can be mirrored to EndpointSlices per Endpoints subset. "
                f"{skipped} addresses were skipped"
            )
            self._recorder.record(endpoints, WARNING, "TooManyAddressesToMirror", message)
        return groups

    def _write(self, item: Object, endpoints: Object, wanted: list[Object]) -> None:
        changed = with_metadata({**item, "endpoints": wanted}, **_metadata(endpoints))
        if wanted != item["endpoints"]:
            changed = with_metadata(changed, generation=item["metadata"].get("generation", 1) + 1)
        if not changed["metadata"]["annotations"]:
            changed["metadata"].pop("annotations")
        self._cluster.store.update("endpointslices", changed)

    def _create(self, endpoints: Object, ports: tuple[Port, ...], wanted: list[Object]) -> None:
        metadata = {"generateName": f"{name_of(endpoints)}-", "namespace": namespace_of(endpoints), **_metadata(endpoints)}
        if not metadata["annotations"]:
            del metadata["annotations"]
        self._cluster.create(
            ENDPOINT_SLICES,
            {
                "apiVersion": "discovery.k8s.io/v1",
                "kind": "EndpointSlice",
                "metadata": metadata,
                "addressType": "IPv4",
                "endpoints": wanted,
                "ports": [render_port(port) for port in ports],
            },
        )

    def _remove(self, keys: Iterable[Key]) -> None:
        for key in keys:
            self._cluster.delete(ENDPOINT_SLICES, key, DeleteOptions())


def is_mirrored(endpoints: Object) -> bool:
    return labels_of(endpoints).get(SKIP_LABEL) != "true" and LEADER not in annotations_of(endpoints)


def _selector(service: Object) -> object:
    return spec_of(service).get("selector")


def _mirrored_for(item: Object) -> Key | None:
    labels = labels_of(item)
    if labels.get(MANAGED_BY_LABEL) != MANAGER or not labels.get(SERVICE_LABEL):
        return None
    return namespace_of(item), labels[SERVICE_LABEL]


def _metadata(endpoints: Object) -> Object:
    return {
        "labels": {**labels_of(endpoints), SERVICE_LABEL: name_of(endpoints), MANAGED_BY_LABEL: MANAGER},
        "annotations": {name: text for name, text in annotations_of(endpoints).items() if name not in NOT_COPIED},
        "ownerReferences": [owner_reference(endpoints)],
    }


def _endpoint(address: Object, *, ready: bool) -> Object:
    endpoint: Object = {"addresses": [address["ip"]], "conditions": {"ready": ready}}
    return endpoint | {name: address[name] for name in ("hostname", "nodeName", "targetRef") if address.get(name)}
