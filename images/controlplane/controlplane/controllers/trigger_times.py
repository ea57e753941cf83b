"""When that happened which made a Service's endpoints change: what kube-proxy measures the delay of its rules from.

Source: kubernetes, staging/src/k8s.io/endpointslice, trigger_time_tracker.go.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from controlplane.objects import Key, Object, annotations_of, condition, key_of, name_of, with_metadata

ANNOTATION = "endpoints.kubernetes.io/last-change-trigger-time"


@dataclass(slots=True)
class _Seen:
    service: str = ""
    pods: dict[str, str] = field(default_factory=dict)


class TriggerTimes:
    """Instants as the API shows them, in whole seconds: as texts they sort as they follow each other."""

    def __init__(self) -> None:
        self._seen: dict[Key, _Seen] = {}

    def take(self, service: Object, pods: Iterable[Object]) -> str:
        """The earliest of what has changed since the last call for this Service; empty if nothing has.

        A pod counts with the instant at which it became ready or ceased to be, a Service with its creation.
        """
        created = str(service["metadata"].get("creationTimestamp") or "")
        known = self._seen.get(key_of(service))
        before = known or _Seen()
        now = _Seen(service=created, pods={name_of(pod): text for pod in pods if (text := _turned(pod))})
        self._seen[key_of(service)] = now
        if known is None:
            return created
        changed = [text for name, text in now.pods.items() if text > before.pods.get(name, "")]
        return min([*changed, *([created] if created > before.service else [])], default="")

    def forget(self, key: Key) -> None:
        self._seen.pop(key, None)


def _turned(pod: Object) -> str:
    return str((condition(pod, "Ready") or {}).get("lastTransitionTime") or "")


def with_trigger(item: Object, text: str) -> Object:
    """The object with that instant in its annotations, or with none."""
    others = {key: value for key, value in annotations_of(item).items() if key != ANNOTATION}
    annotations = {**others, **({ANNOTATION: text} if text else {})}
    if annotations == annotations_of(item):
        return item
    if annotations:
        return with_metadata(item, annotations=annotations)
    return {**item, "metadata": {key: value for key, value in item["metadata"].items() if key != "annotations"}}
