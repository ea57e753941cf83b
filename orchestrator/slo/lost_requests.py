"""Lost requests: how many did not get their answer, over the whole load or by rescale direction."""

from typing import ClassVar

from orchestrator.contracts import About
from orchestrator.model.measurements import Measurements, Rescale
from orchestrator.model.plan import SloPlan


class LostRequests:
    kind: ClassVar[str] = "lost_requests"
    about: ClassVar[About] = About.LOAD
    unit: ClassVar[str] = "count"
    unbounded: ClassVar[str] = "not converged"
    meaning: ClassVar[str] = "requests that did not get what the path must answer, over the whole load"

    def measure(self, slo: SloPlan, measurements: Measurements) -> float | None:
        classes = measurements.of(slo.path, slo.connection_class)
        return float(sum(item.sent - item.ok for item in classes)) if classes else None


class LostScalingUp:
    kind: ClassVar[str] = "lost_scaling_up"
    about: ClassVar[About] = About.RESCALE
    unit: ClassVar[str] = "count"
    unbounded: ClassVar[str] = "not converged"
    meaning: ClassVar[str] = "requests lost while nodes or pods are added"

    def measure(self, slo: SloPlan, measurements: Measurements) -> float | None:
        return _lost([item for item in _of(slo, measurements) if item.direction == "up"])


class LostDraining:
    kind: ClassVar[str] = "lost_draining"
    about: ClassVar[About] = About.RESCALE
    unit: ClassVar[str] = "count"
    unbounded: ClassVar[str] = "not converged"
    meaning: ClassVar[str] = "requests lost while drained nodes leave"

    def measure(self, slo: SloPlan, measurements: Measurements) -> float | None:
        return _lost([item for item in _of(slo, measurements) if item.direction == "down" and item.drained])


def _of(slo: SloPlan, measurements: Measurements) -> list[Rescale]:
    return [
        item for item in measurements.rescales if item.path == slo.path and slo.connection_class in (None, item.connection_class)
    ]


def _lost(rescales: list[Rescale]) -> float | None:
    """None without such a rescale, or when one never ended."""
    if not rescales or any(item.done_s is None for item in rescales):
        return None
    return float(sum(item.lost for item in rescales))
