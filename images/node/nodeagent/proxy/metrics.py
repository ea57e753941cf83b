"""The part of kube-proxy's metrics that our proxy has, in the text format of Prometheus (exposition format 0.0.4)."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import accumulate

from testbed_init.events import EventSink

BUCKETS_S = tuple(0.001 * 2**power for power in range(15))
FAILURES = {
    "nftables": "sync_proxy_rules_nftables_sync_failures_total",
    "iptables": "sync_proxy_rules_iptables_restore_failures_total",
}
PROBES = ("healthz", "livez")


class ProxyMetrics:
    """Counts what the proxy reports: an event sink that hands every event on. `now_s`: seconds since the epoch."""

    def __init__(self, *, mode: str, events: EventSink, now_s: Callable[[], float]) -> None:
        self._failures_name = FAILURES[mode]
        self._events = events
        self._now_s = now_s
        self._buckets = [0] * (len(BUCKETS_S) + 1)
        self._duration_s = 0.0
        self._queued_at_s = 0.0
        self._synced_at_s = 0.0
        self._failures = 0
        self._probes: Counter[tuple[str, int]] = Counter()

    def emit(self, event: str, *, t_mono_ns: int | None = None, **fields: object) -> None:
        """As every event sink."""
        duration_ms = fields.get("duration_ms")
        if event == "rules-committed" and isinstance(duration_ms, float):
            self._buckets[bisect_left(BUCKETS_S, duration_ms / 1e3)] += 1
            self._duration_s += duration_ms / 1e3
        elif event == "rules-failed":
            self._failures += 1
        self._events.emit(event, t_mono_ns=t_mono_ns, **fields)

    def count_queued(self) -> None:
        self._queued_at_s = self._now_s()

    def count_synced(self) -> None:
        self._synced_at_s = self._now_s()

    def count_probe(self, probe: str, status: int) -> None:
        self._probes[probe, status] += 1

    def render(self) -> str:
        return "".join(f"{line}\n" for line in self._lines())

    def _lines(self) -> Iterator[str]:
        name = "kubeproxy_sync_proxy_rules_duration_seconds"
        yield from _head(name, "histogram", "Time of syncs that changed something, from reading objects to the commit")
        counts = tuple(accumulate(self._buckets))
        for bound, count in zip((*map(_number, BUCKETS_S), "+Inf"), counts, strict=True):
            yield f'{name}_bucket{{le="{bound}"}} {count}'
        yield f"{name}_sum {_number(self._duration_s)}"
        yield f"{name}_count {counts[-1]}"
        yield from _single("sync_proxy_rules_last_queued_timestamp_seconds", "gauge", "When a change came", self._queued_at_s)
        yield from _single("sync_proxy_rules_last_timestamp_seconds", "gauge", "When a sync last succeeded", self._synced_at_s)
        yield from _single(self._failures_name, "counter", "Syncs that the kernel refused", self._failures)
        for probe in PROBES:
            name = f"kubeproxy_proxy_{probe}_total"
            yield from _head(name, "counter", f"Answers to /{probe} by HTTP status")
            for (counted, status), count in sorted(self._probes.items()):
                if counted == probe:
                    yield f'{name}{{code="{status}"}} {count}'


def _single(name: str, kind: str, meaning: str, value: float) -> Iterator[str]:
    yield from _head(f"kubeproxy_{name}", kind, meaning)
    yield f"kubeproxy_{name} {_number(value)}"


def _head(name: str, kind: str, meaning: str) -> Iterator[str]:
    yield f"# HELP {name} {meaning}"
    yield f"# TYPE {name} {kind}"


def _number(value: float) -> str:
    return f"{value:.15g}"
