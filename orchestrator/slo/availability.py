"""Availability: requests that got what the path must answer / requests sent."""

from typing import ClassVar

from orchestrator.contracts import About
from orchestrator.model.measurements import Measurements
from orchestrator.model.plan import SloPlan
from orchestrator.slo.aggregation import lowest


class Availability:
    kind: ClassVar[str] = "availability"
    about: ClassVar[About] = About.LOAD
    unit: ClassVar[str] = "ratio"
    unbounded: ClassVar[str] = "not converged"
    meaning: ClassVar[str] = "requests ok / requests sent, of the worst class"

    def measure(self, slo: SloPlan, measurements: Measurements) -> float | None:
        return lowest(item.availability_ratio for item in measurements.of(slo.path, slo.connection_class))
