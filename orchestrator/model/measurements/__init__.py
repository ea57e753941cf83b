"""What was measured in one trial. Frozen numbers with their units; None means that there was nothing to measure."""

from orchestrator.model.measurements.cluster import ContainerUse, Rescale, Served, ServerUse, StepMeasurement, Stopped
from orchestrator.model.measurements.outages import TOLERANCE_S, Explanation, Outage, Recovery, Stage
from orchestrator.model.measurements.requests import (
    ClassMeasurement,
    Latency,
    LoadQuality,
    Point,
    SenderQuality,
    Series,
    SourceSeen,
)
from orchestrator.model.measurements.whole import NOTHING_MEASURED, Measurements

__all__ = [
    "NOTHING_MEASURED",
    "TOLERANCE_S",
    "ClassMeasurement",
    "ContainerUse",
    "Explanation",
    "Latency",
    "LoadQuality",
    "Measurements",
    "Outage",
    "Point",
    "Recovery",
    "Rescale",
    "SenderQuality",
    "Series",
    "Served",
    "ServerUse",
    "SourceSeen",
    "Stage",
    "StepMeasurement",
    "Stopped",
]
