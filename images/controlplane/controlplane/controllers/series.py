"""Events as components of events.k8s.io/v1 write them: with an action and an instant in microseconds; repetitions are a series.

Source: kubernetes, client-go, tools/events (event_recorder.go, event_broadcaster.go).
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from datetime import datetime

from controlplane.clock import render_micro_time
from controlplane.cluster import Cluster
from controlplane.controllers.recorder import refer_to
from controlplane.errors import StatusError
from controlplane.kinds.event import CORE_EVENTS
from controlplane.objects import Key, Object, key_of
from testbed_kube.recording import NAME_LIMIT, Stamps

FINISH_S = 360.0
"""A series without a repetition for so long has ended: its count is written, and the next Event is a new one."""


@dataclass(slots=True)
class _Series:
    event: Key
    count: int
    seen: datetime


class SeriesRecorder:
    """Writes Events of one component. What repeats counts as the same if all but its message is.

    Its second time is written, later ones only when the series has ended: so they are few, however often something repeats.
    """

    def __init__(self, *, cluster: Cluster, component: str, host: str, stamps: Stamps) -> None:
        """`stamps`: shared by all components, so that no two Events have one name."""
        self._cluster = cluster
        self._component = component
        self._instance = f"{component}-{host}"
        self._stamps = stamps
        self._series: dict[Hashable, _Series] = {}

    def record(self, item: Object, kind: str, reason: str, action: str, note: str) -> None:
        """Report that `action` was taken on `item`, and with what `reason`."""
        now, regarding = self._cluster.clock.now(), refer_to(item)
        key = (kind, reason, action, tuple(sorted(regarding.items())))
        if (series := self._series.get(key)) is not None:
            series.count, series.seen = series.count + 1, now
            if series.count == 2:
                self._write(series)
            return
        event = self._render(regarding, kind, reason, action, note, now)
        try:
            created = self._cluster.create(CORE_EVENTS, event)
        except StatusError:
            return  # its namespace is on its way out: nobody will read about it
        self._series[key] = _Series(event=key_of(created), count=1, seen=now)
        self._cluster.clock.call_later(FINISH_S, lambda: self._finish(key))

    def _render(self, regarding: Object, kind: str, reason: str, action: str, note: str, now: datetime) -> Object:
        name = f"{regarding['name'][:NAME_LIMIT]}.{self._stamps.take(now):x}"
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": regarding["namespace"] or "default"},
            "involvedObject": regarding,
            "reason": reason,
            "action": action,
            "message": note,
            "type": kind,
            "eventTime": render_micro_time(now),
            "reportingComponent": self._component,
            "reportingInstance": self._instance,
        }

    def _write(self, series: _Series) -> None:
        old = self._cluster.store.find("events", *series.event)
        if old is not None:
            told = {"count": series.count, "lastObservedTime": render_micro_time(series.seen)}
            self._cluster.store.update("events", {**old, "series": told})

    def _finish(self, key: Hashable) -> None:
        series = self._series[key]
        left_s = FINISH_S - (self._cluster.clock.now() - series.seen).total_seconds()
        if left_s > 0:
            self._cluster.clock.call_later(left_s, lambda: self._finish(key))
            return
        if series.count > 1:
            self._write(series)
        del self._series[key]
