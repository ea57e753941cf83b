"""Disruption controller: keeps count of each budget's healthy pods (kubernetes, pkg/controller/disruption)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from controlplane.clock import Clock, parse_time
from controlplane.cluster import Cluster
from controlplane.controllers.indexes import PodIndex
from controlplane.controllers.recorder import NORMAL, WARNING, Recorder
from controlplane.kinds.workloads import resolve_share
from controlplane.objects import (
    Key,
    Object,
    controller_of,
    is_pod_ready,
    is_terminating,
    key_of,
    labels_of,
    name_of,
    namespace_of,
    spec_of,
    status_of,
    with_condition,
    with_status,
)
from controlplane.selectors import matches_selector
from controlplane.store.history import Change
from controlplane.store.store import Store

DELETION_TIMEOUT_S = 120.0
"""An evicted pod counts as gone for so long; when it is still there then, its deletion was lost."""


UNMANAGED = (
    "Pods selected by this PodDisruptionBudget (selector: {}) were found to be unmanaged. As a result, the status of the PDB "
    "cannot be calculated correctly, which may result in undefined behavior. To account for these pods please set "
    '".spec.minAvailable" field of the PDB to an integer value.'
)

TOLD_WITH = ("observedGeneration", "expectedPods", "desiredHealthy", "currentHealthy")
"""What has to change for Events about the pods to be told again."""


class ScaleError(Exception):
    """A share of pods cannot be told, because the controller of one of them is not there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """Pods of a budget: how many should be there, how many of them must be healthy, how many are."""

    expected: int
    desired: int
    healthy: int

    @property
    def allowed(self) -> int:
        return max(0, self.healthy - self.desired) if self.expected > 0 else 0


class DisruptionController:
    """Writes the status of PodDisruptionBudgets; evictions read it."""

    def __init__(self, *, cluster: Cluster, pods: PodIndex, recorder: Recorder) -> None:
        self._cluster = cluster
        self._pods = pods
        self._recorder = recorder

    def affected(self, change: Change) -> Iterable[Key]:
        if change.plural == "poddisruptionbudgets":
            yield key_of(change.item)
        elif change.plural == "pods":
            for budget in self._cluster.store.items("poddisruptionbudgets", namespace_of(change.item)):
                if any(item is not None and is_covered(budget, item) for item in (change.before, change.item)):
                    yield key_of(budget)
        elif change.plural in ("replicasets", "deployments"):
            for budget in self._cluster.store.items("poddisruptionbudgets", namespace_of(change.item)):
                yield key_of(budget)

    def reconcile(self, key: Key) -> float | None:
        store = self._cluster.store
        budget = store.find("poddisruptionbudgets", *key)
        if budget is None:
            return None
        pods = [pod for pod in self._pods.in_namespace(key[0]) if is_covered(budget, pod)]
        disrupted, again_s = self._disrupted(budget, pods)
        status = {**status_of(budget), "observedGeneration": budget["metadata"].get("generation", 1), "disruptedPods": disrupted}
        try:
            count = count_pods(spec_of(budget), pods, disrupted=disrupted, store=store)
        except ScaleError as error:
            what = f"Failed to calculate the number of expected pods: {error}"
            self._recorder.record(budget, WARNING, "CalculateExpectedPodCountFailed", what)
            status["disruptionsAllowed"] = 0
            told = {"status": "False", "reason": "SyncFailed", "message": str(error)}
        else:
            status |= {
                "expectedPods": count.expected,
                "desiredHealthy": count.desired,
                "currentHealthy": count.healthy,
                "disruptionsAllowed": count.allowed,
            }
            enough = count.allowed > 0
            told = {
                "status": "True" if enough else "False",
                "reason": "SufficientPods" if enough else "InsufficientPods",
                "message": "",
            }
        if not disrupted:
            del status["disruptedPods"]
        entry = {"type": "DisruptionAllowed", **told, "observedGeneration": status["observedGeneration"]}
        if any(status.get(name) != status_of(budget).get(name) for name in TOLD_WITH):
            self._tell_of_pods(budget, pods)
        status["conditions"] = with_condition(status.get("conditions") or (), entry, self._cluster.now())
        store.update("poddisruptionbudgets", {**budget, "status": status})
        return again_s

    def _tell_of_pods(self, budget: Object, pods: Sequence[Object]) -> None:
        """That there are none, or that a share of those without a controller cannot be told."""
        if not pods:
            self._recorder.record(budget, NORMAL, "NoPods", "No matching pods found")
        spec = spec_of(budget)
        is_share = spec.get("maxUnavailable") is not None or isinstance(spec.get("minAvailable"), str)
        if is_share and any(controller_of(pod) is None for pod in pods):
            self._recorder.record(
                budget, WARNING, "UnmanagedPods", UNMANAGED.format(show_selector_value(spec.get("selector") or {}))
            )

    def _disrupted(self, budget: Object, pods: Sequence[Object]) -> tuple[dict[str, str], float | None]:
        """Evicted pods whose deletion has not begun, by name with their instant, and when the first of them is given up on."""
        present = {name_of(pod) for pod in pods if not is_terminating(pod)}
        kept, waits = {}, []
        for name, since in (status_of(budget).get("disruptedPods") or {}).items():
            left_s = DELETION_TIMEOUT_S - _age_s(self._cluster.clock, since)
            if name in present and left_s > 0:
                kept[name] = since
                waits.append(left_s)
        return kept, min(waits, default=None)


