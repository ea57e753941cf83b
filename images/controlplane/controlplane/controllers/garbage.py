"""What must go because something else went: dependents, pods of deleted nodes, contents of deleted namespaces."""

from __future__ import annotations

from collections.abc import Iterable

from controlplane.cluster import FOREGROUND, ORPHAN, Cluster, DeleteOptions
from controlplane.controllers.indexes import DependentIndex, PodIndex
from controlplane.controllers.node_health import LEASE_NAMESPACE
from controlplane.errors import StatusError
from controlplane.kinds.node import LEASES
from controlplane.kinds.pod import PODS
from controlplane.kinds.registry import RESOURCES, by_stored
from controlplane.objects import Key, Object, is_terminating, key_of, name_of, namespace_of, with_metadata
from controlplane.store.history import Change, ChangeType
from controlplane.store.store import AbsentError

AT_ONCE = DeleteOptions(grace_period_s=0)


class GarbageCollector:
    """Deletes what has lost its last owner; keys are `(uid, "")`. Source: pkg/controller/garbagecollector."""

    def __init__(self, *, cluster: Cluster, dependents: DependentIndex) -> None:
        self._cluster = cluster
        self._dependents = dependents
        self._owners: dict[str, tuple[str, Key]] = {}

    def affected(self, change: Change) -> Iterable[Key]:
        metadata = change.item["metadata"]
        if change.type is ChangeType.DELETED:
            yield metadata["uid"], ""
            for reference in metadata.get("ownerReferences") or ():
                if reference.get("uid") in self._owners:
                    yield reference["uid"], ""
        elif is_terminating(change.item) and {FOREGROUND, ORPHAN} & set(metadata.get("finalizers") or ()):
            self._owners[metadata["uid"]] = change.plural, key_of(change.item)
            yield metadata["uid"], ""

    def reconcile(self, key: Key) -> None:
        uid = key[0]
        owner = self._held_owner(uid)
        finalizers = [] if owner is None else owner[1]["metadata"].get("finalizers") or []
        for plural, dependent in self._dependents.of(uid):
            item = self._cluster.store.find(plural, *dependent)
            if item is None:
                continue
            if ORPHAN in finalizers:
                self._release(plural, item, uid)
            elif not self._has_other_owner(item, uid):
                propagation = "Foreground" if FOREGROUND in finalizers else "Background"
                self._cluster.delete(by_stored(plural), dependent, DeleteOptions(propagation=propagation))
        if owner is not None and (ORPHAN in finalizers or not self._dependents.of(uid)):
            self._let_go(*owner)

    def _held_owner(self, uid: str) -> tuple[str, Object] | None:
        place = self._owners.get(uid)
        if place is None:
            return None
        item = self._cluster.store.find(place[0], *place[1])
        if item is None or item["metadata"]["uid"] != uid:
            del self._owners[uid]
            return None
        return place[0], item

    def _has_other_owner(self, item: Object, uid: str) -> bool:
        others = [reference for reference in item["metadata"]["ownerReferences"] if reference.get("uid") != uid]
        return any(self._exists(item, reference) for reference in others)

    def _exists(self, item: Object, reference: Object) -> bool:
        for resource in RESOURCES:
            if (resource.group_version, resource.kind) == (reference.get("apiVersion"), reference.get("kind")):
                namespace = namespace_of(item) if resource.is_namespaced else ""
                owner = self._cluster.store.find(resource.stored, namespace, reference.get("name", ""))
                return owner is not None and owner["metadata"]["uid"] == reference.get("uid")
        return False

    def _release(self, plural: str, item: Object, uid: str) -> None:
        kept = [reference for reference in item["metadata"]["ownerReferences"] if reference.get("uid") != uid]
        self._cluster.store.update(plural, with_metadata(item, ownerReferences=kept))

    def _let_go(self, plural: str, owner: Object) -> None:
        def change(before: Object) -> Object:
            kept = [name for name in before["metadata"].get("finalizers") or () if name not in (FOREGROUND, ORPHAN)]
            return with_metadata(before, finalizers=kept)

        self._cluster.update(by_stored(plural), key_of(owner), change)


class PodCollector:
    """Removes pods and the Lease of a deleted Node; keys are `("", node)`.

    Source: pkg/controller/podgc, gcOrphaned; there after 40 s, here at once, since a testbed's nodes are deleted on purpose.
    """

    def __init__(self, *, cluster: Cluster, pods: PodIndex) -> None:
        self._cluster = cluster
        self._pods = pods

    def affected(self, change: Change) -> Iterable[Key]:
        if change.plural == "nodes" and change.type is ChangeType.DELETED:
            yield "", name_of(change.item)

    def reconcile(self, key: Key) -> None:
        if self._cluster.store.find("nodes", *key) is not None:
            return
        for pod in self._pods.on_node(key[1]):
            self._cluster.delete(PODS, key_of(pod), AT_ONCE)
        if self._cluster.store.find("leases", LEASE_NAMESPACE, key[1]) is not None:
            self._cluster.delete(LEASES, (LEASE_NAMESPACE, key[1]), AT_ONCE)


class NamespaceCollector:
    """Empties namespaces that are being deleted, then removes them (pkg/controller/namespace)."""

    def __init__(self, *, cluster: Cluster) -> None:
        self._cluster = cluster

    def affected(self, change: Change) -> Iterable[Key]:
        if change.plural == "namespaces":
            if is_terminating(change.item):
                yield key_of(change.item)
        elif change.type is ChangeType.DELETED and (namespace := namespace_of(change.item)):
            found = self._cluster.store.find("namespaces", "", namespace)
            if found is not None and is_terminating(found):
                yield "", namespace

    def reconcile(self, key: Key) -> None:
        namespace = self._cluster.store.find("namespaces", *key)
        if namespace is None or not is_terminating(namespace):
            return
        is_empty = True
        for resource in RESOURCES:
            if not resource.is_namespaced or resource.to_stored is not None:
                continue
            for item in self._cluster.store.items(resource.stored, key[1]):
                try:
                    _, is_gone = self._cluster.delete(resource, key_of(item), DeleteOptions())
                except StatusError:
                    continue  # went with its owner a moment ago
                is_empty = is_empty and is_gone
        if is_empty:
            try:
                self._cluster.store.delete("namespaces", key)
            except AbsentError:
                return
