"""Latency: the 99th percentile from intended instants, over the whole load."""

import math
from typing import ClassVar

from orchestrator.contracts import About
from orchestrator.model.measurements import Latency, Measurements
from orchestrator.model.plan import SloPlan
from orchestrator.slo.aggregation import highest


class LatencyP99:
    kind: ClassVar[str] = "latency_p99"
    about: ClassVar[About] = About.LOAD
    unit: ClassVar[str] = "s"
    unbounded: ClassVar[str] = "longer than was waited"
    meaning: ClassVar[str] = "99th percentile of latency from intended instants, of the worst class"

    def measure(self, slo: SloPlan, measurements: Measurements) -> float | None:
        """Infinite where time-outs reach it: how long those requests would have taken is not known, only that it is longer."""
        classes = measurements.of(slo.path, slo.connection_class)
        return highest(_p99_s(item.latency) for item in classes)


def _p99_s(latency: Latency | None) -> float | None:
    if latency is None:
        return None
    return math.inf if latency.censored > latency.count * (1 - 0.99) else latency.p99_ms / 1000
