"""Latency: the 99th percentile from intended instants, over the whole load."""

from typing import ClassVar

from orchestrator.contracts import About
from orchestrator.model.measurements import Measurements
from orchestrator.model.plan import SloPlan
from orchestrator.slo.aggregation import highest


class LatencyP99:
    kind: ClassVar[str] = "latency_p99"
    about: ClassVar[About] = About.LOAD
    unit: ClassVar[str] = "s"
    meaning: ClassVar[str] = "99th percentile of latency from intended instants, of the worst class"

    def measure(self, slo: SloPlan, measurements: Measurements) -> float | None:
        classes = measurements.of(slo.path, slo.connection_class)
        return highest(item.latency.p99_ms / 1000 if item.latency else None for item in classes)
