"""Rules of ObjectMeta, with Kubernetes' own messages (apimachinery, pkg/api/validation/objectmeta.go)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from controlplane.field_errors import FieldError, forbidden_field, invalid_value, required
from controlplane.kinds.names import check_annotations, check_labels, check_name, check_qualified_key

STANDARD_FINALIZERS = ("kubernetes", "orphan", "foregroundDeletion")


def check_metadata(metadata: Mapping[str, Any], before: Mapping[str, Any] | None, rule: str) -> Iterator[FieldError]:
    """Of any object and its change; the name by `rule`, at creation."""
    if before is None:
        name = metadata.get("name", "")
        if not name:
            yield required("metadata.name", "name or generateName is required")
        else:
            yield from check_name(rule, name, "metadata.name")
    yield from check_labels(metadata.get("labels"), "metadata.labels")
    yield from check_annotations(metadata.get("annotations"), "metadata.annotations")
    yield from _check_owners(metadata.get("ownerReferences") or [])
    yield from _check_finalizers(metadata.get("finalizers") or [])
    if before is not None and before.get("deletionTimestamp"):
        added = sorted(set(metadata.get("finalizers") or ()) - set(before.get("finalizers") or ()))
        if added:
            shown = ", ".join(map(json.dumps, added))
            why = "no new finalizers can be added if the object is being deleted, found new finalizers"
            yield forbidden_field("metadata.finalizers", f"{why} []string{{{shown}}}")


def _check_owners(owners: list[Mapping[str, Any]]) -> Iterator[FieldError]:
    place, controller = "metadata.ownerReferences", ""
    for owner in owners:
        for name, title in (("apiVersion", "version"), ("kind", "kind"), ("name", "name"), ("uid", "uid")):
            if not owner.get(name):
                yield invalid_value(f"{place}.{name}", "", f"{title} must not be empty")
        if (owner.get("apiVersion"), owner.get("kind")) == ("v1", "Event"):
            yield invalid_value(place, owner, "/v1, Kind=Event is disallowed from being an owner")
        if owner.get("controller"):
            mine = f"{owner.get('kind', '')}/{owner.get('name', '')}"
            if controller:
                why = 'Only one reference can have Controller set to true. Found "true" in references for'
                yield invalid_value(place, owners, f"{why} {controller} and {mine}")
            else:
                controller = mine


def _check_finalizers(finalizers: list[str]) -> Iterator[FieldError]:
    for name in finalizers:
        yield from check_qualified_key(name, "metadata.finalizers")
    if {"orphan", "foregroundDeletion"} <= set(finalizers):
        why = "finalizer orphan and foregroundDeletion cannot be both set"
        yield invalid_value("metadata.finalizers", finalizers, why)
    for index, name in enumerate(finalizers):
        if "/" not in name and name not in STANDARD_FINALIZERS:
            why = "name is neither a standard finalizer name nor is it fully qualified"
            yield invalid_value(f"metadata.finalizers[{index}]", name, why)
