"""ReplicaSet controller: as many active pods as wanted, and the right ones first when there are too many."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime

from controlplane.clock import parse_time
from controlplane.cluster import Cluster
from controlplane.controllers.claiming import claim
from controlplane.controllers.indexes import PodIndex
from controlplane.controllers.recorder import NORMAL, Recorder
from controlplane.deletion import DeleteOptions
from controlplane.kinds.pod import PODS
from controlplane.objects import (
    Key,
    Object,
    annotations_of,
    condition,
    controller_of,
    is_pod_active,
    is_pod_ready,
    is_terminating,
    key_of,
    labels_of,
    namespace_of,
    owner_reference,
    spec_of,
    status_of,
    with_status,
)
from controlplane.schema.decoding import decode
from controlplane.selectors import matches_selector
from controlplane.store.history import Change, ChangeType

DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
_PHASES = {"Pending": 0, "Unknown": 1, "Running": 2}


class ReplicaSetController:
    """kubernetes, pkg/controller/replicaset/replica_set.go."""

    def __init__(self, *, cluster: Cluster, pods: PodIndex, recorder: Recorder) -> None:
        self._cluster = cluster
        self._pods = pods
        self._recorder = recorder

    def affected(self, change: Change) -> Iterable[Key]:
        if change.plural == "replicasets":
            yield key_of(change.item)
        elif change.plural == "pods":
            owner = controller_of(change.item)
            if owner is not None and owner.get("kind") == "ReplicaSet":
                yield namespace_of(change.item), owner["name"]
            elif owner is None and change.type is not ChangeType.DELETED:
                # Somebody may want it.
                for replicaset in self._cluster.store.items("replicasets", namespace_of(change.item)):
                    if matches_selector(spec_of(replicaset)["selector"], labels_of(change.item)):
                        yield key_of(replicaset)

    def reconcile(self, key: Key) -> float | None:
        replicaset = self._cluster.store.find("replicasets", *key)
        if replicaset is None or is_terminating(replicaset):
            return None
        near = (*self._pods.controlled_by(replicaset["metadata"]["uid"]), *self._pods.orphans(namespace_of(replicaset)))
        active = claim(self._cluster, "pods", replicaset, [pod for pod in near if is_pod_active(pod)])
        missing = spec_of(replicaset).get("replicas", 1) - len(active)
        for _ in range(missing):
            self._create_pod(replicaset)
        if missing < 0:
            for pod in rank_for_deletion(active, self._related(active))[:-missing]:
                self._cluster.delete(PODS, key_of(pod), DeleteOptions())
                self._recorder.record(replicaset, NORMAL, "SuccessfulDelete", f"Deleted pod: {pod['metadata']['name']}")
        return self._report(key)

    def _related(self, active: Sequence[Object]) -> Counter[str]:
        """Active pods of the same ReplicaSet on each node."""
        return Counter(spec_of(pod).get("nodeName", "") for pod in active)

    def _create_pod(self, replicaset: Object) -> None:
        template = spec_of(replicaset)["template"]
        metadata = template.get("metadata") or {}
        pod, _ = decode(
            PODS.schema,
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {
                    **metadata,
                    "generateName": f"{replicaset['metadata']['name']}-",
                    "namespace": namespace_of(replicaset),
                    "ownerReferences": [owner_reference(replicaset)],
                },
                "spec": template.get("spec") or {},
            },
        )
        created = self._cluster.create(PODS, pod)
        self._recorder.record(replicaset, NORMAL, "SuccessfulCreate", f"Created pod: {created['metadata']['name']}")

    def _report(self, key: Key) -> float | None:
        replicaset = self._cluster.store.find("replicasets", *key)
        if replicaset is None:
            return None
        now = self._cluster.clock.now()
        owned = self._pods.controlled_by(replicaset["metadata"]["uid"])
        active = [pod for pod in owned if is_pod_active(pod)]
        wait_s = spec_of(replicaset).get("minReadySeconds", 0)
        delays = [seconds_until_available(pod, wait_s, now) for pod in active]
        selector = {"matchLabels": (spec_of(replicaset)["template"].get("metadata") or {}).get("labels") or {}}
        status: Object = {
            "replicas": len(active),
            "fullyLabeledReplicas": sum(1 for pod in active if matches_selector(selector, labels_of(pod))),
            "readyReplicas": sum(1 for pod in active if is_pod_ready(pod)),
            "availableReplicas": delays.count(0.0),
            "observedGeneration": replicaset["metadata"].get("generation", 1),
        }
        changed = {name: value for name, value in status.items() if value or name in ("replicas", "observedGeneration")}
        gone = {name: None for name in status if name not in changed}
        kept = {name: value for name, value in status_of(replicaset).items() if name not in gone}
        self._cluster.store.update("replicasets", with_status({**replicaset, "status": kept}, **changed))
        return min((delay for delay in delays if delay), default=None)


def seconds_until_available(pod: Object, min_ready_s: float, now: datetime) -> float | None:
    """0 when the pod has been ready for long enough, None while it is not ready."""
    if not is_pod_ready(pod):
        return None
    if min_ready_s == 0:
        return 0.0
    since = _instant((condition(pod, "Ready") or {}).get("lastTransitionTime")) or now
    return max(0.0, min_ready_s - (now - since).total_seconds())


def rank_for_deletion(pods: Sequence[Object], related: Counter[str]) -> list[Object]:
    """Those to delete first come first (pkg/controller/controller_utils.go, ActivePodsWithRanks)."""

    def rank(pod: Object) -> tuple[object, ...]:
        node = spec_of(pod).get("nodeName", "")
        ready_since = _instant((condition(pod, "Ready") or {}).get("lastTransitionTime"))
        created = _instant(pod["metadata"].get("creationTimestamp"))
        return (
            bool(node),
            _PHASES.get(status_of(pod).get("phase", "Pending"), 0),
            is_pod_ready(pod),
            _cost(pod),
            -related[node],
            _newest_first(ready_since) if is_pod_ready(pod) else 0.0,
            -sum(entry.get("restartCount", 0) for entry in status_of(pod).get("containerStatuses") or ()),
            _newest_first(created),
            key_of(pod),
        )

    return sorted(pods, key=rank)


def _newest_first(moment: datetime | None) -> float:
    return 0.0 if moment is None else -moment.timestamp()


def _cost(pod: Object) -> int:
    try:
        return int(annotations_of(pod).get(DELETION_COST, "0"))
    except ValueError:
        return 0


def _instant(text: object) -> datetime | None:
    if not isinstance(text, str) or not text:
        return None
    try:
        return parse_time(text)
    except ValueError:
        return None
