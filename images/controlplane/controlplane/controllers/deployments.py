"""Deployment controller: one ReplicaSet per pod template, and a controlled move from the old ones to the new one.

Source: kubernetes, pkg/controller/deployment (deployment_controller.go, sync.go, rolling.go, recreate.go, progress.go).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from controlplane.cluster import Cluster, DeleteOptions
from controlplane.controllers.claiming import claim
from controlplane.controllers.deployment_status import plan_status, seconds_until_deadline
from controlplane.controllers.indexes import PodIndex
from controlplane.controllers.recorder import NORMAL, Recorder
from controlplane.controllers.rollout import Replicas, plan_recreate, plan_rolling
from controlplane.identity import hash_text
from controlplane.kinds.workloads import REPLICASETS, resolve_share
from controlplane.objects import (
    Key,
    Object,
    annotations_of,
    controller_of,
    is_terminating,
    key_of,
    labels_of,
    namespace_of,
    owner_reference,
    spec_of,
    status_of,
    with_metadata,
    with_spec,
)
from controlplane.schema.decoding import decode
from controlplane.selectors import matches_selector
from controlplane.store.history import Change, ChangeType

HASH_LABEL = "pod-template-hash"
REVISION = "deployment.kubernetes.io/revision"
DESIRED = "deployment.kubernetes.io/desired-replicas"
MAXIMUM = "deployment.kubernetes.io/max-replicas"
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


class DeploymentController:
    """Scales ReplicaSets; the ReplicaSet controller does the rest."""

    def __init__(self, *, cluster: Cluster, pods: PodIndex, recorder: Recorder) -> None:
        self._cluster = cluster
        self._pods = pods
        self._recorder = recorder

    def affected(self, change: Change) -> Iterable[Key]:
        if change.plural == "deployments":
            yield key_of(change.item)
        elif change.plural == "replicasets":
            owner = controller_of(change.item)
            if owner is not None and owner.get("kind") == "Deployment":
                yield namespace_of(change.item), owner["name"]
            elif owner is None and change.type is not ChangeType.DELETED:
                for candidate in self._cluster.store.items("deployments", namespace_of(change.item)):
                    if matches_selector(spec_of(candidate)["selector"], labels_of(change.item)):
                        yield key_of(candidate)
        elif change.plural == "pods" and change.type is ChangeType.DELETED:
            # A strategy Recreate waits for the last old pod, and so does the removal of old ReplicaSets.
            owner = controller_of(change.item)
            if owner is not None and owner.get("kind") == "ReplicaSet":
                replicaset = self._cluster.store.find("replicasets", namespace_of(change.item), owner["name"])
                if replicaset is not None and (deployment := controller_of(replicaset)) is not None:
                    yield namespace_of(change.item), deployment["name"]

    def reconcile(self, key: Key) -> float | None:
        deployment = self._cluster.store.find("deployments", *key)
        if deployment is None or is_terminating(deployment):
            return None
        owned = self._owned(deployment)
        current = find_current(deployment, owned)
        if not spec_of(deployment).get("paused"):
            may_create = spec_of(deployment)["strategy"]["type"] != "Recreate" or not self._old_pods_remain(owned, current)
            if current is None and may_create:
                current = self._create_replicaset(deployment, owned)
                owned = self._owned(deployment)
            elif current is not None:
                current = self._raise_revision(deployment, current, owned)
        deployment = self._copy_revision(deployment, current)
        self._scale(deployment, owned, current)
        owned = self._owned(deployment)
        current = find_current(deployment, owned)
        self._remove_history(deployment, owned, current)
        return self._report(key, owned, current)

    def _owned(self, deployment: Object) -> list[Object]:
        found = self._cluster.store.items("replicasets", namespace_of(deployment))
        owned = claim(self._cluster, "replicasets", deployment, [item for item in found if not is_terminating(item)])
        return sorted(owned, key=lambda item: (item["metadata"]["creationTimestamp"], key_of(item)))

    def _old_pods_remain(self, owned: Sequence[Object], current: Object | None) -> bool:
        return any(self._pods.controlled_by(item["metadata"]["uid"]) for item in owned if item is not current)

    def _create_replicaset(self, deployment: Object, owned: Sequence[Object]) -> Object:
        spec = spec_of(deployment)
        template = spec["template"]
        text = json.dumps(template, sort_keys=True) + str(status_of(deployment).get("collisionCount", 0))
        digest = hash_text(text)
        labels = {**((template.get("metadata") or {}).get("labels") or {}), HASH_LABEL: digest}
        selector = spec["selector"]
        kept = _told(deployment)
        raw: Object = {
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "metadata": {
                "name": f"{deployment['metadata']['name']}-{digest}",
                "namespace": namespace_of(deployment),
                "labels": labels,
                "annotations": {**kept, REVISION: str(_revision_after(owned)), **self._bounds(deployment)},
                "ownerReferences": [owner_reference(deployment)],
            },
            "spec": {
                "replicas": 0,
                "selector": {**selector, "matchLabels": {**(selector.get("matchLabels") or {}), HASH_LABEL: digest}},
                "template": {**template, "metadata": {**(template.get("metadata") or {}), "labels": labels}},
                "minReadySeconds": spec.get("minReadySeconds", 0),
            },
        }
        return self._cluster.create(REPLICASETS, decode(REPLICASETS.schema, raw)[0])

    def _bounds(self, deployment: Object) -> dict[str, str]:
        wanted = spec_of(deployment)["replicas"]
        surge, _ = shares_of(deployment)
        return {DESIRED: str(wanted), MAXIMUM: str(wanted + surge)}

    def _raise_revision(self, deployment: Object, current: Object, owned: Sequence[Object]) -> Object:
        """A template that comes back, as after `kubectl rollout undo`, is the newest revision again."""
        newest = max(_revision(current), _revision_after([item for item in owned if item is not current]))
        # What people say of a Deployment, such as the cause of a change, is said of its current revision.
        annotations = {**annotations_of(current), **_told(deployment), REVISION: str(newest)}
        if annotations == annotations_of(current):
            return current
        return self._cluster.store.update("replicasets", with_metadata(current, annotations=annotations))

    def _copy_revision(self, deployment: Object, current: Object | None) -> Object:
        revision = str(_revision(current)) if current is not None else None
        if revision is None or annotations_of(deployment).get(REVISION) == revision:
            return deployment
        annotations = {**annotations_of(deployment), REVISION: revision}
        return self._cluster.store.update("deployments", with_metadata(deployment, annotations=annotations))

    def _scale(self, deployment: Object, owned: Sequence[Object], current: Object | None) -> None:
        spec = spec_of(deployment)
        surge, unavailable = shares_of(deployment)
        new = None if current is None else self._count(current)
        old = [self._count(item) for item in owned if current is None or key_of(item) != key_of(current)]
        is_paused = bool(spec.get("paused"))
        if spec["strategy"]["type"] == "Recreate" and not is_paused:
            plan = dict(plan_recreate(wanted=spec["replicas"], new=new, old=old))
            if new is not None and plan.get(new.name, 0) > new.wanted and self._old_pods_remain(owned, current):
                del plan[new.name]  # no new pod beside an old one that still terminates
        else:
            plan = dict(
                plan_rolling(wanted=spec["replicas"], surge=surge, unavailable=unavailable, new=new, old=old, is_paused=is_paused)
            )
        by_name = {item["metadata"]["name"]: item for item in owned}
        for name, replicas in plan.items():
            self._scale_one(deployment, by_name[name], replicas)

    def _count(self, item: Object) -> Replicas:
        status = status_of(item)
        # Until the ReplicaSet controller has seen the latest size, its counts are those of another one.
        return Replicas(
            name=item["metadata"]["name"],
            wanted=spec_of(item).get("replicas", 0),
            available=status.get("availableReplicas", 0),
        )

    def _scale_one(self, deployment: Object, item: Object, replicas: int) -> None:
        before = spec_of(item).get("replicas", 0)
        annotations = {**annotations_of(item), **self._bounds(deployment)}
        changed = with_metadata(with_spec(item, replicas=replicas), annotations=annotations)
        if replicas != before:
            changed["metadata"]["generation"] = item["metadata"].get("generation", 1) + 1
        self._cluster.store.update("replicasets", changed)
        if replicas != before:
            direction = "up" if replicas > before else "down"
            message = f"Scaled {direction} replica set {item['metadata']['name']} from {before} to {replicas}"
            self._recorder.record(deployment, NORMAL, "ScalingReplicaSet", message)

    def _remove_history(self, deployment: Object, owned: Sequence[Object], current: Object | None) -> None:
        limit = spec_of(deployment).get("revisionHistoryLimit", 10)
        idle = [
            item
            for item in owned
            if (current is None or key_of(item) != key_of(current))
            and spec_of(item).get("replicas", 0) == 0
            and not self._pods.controlled_by(item["metadata"]["uid"])
        ]
        idle.sort(key=_revision)
        for item in idle[: max(0, len(idle) - limit)]:
            self._cluster.delete(REPLICASETS, key_of(item), DeleteOptions())

    def _report(self, key: Key, owned: Sequence[Object], current: Object | None) -> float | None:
        deployment = self._cluster.store.find("deployments", *key)
        if deployment is None:
            return None
        now = self._cluster.clock.now()
        status = plan_status(deployment, owned, current, now=now, unavailable=shares_of(deployment)[1])
        self._cluster.store.update("deployments", {**deployment, "status": status})
        return seconds_until_deadline(deployment, status, now)


def _told(deployment: Object) -> dict[str, str]:
    """Its annotations but those that are its own (deployment_util.go, annotationsToSkip)."""
    own = (LAST_APPLIED, REVISION, DESIRED, MAXIMUM)
    return {name: value for name, value in annotations_of(deployment).items() if name not in own}


def shares_of(deployment: Object) -> tuple[int, int]:
    """maxSurge and maxUnavailable as counts; both 0 would be a standstill, so the latter is then 1."""
    spec = spec_of(deployment)
    rolling = (spec.get("strategy") or {}).get("rollingUpdate")
    if rolling is None:
        return 0, 0
    total = spec["replicas"]
    surge = resolve_share(rolling.get("maxSurge", 0), total, round_up=True)
    unavailable = resolve_share(rolling.get("maxUnavailable", 0), total, round_up=False)
    return (surge, unavailable) if surge or unavailable else (0, 1)


def find_current(deployment: Object, owned: Sequence[Object]) -> Object | None:
    """The ReplicaSet of the Deployment's template, the oldest if there are several."""
    wanted = _plain_template(spec_of(deployment)["template"])
    return next((item for item in owned if _plain_template(spec_of(item)["template"]) == wanted), None)


def _plain_template(template: Object) -> Object:
    metadata = dict(template.get("metadata") or {})
    labels = {key: value for key, value in (metadata.pop("labels", None) or {}).items() if key != HASH_LABEL}
    return {"metadata": metadata, "labels": labels, "spec": template.get("spec")}


def _revision(item: Object) -> int:
    text = annotations_of(item).get(REVISION, "0")
    return int(text) if text.isascii() and text.isdecimal() else 0


def _revision_after(owned: Sequence[Object]) -> int:
    return max(map(_revision, owned), default=0) + 1
