"""Convergence: from a fault's effective instant until every request is ok for the validation time (RFC 6412)."""

from typing import ClassVar

from orchestrator.contracts import About
from orchestrator.model.measurements import Measurements
from orchestrator.model.plan import SloPlan
from orchestrator.slo.aggregation import highest, outages_of


class Convergence:
    kind: ClassVar[str] = "convergence"
    about: ClassVar[About] = About.FAULT
    unit: ClassVar[str] = "s"
    unbounded: ClassVar[str] = "not converged"
    meaning: ClassVar[str] = "from the fault's effective instant to the first sustained good span, of the worst fault and class"

    def measure(self, slo: SloPlan, measurements: Measurements) -> float | None:
        """Infinite when a fault's window ended before the path had converged."""
        return highest(item.convergence_s if item.converged else float("inf") for item in outages_of(slo, measurements))
