"""Events about objects, as `kubectl describe` and `kubectl get events` show them; repetitions are counted, not repeated."""

from __future__ import annotations

from collections import OrderedDict

from controlplane.cluster import Cluster
from controlplane.errors import StatusError
from controlplane.identity import hash_text
from controlplane.kinds.event import CORE_EVENTS
from controlplane.objects import Key, Object
from controlplane.store.store import AbsentError

KEPT = 1000
"""Events live for an hour in Kubernetes; here the latest ones live as long as the run."""

NORMAL = "Normal"
WARNING = "Warning"


class Recorder:
    """Writes events of one component."""

    def __init__(self, *, cluster: Cluster, component: str, kept: OrderedDict[Key, None]) -> None:
        """`kept`: shared by all components, so that the bound holds for all of them together."""
        self._cluster = cluster
        self._component = component
        self._kept = kept

    def record(self, item: Object, kind: str, reason: str, message: str) -> None:
        """Report `reason` about `item`."""
        metadata = item["metadata"]
        namespace = metadata.get("namespace") or "default"
        identity = hash_text(f"{metadata['uid']}/{self._component}/{kind}/{reason}/{message}")
        key = namespace, f"{metadata['name'][:230]}.{identity}"
        store, now = self._cluster.store, self._cluster.now()
        if (old := store.find("events", *key)) is not None:
            store.update("events", {**old, "count": old.get("count", 1) + 1, "lastTimestamp": now})
            return
        event: Object = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": key[1], "namespace": namespace},
            "involvedObject": {
                "kind": item["kind"],
                "namespace": metadata.get("namespace", ""),
                "name": metadata["name"],
                "uid": metadata["uid"],
                "apiVersion": item["apiVersion"],
                "resourceVersion": metadata.get("resourceVersion", ""),
            },
            "reason": reason,
            "message": message,
            "source": {"component": self._component},
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
            "type": kind,
            "reportingComponent": self._component,
            "reportingInstance": "",
        }
        try:
            self._cluster.create(CORE_EVENTS, event)
        except StatusError:
            return  # its namespace is on its way out: nobody will read about it
        self._kept[key] = None
        while len(self._kept) > KEPT:
            oldest, _ = self._kept.popitem(last=False)
            try:
                store.delete("events", oldest)
            except AbsentError:
                continue  # deleted by a client
