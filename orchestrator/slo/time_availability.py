"""Time availability: share of the 0.1 s bins in which every request was ok."""

from typing import ClassVar

from orchestrator.contracts import About
from orchestrator.model.measurements import Measurements
from orchestrator.model.plan import SloPlan
from orchestrator.slo.aggregation import lowest


class TimeAvailability:
    kind: ClassVar[str] = "time_availability"
    about: ClassVar[About] = About.LOAD
    unit: ClassVar[str] = "ratio"
    unbounded: ClassVar[str] = "not converged"
    meaning: ClassVar[str] = "share of 0.1 s bins with every request ok, of the worst class"

    def measure(self, slo: SloPlan, measurements: Measurements) -> float | None:
        return lowest(item.time_availability_ratio for item in measurements.of(slo.path, slo.connection_class))
