"""Reading Kubernetes objects. They stay JSON trees, as a client wrote them; committed ones are never changed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

Object = dict[str, Any]
"""A Kubernetes object as decoded from JSON."""

Key = tuple[str, str]
"""Namespace (empty for cluster-scoped) and name."""


def key_of(item: Object) -> Key:
    metadata = item["metadata"]
    return metadata.get("namespace", ""), metadata["name"]


def name_of(item: Object) -> str:
    name: str = item["metadata"]["name"]
    return name


def namespace_of(item: Object) -> str:
    namespace: str = item["metadata"].get("namespace", "")
    return namespace


def labels_of(item: Object) -> Mapping[str, str]:
    labels: Mapping[str, str] = item["metadata"].get("labels") or {}
    return labels


def annotations_of(item: Object) -> Mapping[str, str]:
    annotations: Mapping[str, str] = item["metadata"].get("annotations") or {}
    return annotations


def is_terminating(item: Object) -> bool:
    return bool(item["metadata"].get("deletionTimestamp"))


def spec_of(item: Object) -> Object:
    spec: Object = item.get("spec") or {}
    return spec


def status_of(item: Object) -> Object:
    status: Object = item.get("status") or {}
    return status


def condition(item: Object, kind: str) -> Object | None:
    """The condition of that type in `status.conditions`."""
    for entry in status_of(item).get("conditions") or ():
        if entry.get("type") == kind:
            found: Object = entry
            return found
    return None


def condition_status(item: Object, kind: str) -> str | None:
    """`True`, `False`, `Unknown`, or None when the condition was never reported."""
    entry = condition(item, kind)
    return None if entry is None else str(entry.get("status"))


def with_condition(conditions: Iterable[Object], entry: Object, now: str) -> list[Object]:
    """The conditions with `entry` in place of the one of its type; the transition time moves only when the status does."""
    changed: list[Object] = []
    placed = False
    for old in conditions:
        if old.get("type") != entry["type"]:
            changed.append(old)
            continue
        placed = True
        same = old.get("status") == entry["status"]
        since = old.get("lastTransitionTime", now) if same else now
        changed.append({**old, **entry, "lastTransitionTime": since})
    if not placed:
        changed.append({**entry, "lastTransitionTime": now})
    return changed


def controller_of(item: Object) -> Object | None:
    """The owner reference that controls the object."""
    for reference in item["metadata"].get("ownerReferences") or ():
        if reference.get("controller"):
            owner: Object = reference
            return owner
    return None


def is_controlled_by(item: Object, owner: Object) -> bool:
    reference = controller_of(item)
    return reference is not None and reference.get("uid") == owner["metadata"]["uid"]


def owner_reference(owner: Object, *, controller: bool = True) -> Object:
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": controller,
        "blockOwnerDeletion": True,
    }


def containers_of(pod_spec: Object) -> Iterator[Object]:
    yield from pod_spec.get("containers") or ()


def is_pod_ready(pod: Object) -> bool:
    return condition_status(pod, "Ready") == "True"


def is_pod_finished(pod: Object) -> bool:
    return status_of(pod).get("phase") in ("Succeeded", "Failed")


def is_pod_active(pod: Object) -> bool:
    """Neither finished nor on its way out: what a ReplicaSet counts."""
    return not is_pod_finished(pod) and not is_terminating(pod)


def with_spec(item: Object, **fields: Any) -> Object:
    """A copy with these fields of `spec` replaced."""
    return {**item, "spec": {**spec_of(item), **fields}}


def with_status(item: Object, **fields: Any) -> Object:
    """A copy with these fields of `status` replaced."""
    return {**item, "status": {**status_of(item), **fields}}


def with_metadata(item: Object, **fields: Any) -> Object:
    """A copy with these fields of `metadata` replaced."""
    return {**item, "metadata": {**item["metadata"], **fields}}