def show_selector_value(selector: Object) -> str:
    """A selector as Go prints it (apimachinery, meta/v1 generated.pb.go)."""
    labels = "".join(f"{key}: {value}," for key, value in sorted((selector.get("matchLabels") or {}).items()))
    parts = []
    for entry in selector.get("matchExpressions") or ():
        values = f"[{' '.join(entry.get('values') or ())}]"
        parts.append(f"LabelSelectorRequirement{{Key:{entry['key']},Operator:{entry['operator']},Values:{values},}},")
    expressions = f"[]LabelSelectorRequirement{{{''.join(parts)}}}"
    return f"&LabelSelector{{MatchLabels:map[string]string{{{labels}}},MatchExpressions:{expressions},}}"


def is_covered(budget: Object, pod: Object) -> bool:
    """An empty selector covers every pod of the namespace, none at all covers none."""
    selector = spec_of(budget).get("selector")
    return selector is not None and matches_selector(selector, labels_of(pod))


def count_pods(spec: Object, pods: Sequence[Object], *, disrupted: Mapping[str, str], store: Store) -> Count:
    """Raises ScaleError."""
    healthy = sum(is_pod_ready(pod) and not is_terminating(pod) and name_of(pod) not in disrupted for pod in pods)
    least, most = spec.get("minAvailable"), spec.get("maxUnavailable")
    if most is not None:
        expected = _expected_scale(pods, store)
        return Count(expected=expected, desired=max(0, expected - resolve_share(most, expected, round_up=True)), healthy=healthy)
    if isinstance(least, str):
        expected = _expected_scale(pods, store)
        return Count(expected=expected, desired=resolve_share(least, expected, round_up=True), healthy=healthy)
    # With neither bound nothing is expected, and nothing allowed.
    return Count(expected=0 if least is None else len(pods), desired=least or 0, healthy=healthy)


def _expected_scale(pods: Sequence[Object], store: Store) -> int:
    """How many pods their controllers want together; pods without one count for nothing."""
    scales: dict[str, int] = {}
    for pod in pods:
        if controller_of(pod) is None:
            continue
        owner = _controller(pod, store)
        if owner is None:
            raise ScaleError(f'found no controllers for pod "{name_of(pod)}"')
        scales[owner["metadata"]["uid"]] = int(spec_of(owner).get("replicas", 1))
    return sum(scales.values())


def _controller(pod: Object, store: Store) -> Object | None:
    """The Deployment of its ReplicaSet, or the ReplicaSet itself."""
    reference = controller_of(pod)
    if reference is None or reference.get("kind") != "ReplicaSet":
        return None
    owner = store.find("replicasets", namespace_of(pod), reference["name"])
    above = None if owner is None else controller_of(owner)
    if above is not None and above.get("kind") == "Deployment":
        return store.find("deployments", namespace_of(pod), above["name"]) or owner
    return owner


def _age_s(clock: Clock, since: str) -> float:
    return (clock.now() - parse_time(since)).total_seconds()


def with_disruption(budget: Object, pod: str, now: str) -> Object:
    """The budget after one more eviction: what the API server writes before it deletes the pod."""
    status = status_of(budget)
    disrupted = {**(status.get("disruptedPods") or {}), pod: now}
    return with_status(budget, disruptionsAllowed=status["disruptionsAllowed"] - 1, disruptedPods=disrupted)
