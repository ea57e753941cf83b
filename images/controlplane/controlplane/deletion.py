"""How an object goes: the options of a deletion, and whether it goes at once, after a grace period or with its finalizers. Pure.

Source: kubernetes, apiserver, registry/rest/delete.go (BeforeDelete).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from controlplane.clock import parse_time, render_time
from controlplane.errors import conflict
from controlplane.kinds.resource import Resource
from controlplane.objects import Object, is_pod_finished, spec_of

FOREGROUND = "foregroundDeletion"
ORPHAN = "orphan"
HOLDING = {"Foreground": FOREGROUND, "Orphan": ORPHAN}
"""Finalizers that hold an owner until the garbage collector has dealt with its dependents."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteOptions:
    """`meta/v1 DeleteOptions`."""

    grace_period_s: int | None = None
    propagation: str = "Background"
    uid: str | None = None
    resource_version: str | None = None
    is_dry_run: bool = False


def check_preconditions(resource: Resource, item: Object, options: DeleteOptions) -> None:
    """Raises StatusError 409."""
    metadata = item["metadata"]
    for title, wanted, actual, meanwhile in (
        ("UID", options.uid, metadata["uid"], "deleted and then recreated"),
        ("ResourceVersion", options.resource_version, metadata["resourceVersion"], "modified"),
    ):
        if wanted not in (None, actual):
            why = f"the {title} in the precondition ({wanted}) does not match the {title} in record ({actual})."
            # By its kind, not its resource (apiserver, registry/rest, BeforeDelete).
            raise conflict(resource.group, resource.kind, metadata["name"], f"{why} The object might have been {meanwhile}")


def grace_of(resource: Resource, item: Object, options: DeleteOptions) -> int:
    """Only pods take time to go, and only those that run (registry/core/pod/strategy.go, CheckGracefulDelete)."""
    if resource.stored != "pods":
        return 0
    spec = spec_of(item)
    if not spec.get("nodeName") or is_pod_finished(item):
        return 0
    grace_s = options.grace_period_s
    if grace_s is None:
        # Asked for again without a time, it keeps the one that it has.
        grace_s = item["metadata"].get("deletionGracePeriodSeconds", spec.get("terminationGracePeriodSeconds", 30))
    # A negative one is a second (apiserver, registry/rest, BeforeDelete).
    return int(grace_s) if grace_s >= 0 else 1


def deadline_of(metadata: Object, grace_s: int, now: datetime) -> Object:
    """When the object is to be gone: a shorter time counts from when it was first deleted."""
    began = now
    if metadata.get("deletionTimestamp"):
        began = parse_time(metadata["deletionTimestamp"]) - timedelta(seconds=metadata.get("deletionGracePeriodSeconds") or 0)
    return {"deletionTimestamp": render_time(began + timedelta(seconds=grace_s)), "deletionGracePeriodSeconds": grace_s}


def may_vanish(resource: Resource, item: Object) -> bool:
    """Whether nothing holds an object back that is being deleted."""
    if item["metadata"].get("finalizers"):
        return False
    if resource.stored == "namespaces":
        return False  # the namespace controller removes it once it is empty
    return bool(item["metadata"].get("deletionGracePeriodSeconds", 0) == 0)
