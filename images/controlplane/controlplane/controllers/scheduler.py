"""Assigns pods to nodes: filters as the kube-scheduler's default plugins do, then spreads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from controlplane.binding import bind_pod
from controlplane.cluster import Cluster
from controlplane.controllers.indexes import PodIndex
from controlplane.controllers.recorder import NORMAL, WARNING
from controlplane.controllers.series import SeriesRecorder
from controlplane.kinds.registry import by_stored
from controlplane.objects import (
    Key,
    Object,
    condition,
    containers_of,
    controller_of,
    is_pod_finished,
    is_terminating,
    key_of,
    labels_of,
    name_of,
    spec_of,
    status_of,
    with_condition,
    with_status,
)
from controlplane.selectors import Operator, Requirement
from controlplane.store.history import Change, ChangeType

_OPERATORS = {
    "In": Operator.IN,
    "NotIn": Operator.NOT_IN,
    "Exists": Operator.EXISTS,
    "DoesNotExist": Operator.ABSENT,
    "Gt": Operator.GREATER,
    "Lt": Operator.LESS,
}


class Scheduler:
    """Every pod without a node, oldest first; again after every change that could make room."""

    def __init__(self, *, cluster: Cluster, pods: PodIndex, recorder: SeriesRecorder) -> None:
        self._cluster = cluster
        self._pods = pods
        self._recorder = recorder

    def affected(self, change: Change) -> Iterable[Key]:
        if change.plural == "pods":
            if _is_pending(change.item) and change.type is not ChangeType.DELETED:
                # A write of our own verdict is no reason to judge again.
                if change.before is None or spec_of(change.before) != spec_of(change.item):
                    yield key_of(change.item)
            elif change.type is ChangeType.DELETED or is_pod_finished(change.item):
                yield from self._pending()
        elif change.plural == "nodes" and _changes_offer(change):
            yield from self._pending()

    def _pending(self) -> list[Key]:
        waiting = [pod for pod in self._pods.on_node("") if _is_pending(pod)]
        return [key_of(pod) for pod in sorted(waiting, key=lambda pod: (pod["metadata"]["creationTimestamp"], key_of(pod)))]

    def reconcile(self, key: Key) -> None:
        pod = self._cluster.store.find("pods", *key)
        if pod is None or not _is_pending(pod):
            return
        nodes = sorted(self._cluster.store.items("nodes"), key=name_of)
        reasons: Counter[str] = Counter()
        fitting = []
        for node in nodes:
            reason = why_not(pod, node, self._pods.on_node(name_of(node)))
            if reason is None:
                fitting.append(node)
            else:
                reasons[reason] += 1
        if not fitting:
            self._report_unschedulable(pod, len(nodes), reasons)
            return
        chosen = choose_node(pod, fitting, {name_of(node): self._pods.on_node(name_of(node)) for node in fitting})
        bound = bind_pod(self._cluster, key, chosen)
        message = f"Successfully assigned {'/'.join(key)} to {chosen}"
        self._recorder.record(bound, NORMAL, "Scheduled", "Binding", message)

    def _report_unschedulable(self, pod: Object, count: int, reasons: Mapping[str, int]) -> None:
        message = describe_failure(count, reasons)
        self._recorder.record(pod, WARNING, "FailedScheduling", "Scheduling", message)
        entry = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
        known = condition(pod, "PodScheduled") or {}
        if all(known.get(field) == value for field, value in entry.items()):
            return
        conditions = with_condition(status_of(pod).get("conditions") or (), entry, self._cluster.now())
        self._cluster.store.update(by_stored("pods").stored, with_status(pod, conditions=conditions))


def _is_pending(pod: Object) -> bool:
    spec = spec_of(pod)
    return not (spec.get("nodeName") or is_terminating(pod) or is_pod_finished(pod) or spec.get("schedulingGates"))


def _changes_offer(change: Change) -> bool:
    return change.type is not ChangeType.MODIFIED or change.before is None or _offer(change.item) != _offer(change.before)


def _offer(node: Object) -> tuple[object, ...]:
    """What of a node decides whether pods fit."""
    spec = spec_of(node)
    return labels_of(node), spec.get("taints"), spec.get("unschedulable"), is_terminating(node)


def describe_failure(count: int, reasons: Mapping[str, int]) -> str:
    """As the scheduler's FitError: `0/3 nodes are available: 1 node(s) were unschedulable, ...`."""
    if count == 0:
        return "no nodes available to schedule pods"
    texts = sorted(f"{number} {reason}" for reason, number in reasons.items())
    return f"0/{count} nodes are available: {', '.join(texts)}."


