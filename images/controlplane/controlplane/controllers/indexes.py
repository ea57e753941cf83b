"""Pods by node, by owner and by namespace, and dependents by owner: kept from commit to commit, so that no controller scans."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from controlplane.kinds.registry import STORED
from controlplane.objects import Key, Object, controller_of, key_of, namespace_of, spec_of
from controlplane.store.history import Change, ChangeType
from controlplane.store.store import Store

NOBODY = ""
"""Stands for the uid of a controller that is not there."""


class PodIndex:
    """Finds pods."""

    def __init__(self, store: Store) -> None:
        self._by_node: dict[str, dict[Key, Object]] = defaultdict(dict)
        self._by_controller: dict[str, dict[Key, Object]] = defaultdict(dict)
        self._by_namespace: dict[str, dict[Key, Object]] = defaultdict(dict)
        for pod in store.items("pods"):
            self._add(pod)
        store.subscribe(self._follow)

    def on_node(self, node: str) -> list[Object]:
        """Pods assigned to the node; those of the empty name are assigned to none."""
        return list(self._by_node.get(node, {}).values())

    def nodes(self) -> list[str]:
        """Names of nodes that pods are assigned to."""
        return [node for node, pods in self._by_node.items() if node and pods]

    def controlled_by(self, uid: str) -> list[Object]:
        return list(self._by_controller.get(uid, {}).values())

    def orphans(self, namespace: str) -> list[Object]:
        """Pods that nobody controls."""
        return [pod for pod in self._by_controller.get(NOBODY, {}).values() if namespace_of(pod) == namespace]

    def in_namespace(self, namespace: str) -> list[Object]:
        return list(self._by_namespace.get(namespace, {}).values())

    def _follow(self, change: Change) -> None:
        if change.plural != "pods":
            return
        if change.before is not None:
            for group in self._groups(change.before):
                group.pop(key_of(change.before), None)
        if change.type is not ChangeType.DELETED:
            self._add(change.item)

    def _add(self, pod: Object) -> None:
        for group in self._groups(pod):
            group[key_of(pod)] = pod

    def _groups(self, pod: Object) -> Iterator[dict[Key, Object]]:
        yield self._by_node[spec_of(pod).get("nodeName", "")]
        yield self._by_namespace[namespace_of(pod)]
        owner = controller_of(pod)
        yield self._by_controller[NOBODY if owner is None else owner["uid"]]


class DependentIndex:
    """Finds what names an object as its owner."""

    def __init__(self, store: Store) -> None:
        self._by_owner: dict[str, dict[tuple[str, Key], None]] = defaultdict(dict)
        for plural in STORED:
            for item in store.items(plural):
                self._add(plural, item)
        store.subscribe(self._follow)

    def of(self, uid: str) -> list[tuple[str, Key]]:
        """Collection and key of each dependent."""
        return list(self._by_owner.get(uid, ()))

    def _follow(self, change: Change) -> None:
        if change.before is not None:
            for uid in _owners(change.before):
                self._by_owner[uid].pop((change.plural, key_of(change.before)), None)
        if change.type is not ChangeType.DELETED:
            self._add(change.plural, change.item)

    def _add(self, plural: str, item: Object) -> None:
        for uid in _owners(item):
            self._by_owner[uid][(plural, key_of(item))] = None


def _owners(item: Object) -> list[str]:
    return [reference.get("uid", "") for reference in item["metadata"].get("ownerReferences") or ()]
