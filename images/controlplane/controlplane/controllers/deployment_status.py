"""Status and conditions of a Deployment. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from controlplane.clock import parse_time, render_time
from controlplane.objects import Object, name_of, spec_of, status_of

AVAILABLE, TIMED_OUT = "NewReplicaSetAvailable", "ProgressDeadlineExceeded"
PAUSED, RESUMED = "DeploymentPaused", "DeploymentResumed"


def plan_status(
    deployment: Object, owned: Sequence[Object], current: Object | None, *, now: datetime, unavailable: int
) -> Object:
    """What the Deployment should report (pkg/controller/deployment/sync.go, calculateStatus; progress.go)."""
    spec, before = spec_of(deployment), status_of(deployment)
    counts = {
        "replicas": _sum(owned, "replicas"),
        "updatedReplicas": 0 if current is None else status_of(current).get("replicas", 0),
        "readyReplicas": _sum(owned, "readyReplicas"),
        "availableReplicas": _sum(owned, "availableReplicas"),
    }
    wanted: int = spec["replicas"]
    counts["unavailableReplicas"] = max(0, sum(spec_of(item).get("replicas", 0) for item in owned) - counts["availableReplicas"])
    status: Object = {"observedGeneration": deployment["metadata"].get("generation", 1)}
    if before.get("collisionCount"):
        status["collisionCount"] = before["collisionCount"]
    status |= {name: count for name, count in counts.items() if count}
    text = render_time(now)
    conditions = [dict(entry) for entry in before.get("conditions") or ()]
    _set(conditions, _available(counts["availableReplicas"], wanted - unavailable), text, is_update=False)
    if (progress := _progress(deployment, counts, current, before, now)) is not None:
        _set(conditions, progress, text, is_update=_moved(counts, before))
    status["conditions"] = conditions
    return status


def _sum(owned: Sequence[Object], field: str) -> int:
    return sum(status_of(item).get(field, 0) for item in owned)


def _available(available: int, minimum: int) -> Object:
    if available >= minimum:
        return {
            "type": "Available",
            "status": "True",
            "reason": "MinimumReplicasAvailable",
            "message": "Deployment has minimum availability.",
        }
    return {
        "type": "Available",
        "status": "False",
        "reason": "MinimumReplicasUnavailable",
        "message": "Deployment does not have minimum availability.",
    }


def _progress(deployment: Object, counts: dict[str, int], current: Object | None, before: Object, now: datetime) -> Object | None:
    wanted = spec_of(deployment)["replicas"]
    title = f'ReplicaSet "{name_of(current)}"' if current is not None else f'Deployment "{name_of(deployment)}"'
    known: Object | None = next((entry for entry in before.get("conditions") or () if entry.get("type") == "Progressing"), None)
    if spec_of(deployment).get("paused"):
        # Whoever pauses it stops the clock; that its time is over stays said.
        return known if _reason(known) == TIMED_OUT else _progressing("Unknown", PAUSED, "Deployment is paused")
    if _reason(known) == PAUSED:
        return _progressing("Unknown", RESUMED, "Deployment is resumed")
    if _reason(known) == AVAILABLE and counts["replicas"] == counts["updatedReplicas"]:
        return known  # scaled, or short of a pod: no rollout
    is_complete = counts["updatedReplicas"] == wanted == counts["replicas"] == counts["availableReplicas"]
    if is_complete:
        return _progressing("True", AVAILABLE, f"{title} has successfully progressed.")
    if _moved(counts, before):
        return _progressing("True", "ReplicaSetUpdated", f"{title} is progressing.")
    if known is None:
        return _progressing("True", "FoundNewReplicaSet", f"Found new replica set {title.partition(' ')[2]}")
    if _reason(known) == AVAILABLE:
        # Pods were lost after a finished rollout: that is not a rollout that hangs.
        return known
    if (left_s := _left_s(deployment, known, now)) is not None and left_s <= 0:
        return _progressing("False", TIMED_OUT, f"{title} has timed out progressing.")
    return known


def _moved(counts: dict[str, int], before: Object) -> bool:
    """A step towards the goal since the last report (pkg/controller/deployment/util, DeploymentProgressing)."""
    old_left: int = before.get("replicas", 0) - before.get("updatedReplicas", 0)
    return bool(
        counts["updatedReplicas"] > before.get("updatedReplicas", 0)
        or counts["replicas"] - counts["updatedReplicas"] < old_left
        or counts["readyReplicas"] > before.get("readyReplicas", 0)
        or counts["availableReplicas"] > before.get("availableReplicas", 0)
    )


def _reason(entry: Object | None) -> str:
    return "" if entry is None else str(entry.get("reason"))


def with_progress(status: Object, value: str, reason: str, message: str, now: datetime) -> Object:
    """The status with that said of the rollout."""
    conditions = [dict(entry) for entry in status.get("conditions") or ()]
    _set(conditions, _progressing(value, reason, message), render_time(now), is_update=False)
    return {**status, "conditions": conditions}


def _progressing(status: str, reason: str, message: str) -> Object:
    return {"type": "Progressing", "status": status, "reason": reason, "message": message}


def _set(conditions: list[Object], entry: Object, now: str, *, is_update: bool) -> None:
    for index, old in enumerate(conditions):
        if old["type"] != entry["type"]:
            continue
        is_same = all(old.get(name) == entry.get(name) for name in ("status", "reason", "message"))
        if is_same and not is_update:
            return
        since = old.get("lastTransitionTime", now) if old.get("status") == entry["status"] else now
        conditions[index] = {**entry, "lastUpdateTime": now, "lastTransitionTime": since}
        return
    conditions.append({**entry, "lastUpdateTime": now, "lastTransitionTime": now})


def _left_s(deployment: Object, progress: Object, now: datetime) -> float | None:
    limit_s: int = spec_of(deployment).get("progressDeadlineSeconds", 600)
    text = progress.get("lastUpdateTime")
    return None if not text else limit_s - (now - parse_time(text)).total_seconds()


def seconds_until_deadline(deployment: Object, status: Object, now: datetime) -> float | None:
    """When a rollout that does not move must be called failed, None if none is under way."""
    for entry in status.get("conditions") or ():
        is_under_way = entry["status"] == "True" or entry["reason"] == RESUMED
        if entry["type"] == "Progressing" and is_under_way and entry["reason"] != AVAILABLE:
            left_s = _left_s(deployment, entry, now)
            return None if left_s is None else max(left_s, 0.0) + 1.0
    return None
