"""Pods that no kubelet will ever end: of nodes that are not there, and terminating ones of nodes that are out of service.

Source: kubernetes, pkg/controller/podgc.
"""

from __future__ import annotations

from collections.abc import Iterable

from controlplane.cluster import Cluster
from controlplane.controllers.indexes import PodIndex
from controlplane.controllers.node_health import LEASE_NAMESPACE
from controlplane.deletion import DeleteOptions
from controlplane.kinds.node import LEASES
from controlplane.kinds.pod import PODS
from controlplane.objects import (
    Key,
    Object,
    condition_status,
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

AT_ONCE = DeleteOptions(grace_period_s=0)
OUT_OF_SERVICE = "node.kubernetes.io/out-of-service"
QUARANTINE_PERIODS = 8
"""Looks at all nodes that a pod waits for its node to appear: 40 s at Kubernetes' 5 s, and as much less as they are shorter.

Kubernetes looks for such pods every 20 s only, so that it takes 40 to 80 s there.
"""


class PodCollector:
    """Keys are `("", node)`.

    Pods of a Node that was deleted stay as they are, Ready if they were, until the quarantine is over: the Node may come back,
    and whoever knows that the machine is gone for good deletes them himself. Its Lease goes at once: there the Node owns it.
    """

    def __init__(self, *, cluster: Cluster, pods: PodIndex, node_monitor_period_s: float) -> None:
        self._cluster = cluster
        self._pods = pods
        self._quarantine_s = QUARANTINE_PERIODS * node_monitor_period_s
        self._deleted: set[str] = set()
        self._missing_since_ns: dict[str, int] = {}

    def affected(self, change: Change) -> Iterable[Key]:
        if change.plural == "nodes":
            if change.type is ChangeType.DELETED:
                self._deleted.add(name_of(change.item))
                yield "", name_of(change.item)
            elif change.before is None or is_out_of_service(change.item) != is_out_of_service(change.before):
                yield "", name_of(change.item)
        elif change.plural == "pods" and change.type is not ChangeType.DELETED and (node := spec_of(change.item).get("nodeName")):
            found = self._cluster.store.find("nodes", "", node)
            if found is None or (is_terminating(change.item) and is_out_of_service(found)):
                yield "", node

    def reconcile(self, key: Key) -> float | None:
        name = key[1]
        node = self._cluster.store.find("nodes", *key)
        if node is not None:
            self._deleted.discard(name)
            self._missing_since_ns.pop(name, None)
            if is_out_of_service(node):
                self._collect(pod for pod in self._pods.on_node(name) if is_terminating(pod))
            return None
        if name in self._deleted:
            self._deleted.discard(name)
            if self._cluster.store.find("leases", LEASE_NAMESPACE, name) is not None:
                self._cluster.delete(LEASES, (LEASE_NAMESPACE, name), AT_ONCE)
        if (left_s := self._left_s(name)) > 0:
            return left_s
        self._missing_since_ns.pop(name, None)
        self._collect(self._pods.on_node(name), why="PodGC: node no longer exists")
        return None

    def _left_s(self, name: str) -> float:
        if not self._pods.on_node(name):
            return 0.0
        now_ns = self._cluster.clock.monotonic_ns()
        since_ns = self._missing_since_ns.setdefault(name, now_ns)
        return self._quarantine_s - (now_ns - since_ns) / 1e9

    def _collect(self, pods: Iterable[Object], *, why: str = "") -> None:
        """Failed first, so that whoever counts them sees how they ended; no kubelet will tell."""
        for pod in pods:
            if not is_pod_finished(pod):
                conditions = status_of(pod).get("conditions") or []
                if why:
                    entry = {"type": "DisruptionTarget", "status": "True", "reason": "DeletionByPodGC", "message": why}
                    conditions = with_condition(conditions, entry, self._cluster.now())
                self._cluster.store.update("pods", with_status(pod, phase="Failed", conditions=conditions))
            self._cluster.delete(PODS, key_of(pod), AT_ONCE)


def is_out_of_service(node: Object) -> bool:
    """Somebody has said so, and nothing contradicts it."""
    taints = spec_of(node).get("taints") or ()
    return condition_status(node, "Ready") != "True" and any(taint["key"] == OUT_OF_SERVICE for taint in taints)
