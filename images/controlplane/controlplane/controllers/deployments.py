"""Deployment controller: one ReplicaSet per pod template, and a controlled move from the old ones to the new one.

Source: kubernetes, pkg/controller/deployment (deployment_controller.go, sync.go, rolling.go, recreate.go, progress.go).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from controlplane.cluster import Cluster
from controlplane.controllers.claiming import claim
from controlplane.controllers.deployment_status import plan_status, seconds_until_deadline, with_progress
from controlplane.controllers.indexes import PodIndex
from controlplane.controllers.proportions import is_scaled, plan_scaling
from controlplane.controllers.recorder import NORMAL, WARNING, Recorder
from controlplane.controllers.revisions import (
    REVISION,
    bounds_of,
    count_replicas,
    find_current,
    has_template_of,
    render_replicaset,
    revision_after,
    revision_of,
    shares_of,
    told_of,
    with_past_revision,
)
from controlplane.controllers.rollout import plan_recreate, plan_rolling
from controlplane.deletion import DeleteOptions
from controlplane.errors import StatusError
from controlplane.kinds.workloads import DEPLOYMENTS, REPLICASETS
from controlplane.objects import (
    Key,
    Object,
    annotations_of,
    controller_of,
    is_controlled_by,
    is_terminating,
    key_of,
    labels_of,
    name_of,
    namespace_of,
    spec_of,
    status_of,
    with_metadata,
    with_spec,
    with_status,
)
from controlplane.schema.decoding import decode
from controlplane.selectors import matches_selector
from controlplane.store.history import Change, ChangeType


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
                deployment = self._cluster.get(DEPLOYMENTS, key)
                if current is None:
                    return None
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

    def _create_replicaset(self, deployment: Object, owned: Sequence[Object]) -> Object | None:
        """None: another ReplicaSet has its name; the next attempt has another hash."""
        wanted = render_replicaset(deployment, owned)
        key = key_of(wanted)
        try:
            created = self._cluster.create(REPLICASETS, decode(REPLICASETS.schema, wanted)[0])
        except StatusError as error:
            found = self._cluster.store.find("replicasets", *key)
            if found is not None and error.reason == "AlreadyExists":
                if is_controlled_by(found, deployment) and has_template_of(deployment, found):
                    return found  # its own, on its way out
                collisions = status_of(deployment).get("collisionCount", 0) + 1
                self._cluster.store.update("deployments", with_status(deployment, collisionCount=collisions))
                return None
            message = f'Failed to create new replica set "{key[1]}": {error.message}'
            self._recorder.record(deployment, WARNING, "ReplicaSetCreateError", message)
            self._say_of_rollout(deployment, "False", "ReplicaSetCreateError", message)
            raise
        if size := spec_of(created).get("replicas", 0):
            self._tell_scaled(deployment, key[1], 0, size)
        self._say_of_rollout(deployment, "True", "NewReplicaSetCreated", f'Created new replica set "{key[1]}"')
        return created

    def _say_of_rollout(self, deployment: Object, value: str, reason: str, message: str) -> None:
        status = with_progress(status_of(deployment), value, reason, message, self._cluster.clock.now())
        self._cluster.store.update("deployments", {**deployment, "status": status})

    def _raise_revision(self, deployment: Object, current: Object, owned: Sequence[Object]) -> Object:
        """A template that comes back, as after `kubectl rollout undo`, is the newest revision again."""
        newest = max(revision_of(current), revision_after([item for item in owned if item is not current]))
        # What people say of a Deployment, such as the cause of a change, is said of its current revision.
        annotations = {**annotations_of(current), **told_of(deployment), REVISION: str(newest)}
        if newest != revision_of(current) and REVISION in annotations_of(current):
            annotations = with_past_revision(annotations, annotations_of(current)[REVISION])
        if annotations == annotations_of(current):
            return current
        return self._cluster.store.update("replicasets", with_metadata(current, annotations=annotations))

    def _copy_revision(self, deployment: Object, current: Object | None) -> Object:
        revision = str(revision_of(current)) if current is not None else None
        if revision is None or annotations_of(deployment).get(REVISION) == revision:
            return deployment
        annotations = {**annotations_of(deployment), REVISION: revision}
        return self._cluster.store.update("deployments", with_metadata(deployment, annotations=annotations))

    def _scale(self, deployment: Object, owned: Sequence[Object], current: Object | None) -> None:
        spec = spec_of(deployment)
        surge, unavailable = shares_of(deployment)
        wanted, is_rolling = spec["replicas"], spec["strategy"]["type"] != "Recreate"
        new = None if current is None else count_replicas(current)
        old = [count_replicas(item) for item in owned if current is None or key_of(item) != key_of(current)]
        everything = old if new is None else [*old, new]
        if spec.get("paused") or is_scaled(everything, wanted=wanted):
            total = status_of(deployment).get("replicas", 0)
            plan = dict(plan_scaling(wanted=wanted, surge=surge, new=new, old=old, is_rolling=is_rolling, shown=total))
        elif is_rolling:
            plan = dict(plan_rolling(wanted=wanted, surge=surge, unavailable=unavailable, new=new, old=old))
        else:
            plan = dict(plan_recreate(wanted=wanted, new=new, old=old))
            if new is not None and plan.get(new.name, 0) > new.wanted and self._old_pods_remain(owned, current):
                del plan[new.name]  # no new pod beside an old one that still terminates
        by_name = {item["metadata"]["name"]: item for item in owned}
        for name, replicas in plan.items():
            self._scale_one(deployment, by_name[name], replicas)

    def _scale_one(self, deployment: Object, item: Object, replicas: int) -> None:
        before = spec_of(item).get("replicas", 0)
        annotations = {**annotations_of(item), **bounds_of(deployment)}
        changed = with_metadata(with_spec(item, replicas=replicas), annotations=annotations)
        if replicas != before:
            changed["metadata"]["generation"] = item["metadata"].get("generation", 1) + 1
        self._cluster.store.update("replicasets", changed)
        if replicas != before:
            self._tell_scaled(deployment, name_of(item), before, replicas)

    def _tell_scaled(self, deployment: Object, name: str, before: int, replicas: int) -> None:
        direction = "up" if replicas > before else "down"
        message = f"Scaled {direction} replica set {name} from {before} to {replicas}"
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
        idle.sort(key=revision_of)
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