def why_not(pod: Object, node: Object, there: Sequence[Object]) -> str | None:
    """Why the pod may not run on the node beside the pods that are there, None if it may."""
    spec, offered = spec_of(pod), spec_of(node)
    tolerations = spec.get("tolerations") or []
    if is_terminating(node):
        return "node(s) were being deleted"
    unschedulable = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}
    if offered.get("unschedulable") and not tolerates(tolerations, unschedulable):
        return "node(s) were unschedulable"
    for taint in offered.get("taints") or ():
        if taint.get("effect") in ("NoSchedule", "NoExecute") and not tolerates(tolerations, taint):
            return f"node(s) had untolerated taint {{{taint['key']}: {taint.get('value', '')}}}"
    if not _matches_node(spec, node):
        return "node(s) didn't match Pod's node affinity/selector"
    if _ports_conflict(spec, there):
        return "node(s) didn't have free ports for the requested pod ports"
    if _is_full(node, there):
        return "Too many pods"
    return None


def _is_full(node: Object, there: Sequence[Object]) -> bool:
    """NodeResourcesFit, of the number of pods alone; a node that says nothing of it has room."""
    limit = str((status_of(node).get("allocatable") or {}).get("pods", ""))
    return limit.isdecimal() and sum(not is_pod_finished(pod) for pod in there) >= int(limit)


def tolerates(tolerations: Iterable[Object], taint: Object) -> bool:
    return any(is_tolerated_by(toleration, taint) for toleration in tolerations)


def is_tolerated_by(toleration: Object, taint: Object) -> bool:
    """core/v1 `Toleration.ToleratesTaint`."""
    if toleration.get("effect") and toleration["effect"] != taint.get("effect"):
        return False
    if toleration.get("key") and toleration["key"] != taint.get("key"):
        return False
    if toleration.get("operator") == "Exists":
        return True
    return bool(toleration.get("key")) and toleration.get("value", "") == taint.get("value", "")


def _matches_node(spec: Object, node: Object) -> bool:
    labels = labels_of(node)
    if any(labels.get(key) != value for key, value in (spec.get("nodeSelector") or {}).items()):
        return False
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    if not isinstance(required, dict):
        return True
    return any(_matches_term(term, node) for term in required.get("nodeSelectorTerms") or ())


def _matches_term(term: Object, node: Object) -> bool:
    fields = {"metadata.name": name_of(node)}
    groups = ((term.get("matchExpressions") or (), labels_of(node)), (term.get("matchFields") or (), fields))
    if not any(entries for entries, _ in groups):
        return False
    return all(
        entry.get("operator") in _OPERATORS
        and Requirement(
            key=entry.get("key", ""), operator=_OPERATORS[entry["operator"]], values=frozenset(entry.get("values") or ())
        ).matches(values)
        for entries, values in groups
        for entry in entries
    )


def _host_ports(spec: Object) -> set[tuple[str, str, int]]:
    return {
        (port.get("protocol", "TCP"), port.get("hostIP") or "0.0.0.0", port["hostPort"])
        for container in containers_of(spec)
        for port in container.get("ports") or ()
        if port.get("hostPort")
    }


def _ports_conflict(spec: Object, there: Sequence[Object]) -> bool:
    """The same port and protocol on the same address, where 0.0.0.0 is every address."""
    wanted = _host_ports(spec)
    if not wanted:
        return False
    used = {entry for pod in there if not is_pod_finished(pod) for entry in _host_ports(spec_of(pod))}
    return any(
        protocol == other and port == number and (address == elsewhere or "0.0.0.0" in (address, elsewhere))
        for protocol, address, port in wanted
        for other, elsewhere, number in used
    )


def choose_node(pod: Object, nodes: Sequence[Object], pods: Mapping[str, Sequence[Object]]) -> str:
    """Fewest pods of the same owner, then fewest unwanted taints, then fewest pods, then the first by name."""
    owner = (controller_of(pod) or {}).get("uid")
    tolerations = spec_of(pod).get("tolerations") or []

    def rank(node: Object) -> tuple[int, int, int]:
        staying = [other for other in pods[name_of(node)] if not is_pod_finished(other) and not is_terminating(other)]
        siblings = [other for other in staying if owner is not None and (controller_of(other) or {}).get("uid") == owner]
        unwanted = [
            taint
            for taint in spec_of(node).get("taints") or ()
            if taint.get("effect") == "PreferNoSchedule" and not tolerates(tolerations, taint)
        ]
        return len(siblings), len(unwanted), len(staying)

    return name_of(min(nodes, key=rank))
