"""Event, in core/v1 and events.k8s.io/v1: one set of objects under two names for their fields."""

from __future__ import annotations

from datetime import datetime

from controlplane.kinds.columns import NAME, age_since
from controlplane.kinds.event_rules import check_event, check_strictly
from controlplane.kinds.resource import Column, Resource
from controlplane.objects import Object
from controlplane.schema.meta import OBJECT_REFERENCE, kind
from controlplane.schema.types import INT32, MICRO_TIME, TIME, strings, struct

_SOURCE = struct("EventSource", **strings("component host"))
_SERIES = struct("EventSeries", count=INT32, lastObservedTime=MICRO_TIME)
CORE_EVENT = kind(
    "Event",
    involvedObject=OBJECT_REFERENCE,
    related=OBJECT_REFERENCE,
    **strings("reason message type action reportingComponent reportingInstance"),
    source=_SOURCE,
    firstTimestamp=TIME,
    lastTimestamp=TIME,
    eventTime=MICRO_TIME,
    count=INT32,
    series=_SERIES,
)
EVENT = kind(
    "Event",
    regarding=OBJECT_REFERENCE,
    related=OBJECT_REFERENCE,
    **strings("reason note type action reportingController reportingInstance"),
    deprecatedSource=_SOURCE,
    deprecatedFirstTimestamp=TIME,
    deprecatedLastTimestamp=TIME,
    deprecatedCount=INT32,
    eventTime=MICRO_TIME,
    series=_SERIES,
)
CORE_NAMES = {
    "regarding": "involvedObject",
    "note": "message",
    "reportingController": "reportingComponent",
    "deprecatedSource": "source",
    "deprecatedFirstTimestamp": "firstTimestamp",
    "deprecatedLastTimestamp": "lastTimestamp",
    "deprecatedCount": "count",
}
NEW_NAMES = {core: new for new, core in CORE_NAMES.items()}


def to_core(event: Object) -> Object:
    """From events.k8s.io/v1 to how it is stored."""
    return {**{CORE_NAMES.get(key, key): value for key, value in event.items()}, "apiVersion": "v1"}


def from_core(event: Object) -> Object:
    """From how it is stored to events.k8s.io/v1, which leaves out a reporter that is not known."""
    shown = {NEW_NAMES.get(key, key): value for key, value in event.items() if value != ""}
    return {**shown, "apiVersion": "events.k8s.io/v1"}


def default_event(event: Object) -> None:
    """What is in every Event of a real API server: these fields have no `omitempty` (staging, api/core/v1/types.go)."""
    for name in ("involvedObject", "source"):
        event.setdefault(name, {})
    for name in ("firstTimestamp", "lastTimestamp", "eventTime"):
        event[name] = event.get(name) or None
    for name in ("reportingComponent", "reportingInstance"):
        event.setdefault(name, "")


def _last_seen(event: Object, now: datetime) -> str:
    if seen := (event.get("series") or {}).get("lastObservedTime") or event.get("lastTimestamp"):
        return age_since(seen, now)
    return _first_seen(event, now)


def _first_seen(event: Object, now: datetime) -> str:
    return age_since(event.get("firstTimestamp") or event.get("eventTime"), now)


def _show_object(event: Object, _: datetime) -> str:
    target = event.get("involvedObject") or {}
    return "/".join(filter(None, (str(target.get("kind", "")).lower(), target.get("name"))))


def _show_source(event: Object, _: datetime) -> str:
    source = event.get("source") or {}
    component = source.get("component") or event.get("reportingComponent")
    return ", ".join(filter(None, (component, source.get("host") or event.get("reportingInstance"))))


def _count(event: Object, _: datetime) -> int:
    return int((event.get("series") or {}).get("count") or event.get("count") or 1)


_COLUMNS = (
    Column(name="Last Seen", cell=_last_seen),
    Column(name="Type", cell=lambda event, _: event.get("type", "")),
    Column(name="Reason", cell=lambda event, _: event.get("reason", "")),
    Column(name="Object", cell=_show_object),
    Column(name="Subobject", cell=lambda event, _: (event.get("involvedObject") or {}).get("fieldPath", ""), priority=1),
    Column(name="Source", cell=_show_source, priority=1),
    Column(name="Message", cell=lambda event, _: str(event.get("message", "")).strip()),
    Column(name="First Seen", cell=_first_seen, priority=1),
    Column(name="Count", cell=_count, priority=1),
    Column(name=NAME.name, cell=NAME.cell, format=NAME.format, priority=1),
)
_SELECTABLE = {
    f"involvedObject.{name}": "" for name in ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")
} | {"reason": "", "type": "", "reportingComponent": "", "source": ""}

CORE_EVENTS = Resource(
    kind="Event",
    plural="events",
    short_names=("ev",),
    schema=CORE_EVENT,
    creates_on_update=True,
    selectable=_SELECTABLE,
    default=default_event,
    validate=check_event,
    columns=_COLUMNS,
)
EVENTS = Resource(
    group="events.k8s.io",
    kind="Event",
    plural="events",
    short_names=("ev",),
    schema=EVENT,
    selectable={"reason": "", "type": ""},
    validate=check_strictly,
    to_stored=to_core,
    from_stored=from_core,
    columns=_COLUMNS,
)
