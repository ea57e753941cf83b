"""What must go because something else went: dependents, contents of deleted namespaces."""

from __future__ import annotations

from collections.abc import Iterable

from controlplane.cluster import Cluster
from controlplane.controllers.indexes import DependentIndex
from controlplane.deletion import FOREGROUND, ORPHAN, DeleteOptions
from controlplane.errors import StatusError
from controlplane.kinds.registry import RESOURCES, by_stored
from controlplane.objects import Key, Object, is_terminating, key_of, namespace_of, with_metadata
from controlplane.store.history import Change, ChangeType
from controlplane.store.store import AbsentError


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
        return any(may_exist(self._cluster, item, reference) for reference in others)

    def _release(self, plural: str, item: Object, uid: str) -> None:
        kept = [reference for reference in item["metadata"]["ownerReferences"] if reference.get("uid") != uid]
        self._cluster.store.update(plural, with_metadata(item, ownerReferences=kept))

    def _let_go(self, plural: str, owner: Object) -> None:
        def change(before: Object) -> Object:
            kept = [name for name in before["metadata"].get("finalizers") or () if name not in (FOREGROUND, ORPHAN)]
            return with_metadata(before, finalizers=kept)

        self._cluster.update(by_stored(plural), key_of(owner), change)


class DanglingCollector:
    """Deletes what names owners of which none exists; keys are collection and `namespace/name`.

    Source: pkg/controller/garbagecollector, attemptToDeleteItem.
    """

    def __init__(self, *, cluster: Cluster) -> None:
        self._cluster = cluster

    def affected(self, change: Change) -> Iterable[Key]:
        references = change.item["metadata"].get("ownerReferences")
        if change.type is ChangeType.DELETED or not references:
            return
        if change.before is None or change.before["metadata"].get("ownerReferences") != references:
            yield change.plural, "/".join(key_of(change.item))

    def reconcile(self, key: Key) -> None:
        namespace, _, name = key[1].partition("/")
        item = self._cluster.store.find(key[0], namespace, name)
        references = [] if item is None else item["metadata"].get("ownerReferences") or []
        if item is None or not references or (is_terminating(item) and FOREGROUND in (item["metadata"].get("finalizers") or ())):
            return
        solid = [reference for reference in references if may_exist(self._cluster, item, reference)]
        if not solid:
            self._cluster.delete(by_stored(key[0]), (namespace, name), DeleteOptions(uid=item["metadata"]["uid"]))
        elif len(solid) < len(references):
            self._cluster.store.update(key[0], with_metadata(item, ownerReferences=solid))


def may_exist(cluster: Cluster, item: Object, reference: Object) -> bool:
    """Whether the owner exists in the item's namespace under its uid; of a kind that is not served nobody knows."""
    for resource in RESOURCES:
        if (resource.group_version, resource.kind) == (reference.get("apiVersion"), reference.get("kind")):
            if resource.is_namespaced and not namespace_of(item):
                return True  # such a reference cannot be followed
            owner = cluster.store.find(
                resource.stored, namespace_of(item) if resource.is_namespaced else "", reference.get("name", "")
            )
            return owner is not None and owner["metadata"]["uid"] == reference.get("uid")
    return True


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
