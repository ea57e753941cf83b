"""Outage: loss of connectivity, from the first failed request to the first sustained good span."""

from typing import ClassVar

from orchestrator.contracts import About
from orchestrator.model.measurements import Measurements
from orchestrator.model.plan import SloPlan
from orchestrator.slo.aggregation import highest, outages_of


class OutageObjective:
    kind: ClassVar[str] = "outage"
    about: ClassVar[About] = About.FAULT
    unit: ClassVar[str] = "s"
    unbounded: ClassVar[str] = "not converged"
    meaning: ClassVar[str] = "from the first failed request to the first sustained good span, of the worst fault and class"

    def measure(self, slo: SloPlan, measurements: Measurements) -> float | None:
        """Infinite when a fault's window ended before the path had converged."""
        return highest(item.outage_s if item.converged else float("inf") for item in outages_of(slo, measurements))
