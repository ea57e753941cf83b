"""What theory says of one cause of loss."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """Seconds from the fault to the end of a cause; None: no such limit follows from the plan."""

    earliest_s: float | None
    latest_s: float | None
    why: str
