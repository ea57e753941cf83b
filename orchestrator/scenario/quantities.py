"""Quantities as users write them: durations (`500ms`, `1m30s`, Go's syntax) and rates (`200/s`)."""

import re
from typing import Annotated

import durationpy
from pydantic import BeforeValidator, Field, PlainSerializer

_RATE = re.compile(r"(?P<count>\d+(?:\.\d+)?)\s*/\s*(?P<unit>ms|s|m|h)")
_UNIT_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def parse_duration_s(value: object) -> float:
    """Seconds of a Go-style duration (time.ParseDuration). Raises ValueError; a bare number has no unit and is refused."""
    if isinstance(value, str):
        try:
            return float(durationpy.from_str(value.strip()).total_seconds())
        except (durationpy.DurationError, ValueError, KeyError):
            pass
    raise ValueError("is not a duration; allowed: a number with a unit, such as 500ms, 10s, 1m30s")


def parse_rate_rps(value: object) -> float:
    """Requests per second of `COUNT/UNIT`. Raises ValueError."""
    if isinstance(value, str) and (match := _RATE.fullmatch(value.strip())):
        return float(match["count"]) / _UNIT_S[match["unit"]]
    raise ValueError("is not a rate; allowed: requests per unit of time, such as 200/s, 30/m")


def parse_ratio(value: object) -> float:
    """0..1, written as such or as a percentage. Raises ValueError."""
    if isinstance(value, str) and value.strip().endswith("%"):
        try:
            value = float(value.strip()[:-1]) / 100
        except ValueError:
            value = None
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1:
        return float(value)
    raise ValueError("is not a ratio; allowed: 0 to 1, or 0% to 100%")


def format_duration(seconds: float) -> str:
    return f"{seconds * 1000:g}ms" if 0 < seconds < 1 else f"{seconds:g}s"


def write_like(value: object, example: str | None) -> str:
    """A decoded number as a user writes it, in the form of an example of it."""
    if example is None or not isinstance(value, int | float):
        return str(value)
    return f"{value:g}/s" if example.endswith("/s") else f"{value * 100:g}%" if example.endswith("%") else format_duration(value)


_Duration = Annotated[
    float,
    BeforeValidator(parse_duration_s, json_schema_input_type=str),
    PlainSerializer(format_duration, when_used="json"),
    Field(examples=["500ms", "10s", "1m30s"]),
]
DurationS = Annotated[_Duration, Field(ge=0)]
PositiveDurationS = Annotated[_Duration, Field(gt=0)]
RateRps = Annotated[
    float,
    BeforeValidator(parse_rate_rps, json_schema_input_type=str),
    PlainSerializer(lambda v: f"{v:g}/s", when_used="json"),
    Field(gt=0, examples=["200/s", "30/m"]),
]
Ratio = Annotated[
    float,
    BeforeValidator(parse_ratio, json_schema_input_type=str | float),
    Field(examples=["10%", 0.1]),
    PlainSerializer(lambda v: f"{v:g}", when_used="json"),
]
