"""Columns and texts that several kinds print, as kubectl's users know them (kubernetes, pkg/printers/internalversion)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from controlplane.clock import parse_time
from controlplane.kinds.resource import Column
from controlplane.objects import Object, name_of

NONE = "<none>"
MINUTE_S, HOUR_S, DAY_S, YEAR_S = 60, 3600, 86_400, 365 * 86_400


def describe_age(seconds: float) -> str:
    """Two digits or two units at most (apimachinery, `duration.HumanDuration`)."""
    whole = int(seconds)
    if whole < 0:
        return "0s" if whole >= -1 else "<invalid>"
    if whole < 2 * MINUTE_S:
        return f"{whole}s"
    if whole < 10 * MINUTE_S:
        return _two(whole, MINUTE_S, "m", 1, "s")
    if whole < 3 * HOUR_S:
        return f"{whole // MINUTE_S}m"
    if whole < 8 * HOUR_S:
        return _two(whole, HOUR_S, "h", MINUTE_S, "m")
    if whole < 2 * DAY_S:
        return f"{whole // HOUR_S}h"
    if whole < 8 * DAY_S:
        return _two(whole, DAY_S, "d", HOUR_S, "h")
    if whole < 2 * YEAR_S:
        return f"{whole // DAY_S}d"
    if whole < 8 * YEAR_S:
        return _two(whole, YEAR_S, "y", DAY_S, "d")
    return f"{whole // YEAR_S}y"


def _two(whole: int, large: int, large_unit: str, small: int, small_unit: str) -> str:
    rest = whole % large // small
    return f"{whole // large}{large_unit}" + (f"{rest}{small_unit}" if rest else "")


def age_since(text: Any, now: datetime) -> str:
    if not isinstance(text, str) or not text:
        return "<unknown>"
    try:
        return describe_age((now - parse_time(text)).total_seconds())
    except ValueError:
        return "<invalid>"


def age(item: Object, now: datetime) -> str:
    return age_since(item["metadata"].get("creationTimestamp"), now)


NAME = Column(name="Name", cell=lambda item, _: name_of(item), format="name")
AGE = Column(name="Age", cell=age)


def join_or_none(texts: Iterable[str], separator: str = ",") -> str:
    return separator.join(texts) or NONE


def show_labels(labels: Mapping[str, str] | None) -> str:
    return join_or_none(f"{key}={value}" for key, value in sorted((labels or {}).items()))


def show_selector(selector: Mapping[str, Any] | None) -> str:
    """A LabelSelector in the syntax of `--selector`."""
    selector = selector or {}
    texts = [f"{key}={value}" for key, value in sorted((selector.get("matchLabels") or {}).items())]
    for entry in selector.get("matchExpressions") or ():
        key, values = entry.get("key", ""), ",".join(sorted(entry.get("values") or ()))
        match entry.get("operator"):
            case "In":
                texts.append(f"{key} in ({values})")
            case "NotIn":
                texts.append(f"{key} notin ({values})")
            case "Exists":
                texts.append(key)
            case _:
                texts.append(f"!{key}")
    return join_or_none(texts)
