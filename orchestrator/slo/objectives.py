"""Reads objectives as users write them (`>= 97%`, `<= 8s`, `true`), and holds measurements against them."""

import math
import operator
import re
from collections.abc import Callable, Mapping

from orchestrator.contracts import Slo
from orchestrator.model.measurements import Measurements
from orchestrator.model.outcome import SloResult
from orchestrator.model.plan import SloPlan
from orchestrator.scenario.quantities import format_duration, parse_duration_s
from orchestrator.slo.availability import Availability
from orchestrator.slo.converged import Converged
from orchestrator.slo.convergence import Convergence
from orchestrator.slo.latency_p99 import LatencyP99
from orchestrator.slo.lost_requests import LostDraining, LostRequests, LostScalingUp
from orchestrator.slo.outage import OutageObjective
from orchestrator.slo.refused import Refused
from orchestrator.slo.time_availability import TimeAvailability

SLOS: Mapping[str, Slo] = {
    slo.kind: slo
    for slo in (
        Availability(),
        TimeAvailability(),
        Refused(),
        Convergence(),
        OutageObjective(),
        Converged(),
        LostRequests(),
        LostScalingUp(),
        LostDraining(),
        LatencyP99(),
    )
}

_OPERATORS: Mapping[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
    "==": operator.eq,
}
_TEXT = re.compile(r"(>=|<=|==|>|<)\s*(\S+)")
_PERCENT = re.compile(r"(\d+(?:\.\d+)?)%")
_EXAMPLES = {"ratio": '">= 97%"', "s": '"<= 8s", "<= 250ms"', "count": '"<= 0"', "bool": "true, false"}


def parse_objective(kind: str, value: object, subject: str) -> SloPlan:
    """An objective of a path, or of `path/class`. Raises ValueError with words for the user's file."""
    slo = SLOS.get(kind)
    if slo is None:
        raise ValueError(f"unknown objective; found {kind!r}; allowed: {', '.join(sorted(SLOS))}")
    symbol, threshold = _parse(slo.unit, value)
    path, _, connection_class = subject.partition("/")
    return SloPlan(
        path=path,
        connection_class=connection_class or None,
        kind=kind,
        text=str(value).lower() if isinstance(value, bool) else str(value),
        operator=symbol,
        threshold=threshold,
    )


def _parse(unit: str, value: object) -> tuple[str, float]:
    refusal = ValueError(f"is not an objective of this kind; found {value!r}; allowed: {_EXAMPLES[unit]}")
    if unit == "bool":
        if not isinstance(value, bool):
            raise refusal
        return "==", float(value)
    match = _TEXT.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise refusal
    symbol, text = match.groups()
    try:
        return symbol, _quantity(unit, text)
    except ValueError:
        raise refusal from None


def _quantity(unit: str, text: str) -> float:
    if unit == "ratio":
        match = _PERCENT.fullmatch(text)
        if match is None or float(match[1]) > 100:
            raise ValueError(text)
        return float(match[1]) / 100
    if text.startswith("-") or "_" in text:  # below nothing there is nothing to judge; 1_000 is Python's spelling alone
        raise ValueError(text)
    return parse_duration_s(text) if unit == "s" else float(int(text))


def judge_objective(slo: SloPlan, measurements: Measurements) -> SloResult:
    """Met, missed, or not judged (`met` is None) because there was nothing to hold it against."""
    kind = SLOS[slo.kind]
    measured = kind.measure(slo, measurements)
    if measured is None:
        reason = "not measured in this run"
        return SloResult(subject=slo.subject, kind=slo.kind, objective=slo.text, measured="-", met=None, reason=reason)
    met = _OPERATORS[slo.operator](measured, slo.threshold)
    return SloResult(
        subject=slo.subject,
        kind=slo.kind,
        objective=slo.text,
        measured=kind.unbounded if measured == math.inf else _show(kind.unit, measured),
        met=met,
        budget_used_ratio=_budget_used(slo, kind.unit, measured),
    )


def _budget_used(slo: SloPlan, unit: str, measured: float) -> float | None:
    """(1 - measured) / (1 - objective): SRE Workbook, chapter 5, over the load. An objective of 100% has no budget."""
    if unit != "ratio" or slo.operator not in (">=", ">") or slo.threshold >= 1:
        return None
    return (1 - measured) / (1 - slo.threshold)


def _show(unit: str, value: float) -> str:
    match unit:
        case "ratio":
            # Cut off, not rounded: what is not all must not read as 100%.
            return f"{math.floor(value * 1e5 + 1e-6) / 1e3:.3f}%"
        case "bool":
            return "true" if value else "false"
        case "count":
            return f"{value:.0f}"
    return format_duration(round(value, 3))
