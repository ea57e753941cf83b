"""What becomes of an Event before it is written: named, counted, combined with similar ones, or dropped. No input or output.

Source: kubernetes, client-go, tools/record (event.go, events_cache.go).
"""

from __future__ import annotations

import datetime
from collections import OrderedDict
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

Object = Mapping[str, Any]
_T = TypeVar("_T")

NORMAL = "Normal"
WARNING = "Warning"
CACHE_LIMIT = 4096
SIMILAR_LIMIT = 10
"""From so many messages of one reason on, the latest stands for them all."""
SIMILAR_FOR_S = 600.0
BURST = 25
REFILL_S = 300.0
"""An object may have 25 Events of one component at once, and then one more each five minutes."""
NAME_LIMIT = 230
"""Characters of the object's name; with the instant the Event's own stays within 253."""


class Stamps:
    """Instants in nanoseconds for names; none is given twice, however coarse the clock is."""

    def __init__(self) -> None:
        self._last = 0

    def take(self, moment: datetime.datetime) -> int:
        since = moment - datetime.datetime.fromtimestamp(0, datetime.UTC)
        self._last = max(self._last + 1, since // datetime.timedelta(microseconds=1) * 1000)
        return self._last


@dataclass(slots=True)
class _Similar:
    seen_s: float
    messages: OrderedDict[str, None] = field(default_factory=OrderedDict)


@dataclass(slots=True)
class _Bucket:
    filled_s: float
    tokens: float = BURST


class Correlator:
    """Decides for one component of one host."""

    def __init__(self, *, component: str, host: str = "", stamps: Stamps | None = None) -> None:
        """`stamps` may be shared by all who write Events about the same objects."""
        self._component = component
        self._host = host
        self._stamps = stamps or Stamps()
        self._similar: OrderedDict[Hashable, _Similar] = OrderedDict()
        self._written: OrderedDict[Hashable, Object] = OrderedDict()
        self._buckets: OrderedDict[Hashable, _Bucket] = OrderedDict()

    def correlate(self, subject: Object, kind: str, reason: str, message: str, now: datetime.datetime) -> Object | None:
        """The Event (core/v1) as it should be from now on, new when its count is 1; None if there are too many.

        `subject` is the ObjectReference of what it is about.
        """
        who = tuple(subject.get(name, "") for name in ("kind", "namespace", "name", "uid", "apiVersion"))
        key, message = self._combine((who, kind, reason), subject.get("fieldPath", ""), message, now.timestamp())
        event = self._count(key, self._render(subject, kind, reason, message, now))
        return event if self._may_write(who, now.timestamp()) else None

    def _combine(self, group: Hashable, path: str, message: str, now_s: float) -> tuple[Hashable, str]:
        similar = self._similar.get(group)
        if similar is None or now_s - similar.seen_s > SIMILAR_FOR_S:
            similar = _Similar(now_s)
        similar.seen_s = now_s
        similar.messages[message] = None
        _keep(self._similar, group, similar)
        if len(similar.messages) < SIMILAR_LIMIT:
            return (group, path, message), message
        similar.messages.popitem(last=False)
        return group, f"(combined from similar events): {message}"

    def _render(self, subject: Object, kind: str, reason: str, message: str, now: datetime.datetime) -> dict[str, Any]:
        text = f"{now:%Y-%m-%dT%H:%M:%SZ}"
        name = f"{subject['name'][:NAME_LIMIT]}.{self._stamps.take(now):x}"
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": subject.get("namespace") or "default"},
            "involvedObject": dict(subject),
            "reason": reason,
            "message": message,
            "source": {"component": self._component, **({"host": self._host} if self._host else {})},
            "firstTimestamp": text,
            "lastTimestamp": text,
            "count": 1,
            "type": kind,
            "reportingComponent": self._component,
            "reportingInstance": self._host,
        }

    def _count(self, key: Hashable, event: dict[str, Any]) -> Object:
        if (old := self._written.get(key)) is not None:
            event |= {"metadata": old["metadata"], "firstTimestamp": old["firstTimestamp"], "count": old["count"] + 1}
        _keep(self._written, key, event)
        return event

    def _may_write(self, who: Hashable, now_s: float) -> bool:
        bucket = self._buckets.get(who) or _Bucket(now_s)
        bucket.tokens = min(float(BURST), bucket.tokens + (now_s - bucket.filled_s) / REFILL_S)
        bucket.filled_s = now_s
        _keep(self._buckets, who, bucket)
        if bucket.tokens < 1:
            return False
        bucket.tokens -= 1
        return True


def _keep(cache: OrderedDict[Hashable, _T], key: Hashable, entry: _T) -> None:
    """The latest stay."""
    cache[key] = entry
    cache.move_to_end(key)
    if len(cache) > CACHE_LIMIT:
        cache.popitem(last=False)


def repetition_of(event: Object) -> Object:
    """The merge patch that counts an Event that was written before."""
    return {name: event[name] for name in ("count", "message", "lastTimestamp")}
