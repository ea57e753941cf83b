"""Rules of Events: those of core/v1 for all, and the stricter ones of events.k8s.io/v1 for what is written there.

Source: kubernetes, pkg/apis/core/validation/events.go (legacyValidateEvent, ValidateEventCreate, ValidateEventUpdate).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from controlplane.field_errors import FieldError, invalid_value, required
from controlplane.kinds.names import check_qualified_key
from controlplane.objects import Object

TEXT_LIMIT, MESSAGE_LIMIT = 128, 1024
TYPES = ("Normal", "Warning")
DEPRECATED = ("firstTimestamp", "lastTimestamp", "count", "source")
"""What the newer group has other fields for."""
UNCHANGING = (
    *("involvedObject", "reason", "message", "source", "firstTimestamp", "lastTimestamp", "count", "type", "eventTime", "action"),
    *("related", "reportingComponent", "reportingInstance"),
)
NAMES = {"reportingComponent": "reportingController"}
"""What a field is called in messages where that is not its name in core/v1."""


def check_event(event: Object, before: Object | None) -> Iterable[FieldError]:
    """Of an Event in its core/v1 form, however it was written; one with an `eventTime` has all that the newer group asks for."""
    namespace = event["metadata"].get("namespace", "")
    regarding = (event.get("involvedObject") or {}).get("namespace", "")
    is_new = bool(event.get("eventTime"))
    homes = ("default", "kube-system") if is_new else ("default",)
    if (namespace not in homes) if not regarding else (not is_new and regarding != namespace):
        yield invalid_value("involvedObject.namespace", regarding, "does not match event.namespace")
    if not is_new:
        return
    for name in ("reportingComponent", "reportingInstance", "action", "reason"):
        text, field = event.get(name) or "", NAMES.get(name, name)
        if not text:
            yield required(field)
        if name == "reportingComponent":
            yield from check_qualified_key(text, field)
        elif len(text) > TEXT_LIMIT:
            yield invalid_value(field, "", f"can have at most {TEXT_LIMIT} characters")
    if len(event.get("message") or "") > MESSAGE_LIMIT:
        yield invalid_value("message", "", f"can have at most {MESSAGE_LIMIT} characters")


def check_strictly(event: Object, before: Object | None) -> Iterable[FieldError]:
    """Beyond `check_event`, of an Event in its core/v1 form that is written as one of events.k8s.io/v1."""
    if before is not None:
        if event.get("series") != before.get("series"):
            yield from _check_series(event)
        for name in UNCHANGING:
            if (event.get(name) or None) != (before.get(name) or None):
                yield invalid_value(NAMES.get(name, name), event.get(name), "field is immutable")
        return
    yield from _check_series(event)
    if not event.get("eventTime"):
        yield required("eventTime")
    if event.get("type") not in TYPES:
        yield invalid_value("type", "", f"has invalid value: {event.get('type') or ''}")
    for name in DEPRECATED:
        if event.get(name):
            yield invalid_value(name, "", "needs to be unset")


def _check_series(event: Object) -> Iterator[FieldError]:
    series = event.get("series")
    if series is None:
        return
    if series.get("count", 0) < 2:
        yield invalid_value("series.count", "", "should be at least 2")
    if not series.get("lastObservedTime"):
        yield required("series.lastObservedTime")
