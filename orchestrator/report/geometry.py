"""Where things stand in a chart: scales, ticks, lanes and markers, in SVG user units. Pure; knows nothing of runs."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_STEPS = (1.0, 2.0, 5.0, 10.0)
LETTER_WIDTH = 6.6
"""Of an 11 px sans-serif letter, on the wide side: an estimate that keeps labels apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """From values to positions; values outside are held at the ends. Logarithmic scales need ends above 0."""

    low: float
    high: float
    start: float
    end: float
    is_log: bool = False

    def __call__(self, value: float) -> float:
        value = min(max(value, self.low), self.high)
        low, high, value = (
            (math.log10(item) for item in (self.low, self.high, value)) if self.is_log else (self.low, self.high, value)
        )
        share = (value - low) / (high - low) if high > low else 0.0
        return round(self.start + share * (self.end - self.start), 2)


def ticks(low: float, high: float, count: int = 10) -> tuple[float, ...]:
    """Round values (1, 2 or 5 times a power of ten apart) in [low, high], about `count` of them."""
    if high <= low:
        return (low,)
    raw = (high - low) / count
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(item * power for item in _STEPS if item * power >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    return tuple(round(number * step, 10) for number in range(first, math.floor(high / step + 1e-9) + 1))


def decades(values: Iterable[float]) -> tuple[float, ...]:
    """Powers of ten around the values above 0; at least one decade."""
    positive = [value for value in values if value > 0]
    if not positive:
        return (1.0, 10.0)
    low = math.floor(math.log10(min(positive)))
    high = max(low + 1, math.ceil(math.log10(max(positive))))
    return tuple(10.0**exponent for exponent in range(low, high + 1))


def step_line(points: Sequence[tuple[float, float | None]], width: float, x: Scale, y: Scale) -> str:
    """An SVG path that holds each value for `width`, with a gap where there is none."""
    parts: list[str] = []
    is_drawing = False
    for at, value in points:
        if value is None:
            is_drawing = False
            continue
        parts.append(f"{'L' if is_drawing else 'M'}{x(at):g} {y(value):g}H{x(at + width):g}")
        is_drawing = True
    return "".join(parts)


def lanes(spans: Sequence[tuple[float, float]], gap: float = 4.0) -> tuple[int, ...]:
    """A lane for each (start, end), the first where it overlaps none that came before it."""
    ends: list[float] = []
    found = []
    for start, end in spans:
        lane = next((index for index, taken in enumerate(ends) if taken + gap <= start), len(ends))
        ends[lane : lane + 1] = [end]
        found.append(lane)
    return tuple(found)


def spread(positions: Sequence[float], gap: float, low: float, high: float) -> tuple[float, ...]:
    """Ascending positions moved so that neighbours are `gap` apart, within [low, high] as far as there is room."""
    forward: list[float] = []
    for position in positions:
        forward.append(max(position, forward[-1] + gap if forward else low))
    limit = high
    placed: list[float] = []
    for position in reversed(forward):
        placed.append(min(position, limit))
        limit = placed[-1] - gap
    return tuple(round(item, 2) for item in reversed(placed))


def text_width(text: str) -> float:
    return len(text) * LETTER_WIDTH
