"""Taint eviction controller: pods leave a NoExecute node when their patience ends (pkg/controller/tainteviction)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from controlplane.clock import parse_time
from controlplane.cluster import Cluster
from controlplane.controllers.indexes import PodIndex
from controlplane.controllers.recorder import NORMAL, Recorder
from controlplane.controllers.scheduler import is_tolerated_by
from controlplane.deletion import DeleteOptions
from controlplane.kinds.pod import PODS
from controlplane.objects import (
    Key,
    Object,
    is_pod_finished,
    is_terminating,
    key_of,
    name_of,
    spec_of,
    status_of,
    with_condition,
    with_status,
)
from controlplane.store.history import Change, ChangeType
from testbed_init.events import EventSink


class TaintEviction:
    """Deletes pods of tainted nodes, each at its own time."""

    def __init__(self, *, cluster: Cluster, pods: PodIndex, recorder: Recorder, events: EventSink) -> None:
        self._cluster = cluster
        self._pods = pods
        self._recorder = recorder
        self._events = events

    def affected(self, change: Change) -> Iterable[Key]:
        if change.type is ChangeType.DELETED:
            return
        if change.plural == "nodes":
            if change.before is None or spec_of(change.before).get("taints") != spec_of(change.item).get("taints"):
                yield "", name_of(change.item)
        elif change.plural == "pods":
            node, old = spec_of(change.item).get("nodeName"), spec_of(change.before or {})
            wants = spec_of(change.item).get("tolerations")
            if node and (old.get("nodeName") != node or old.get("tolerations") != wants):
                yield "", node

    def reconcile(self, key: Key) -> float | None:
        node = self._cluster.store.find("nodes", *key)
        taints = [taint for taint in spec_of(node or {}).get("taints") or () if taint.get("effect") == "NoExecute"]
        if node is None or not taints:
            return None
        waits = []
        for pod in self._pods.on_node(key[1]):
            if is_terminating(pod) or is_pod_finished(pod):
                continue
            wait_s = self._wait_s(pod, taints)
            if wait_s is None:
                continue
            if wait_s <= 0:
                self._evict(pod)
            else:
                waits.append(wait_s)
        return min(waits, default=None)

    def _wait_s(self, pod: Object, taints: Sequence[Object]) -> float | None:
        """Seconds until the pod must go, None if it may stay for ever."""
        now = self._cluster.clock.now()
        waits = []
        for taint in taints:
            tolerations = [entry for entry in spec_of(pod).get("tolerations") or () if is_tolerated_by(entry, taint)]
            if not tolerations:
                return 0.0
            patience = [entry["tolerationSeconds"] for entry in tolerations if entry.get("tolerationSeconds") is not None]
            if patience:
                since = parse_time(taint["timeAdded"]) if taint.get("timeAdded") else now
                waits.append(min(patience) - (now - since).total_seconds())
        return min(waits, default=None)

    def _evict(self, pod: Object) -> None:
        entry = {
            "type": "DisruptionTarget",
            "status": "True",
            "reason": "DeletionByTaintManager",
            "message": "Taint manager: deleting due to NoExecute taint",
        }
        conditions = with_condition(status_of(pod).get("conditions") or (), entry, self._cluster.now())
        marked = self._cluster.store.update("pods", with_status(pod, conditions=conditions))
        self._cluster.delete(PODS, key_of(pod), DeleteOptions())
        self._events.emit("pod-evicted", pod=name_of(pod), node=spec_of(pod).get("nodeName"))
        message = f"Marking for deletion Pod {'/'.join(key_of(pod))}"
        self._recorder.record(marked, NORMAL, "TaintManagerEviction", message)
