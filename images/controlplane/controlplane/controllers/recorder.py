"""Events about objects, as `kubectl describe` and `kubectl get events` show them; repetitions are counted, not repeated."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from controlplane.cluster import Cluster
from controlplane.deletion import DeleteOptions
from controlplane.errors import StatusError
from controlplane.kinds.event import CORE_EVENTS
from controlplane.objects import Key, Object, key_of
from controlplane.store.history import Change, ChangeType
from testbed_kube.recording import NORMAL, WARNING, Correlator, Stamps, repetition_of

__all__ = ["NORMAL", "WARNING", "EventCollector", "Recorder"]

KEPT = 1000
"""Events live for an hour in Kubernetes; here the latest ones live as long as the run."""


class Recorder:
    """Writes Events of one component."""

    def __init__(self, *, cluster: Cluster, component: str, stamps: Stamps) -> None:
        """`stamps`: shared by all components, so that no two Events have one name."""
        self._cluster = cluster
        self._correlator = Correlator(component=component, stamps=stamps)

    def record(self, item: Object, kind: str, reason: str, message: str) -> None:
        """Report `reason` about `item`."""
        event = self._correlator.correlate(refer_to(item), kind, reason, message, self._cluster.clock.now())
        if event is None:
            return
        store = self._cluster.store
        if event["count"] > 1 and (old := store.find("events", *key_of(dict(event)))) is not None:
            store.update("events", {**old, **repetition_of(event)})
            return
        try:
            self._cluster.create(CORE_EVENTS, {**event, "metadata": dict(event["metadata"])})
        except StatusError:
            return  # its namespace is on its way out: nobody will read about it


def refer_to(item: Object) -> Object:
    """The ObjectReference of what an Event is about (client-go, tools/reference)."""
    metadata = item["metadata"]
    return {
        "kind": item["kind"],
        "namespace": metadata.get("namespace", ""),
        "name": metadata["name"],
        "uid": metadata["uid"],
        "apiVersion": item["apiVersion"],
        "resourceVersion": metadata.get("resourceVersion", ""),
    }


class EventCollector:
    """Removes the oldest Events, whoever wrote them."""

    def __init__(self, *, cluster: Cluster) -> None:
        self._cluster = cluster
        self._kept: OrderedDict[Key, None] = OrderedDict()

    def affected(self, change: Change) -> Iterable[Key]:
        if change.plural != "events":
            return
        key = key_of(change.item)
        if change.type is ChangeType.DELETED:
            self._kept.pop(key, None)
        elif key not in self._kept:
            self._kept[key] = None
            if len(self._kept) > KEPT:
                yield next(iter(self._kept))

    def reconcile(self, key: Key) -> None:
        del key  # that there are too many is all that counts
        while len(self._kept) > KEPT:
            self._cluster.delete(CORE_EVENTS, next(iter(self._kept)), DeleteOptions())
