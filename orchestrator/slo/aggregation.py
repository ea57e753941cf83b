"""The worst of several measurements: one that is missing makes the whole unknown."""

from collections.abc import Iterable

from orchestrator.model.measurements import Measurements, Outage
from orchestrator.model.plan import SloPlan


def lowest(values: Iterable[float | None]) -> float | None:
    known = _known(values)
    return min(known) if known else None


def highest(values: Iterable[float | None]) -> float | None:
    known = _known(values)
    return max(known) if known else None


def _known(values: Iterable[float | None]) -> list[float]:
    every = list(values)
    known = [value for value in every if value is not None]
    return known if len(known) == len(every) else []


def outages_of(slo: SloPlan, measurements: Measurements) -> list[Outage]:
    return [
        item for item in measurements.outages if item.path == slo.path and slo.connection_class in (None, item.connection_class)
    ]
