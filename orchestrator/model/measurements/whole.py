"""The measurements as a whole."""

from dataclasses import dataclass

from orchestrator.model.measurements.cluster import ContainerUse, Rescale, Served, ServerUse, StepMeasurement, Stopped
from orchestrator.model.measurements.outages import Outage
from orchestrator.model.measurements.requests import ClassMeasurement, LoadQuality, Series, SourceSeen


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurements:
    classes: tuple[ClassMeasurement, ...]
    steps: tuple[StepMeasurement, ...]
    outages: tuple[Outage, ...]
    rescales: tuple[Rescale, ...]
    served: tuple[Served, ...]
    load: LoadQuality
    containers: tuple[ContainerUse, ...]
    series: tuple[Series, ...]
    servers: tuple[ServerUse, ...] = ()
    sources: tuple[SourceSeen, ...] = ()
    stopped: Stopped | None = None

    def of(self, path: str, connection_class: str | None = None) -> tuple[ClassMeasurement, ...]:
        return tuple(item for item in self.classes if item.path == path and connection_class in (None, item.connection_class))


NOTHING_MEASURED = Measurements(
    classes=(),
    steps=(),
    outages=(),
    rescales=(),
    served=(),
    load=LoadQuality(classes=(), bound_reached=False, complete=False, control_sent=0, control_failed=0, control_p99_ms=None),
    containers=(),
    series=(),
)
"""Of a run that broke off before there was anything to measure."""
