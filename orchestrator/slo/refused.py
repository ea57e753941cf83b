"""Refused: share of requests that the kernel refused; what a negative control must be."""

from typing import ClassVar

from orchestrator.contracts import About
from orchestrator.model.measurements import Measurements
from orchestrator.model.plan import SloPlan
from orchestrator.slo.aggregation import lowest


class Refused:
    kind: ClassVar[str] = "refused"
    about: ClassVar[About] = About.LOAD
    unit: ClassVar[str] = "ratio"
    unbounded: ClassVar[str] = "not converged"
    meaning: ClassVar[str] = "requests refused / requests sent, of the worst class"

    def measure(self, slo: SloPlan, measurements: Measurements) -> float | None:
        classes = measurements.of(slo.path, slo.connection_class)
        return lowest(item.refused / item.sent if item.sent else None for item in classes)
