"""Node lifecycle controller: silent nodes become Unknown, their pods not ready, and taints say so to everybody else.

Source: kubernetes, pkg/controller/nodelifecycle/node_lifecycle_controller.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from controlplane.admission import NOT_READY, UNREACHABLE, UNSCHEDULABLE
from controlplane.clock import render_time
from controlplane.cluster import Cluster
from controlplane.controllers.indexes import PodIndex
from controlplane.controllers.node_health import Heartbeats, TokenBucket, ZoneState, is_overdue, judge_zones, zone_of
from controlplane.controllers.recorder import NORMAL, WARNING, Recorder
from controlplane.objects import (
    Key,
    Object,
    condition,
    condition_status,
    is_pod_ready,
    name_of,
    spec_of,
    status_of,
    with_condition,
    with_spec,
    with_status,
)
from controlplane.settings import Timings
from controlplane.store.history import Change, ChangeType

EVICTION_PERIOD_S = 0.1
"""How often the queue of nodes to taint NoExecute is worked on (nodeEvictionPeriod)."""
CONDITIONS = ("Ready", "MemoryPressure", "DiskPressure", "PIDPressure")
SCHEDULE_TAINTS = {
    ("Ready", "False"): NOT_READY,
    ("Ready", "Unknown"): UNREACHABLE,
    ("MemoryPressure", "True"): "node.kubernetes.io/memory-pressure",
    ("DiskPressure", "True"): "node.kubernetes.io/disk-pressure",
    ("PIDPressure", "True"): "node.kubernetes.io/pid-pressure",
    ("NetworkUnavailable", "True"): "node.kubernetes.io/network-unavailable",
}
OWN_SCHEDULE_TAINTS = frozenset({*SCHEDULE_TAINTS.values(), UNSCHEDULABLE})
EXECUTE_TAINTS = {"False": NOT_READY, "Unknown": UNREACHABLE}


class NodeLifecycle:
    """Looks at every node once a period, and at one at once when it changes."""

    def __init__(self, *, cluster: Cluster, pods: PodIndex, recorder: Recorder, timings: Timings) -> None:
        self._cluster = cluster
        self._pods = pods
        self._recorder = recorder
        self._timings = timings
        self._heartbeats = Heartbeats()
        self._buckets: dict[str, TokenBucket] = {}
        self._unready: set[str] = set()
        self._registered: dict[str, Object] = {}

    def start(self) -> None:
        """Begin the periodic look."""
        self._monitor()

    def affected(self, change: Change) -> Iterable[Key]:
        self._heartbeats.observe(change, self._cluster.clock.monotonic_ns())
        if change.plural != "nodes" or change.type is ChangeType.DELETED:
            return
        if change.before is None or _watched(change.item) != _watched(change.before):
            yield "", name_of(change.item)

    def reconcile(self, key: Key) -> float | None:
        node = self._cluster.store.find("nodes", *key)
        if node is None:
            return None
        if condition_status(node, "Ready") in ("True", None):
            self._unready.discard(name_of(node))
        elif name_of(node) not in self._unready:
            self._unready.add(name_of(node))
            self._mark_pods_not_ready(node)
        node = self._fit_schedule_taints(node)
        return self._fit_execute_taint(node)

    def _monitor(self) -> None:
        clock = self._cluster.clock
        # First, so that whatever goes wrong with one node cannot end the watch over all of them.
        clock.call_later(self._timings.node_monitor_period_s, self._monitor)
        now_ns = clock.monotonic_ns()
        nodes = list(self._cluster.store.items("nodes"))
        self._tell_comings_and_goings(nodes)
        for node in nodes:
            if is_overdue(node, self._heartbeats.age_s(name_of(node), now_ns), self._timings):
                self._mark_unknown(node)

    def _tell_comings_and_goings(self, nodes: Sequence[Object]) -> None:
        present = {node["metadata"]["uid"]: node for node in nodes}
        for uid, node in present.items():
            if uid not in self._registered:
                self._tell(node, "RegisteredNode", f"Registered Node {name_of(node)} in Controller")
        for uid, node in self._registered.items():
            if uid not in present:
                self._tell(node, "RemovingNode", f"Removing Node {name_of(node)} from Controller")
        self._registered = present

    def _tell(self, node: Object, reason: str, what: str) -> None:
        self._recorder.record(node, NORMAL, reason, f"Node {name_of(node)} event: {what}")

    def _mark_unknown(self, node: Object) -> None:
        if all(condition_status(node, kind) == "Unknown" for kind in CONDITIONS):
            return
        was_ready = condition_status(node, "Ready") == "True"
        now = self._cluster.now()
        conditions: Sequence[Object] = status_of(node).get("conditions") or []
        for kind in CONDITIONS:
            known = condition(node, kind)
            if known is None:
                reason, message = "NodeStatusNeverUpdated", "Kubelet never posted node status."
            else:
                reason, message = "NodeStatusUnknown", "Kubelet stopped posting node status."
            entry = {"type": kind, "status": "Unknown", "reason": reason, "message": message}
            heartbeat = (known or {}).get("lastHeartbeatTime") or node["metadata"]["creationTimestamp"]
            conditions = with_condition(conditions, {**entry, "lastHeartbeatTime": heartbeat}, now)
        changed = self._cluster.store.update("nodes", with_status(node, conditions=conditions))
        if was_ready:
            self._recorder.record(changed, NORMAL, "NodeNotReady", f"Node {name_of(node)} status is now: NodeNotReady")
        # In the same breath, so that endpoints follow the node without waiting for the queue.
        self.reconcile(("", name_of(node)))

    def _mark_pods_not_ready(self, node: Object) -> None:
        """Once for each loss of the node: an agent that comes back reports its pods ready again itself."""
        for pod in self._pods.on_node(name_of(node)):
            if not is_pod_ready(pod):
                continue
            entry = {**(condition(pod, "Ready") or {}), "type": "Ready", "status": "False"}
            conditions = with_condition(status_of(pod)["conditions"], entry, self._cluster.now())
            changed = self._cluster.store.update("pods", with_status(pod, conditions=conditions))
            self._recorder.record(changed, WARNING, "NodeNotReady", "Node is not ready")

    def _fit_schedule_taints(self, node: Object) -> Object:
        wanted = {
            taint
            for (kind, status), taint in SCHEDULE_TAINTS.items()
            if (condition_status(node, kind) or "Unknown" if kind == "Ready" else condition_status(node, kind)) == status
        }
        if condition(node, "Ready") is None:
            # Not reported yet: the taint of its registration stays.
            wanted = (wanted - {UNREACHABLE}) | {NOT_READY}
        if spec_of(node).get("unschedulable"):
            wanted.add(UNSCHEDULABLE)
        kept = [taint for taint in _taints(node) if not (_is_own(taint) and taint["key"] not in wanted)]
        present = {taint["key"] for taint in kept if taint.get("effect") == "NoSchedule"}
        added = [self._taint(key, "NoSchedule") for key in sorted(wanted - present)]
        return self._write_taints(node, [*kept, *added])

    def _fit_execute_taint(self, node: Object) -> float | None:
        wanted = EXECUTE_TAINTS.get(condition_status(node, "Ready") or "")
        others = [taint for taint in _taints(node) if not _is_own_execute(taint)]
        present = [taint for taint in _taints(node) if _is_own_execute(taint)]
        if wanted is None or self._is_master_disruption():
            self._write_taints(node, others)
            # Once another node is back, evictions begin again.
            return None if wanted is None else self._timings.node_monitor_period_s
        if [taint["key"] for taint in present] == [wanted]:
            return None
        if not present and not self._may_evict(node):
            return EVICTION_PERIOD_S
        self._write_taints(node, [*others, self._taint(wanted, "NoExecute")])
        return None

    def _is_master_disruption(self) -> bool:
        """When no node is ready, it is rather us who are cut off: nothing is evicted."""
        states = judge_zones(self._cluster.store.items("nodes")).values()
        return all(state is ZoneState.FULL for state in states)

    def _may_evict(self, node: Object) -> bool:
        zone = zone_of(node)
        state = judge_zones(self._cluster.store.items("nodes"))[zone]
        if state is ZoneState.PARTIAL:
            return False  # zones of up to 50 nodes stop evicting (--large-cluster-size-threshold)
        bucket = self._buckets.setdefault(zone, TokenBucket(rate_per_s=self._timings.eviction_rate_per_s))
        return bucket.take(self._cluster.clock.monotonic_ns())

    def _taint(self, key: str, effect: str) -> Object:
        return {"key": key, "effect": effect, "timeAdded": render_time(self._cluster.clock.now())}

    def _write_taints(self, node: Object, taints: list[Object]) -> Object:
        if taints == _taints(node):
            return node
        if taints:
            return self._cluster.store.update("nodes", with_spec(node, taints=taints))
        bare = {name: value for name, value in spec_of(node).items() if name != "taints"}
        return self._cluster.store.update("nodes", {**node, "spec": bare})


def _taints(node: Object) -> list[Object]:
    taints: list[Object] = spec_of(node).get("taints") or []
    return taints


def _is_own(taint: Object) -> bool:
    return taint.get("effect") == "NoSchedule" and taint["key"] in OWN_SCHEDULE_TAINTS


def _is_own_execute(taint: Object) -> bool:
    return taint.get("effect") == "NoExecute" and taint["key"] in EXECUTE_TAINTS.values()


def _watched(node: Object) -> tuple[object, ...]:
    spec = spec_of(node)
    statuses = [(entry.get("type"), entry.get("status")) for entry in status_of(node).get("conditions") or ()]
    return statuses, spec.get("taints"), spec.get("unschedulable")
