"""Converged: whether the path came back inside every fault's window."""

from typing import ClassVar

from orchestrator.contracts import About
from orchestrator.model.measurements import Measurements
from orchestrator.model.plan import SloPlan
from orchestrator.slo.aggregation import lowest, outages_of


class Converged:
    kind: ClassVar[str] = "converged"
    about: ClassVar[About] = About.FAULT
    unit: ClassVar[str] = "bool"
    unbounded: ClassVar[str] = "not converged"
    meaning: ClassVar[str] = "every request ok again for the validation time, inside every fault's window"

    def measure(self, slo: SloPlan, measurements: Measurements) -> float | None:
        return lowest(float(item.converged) for item in outages_of(slo, measurements))
