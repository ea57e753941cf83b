"""Counts of one class of the load, as reported while it runs and at its end."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(slots=True, kw_only=True)
class Tally:
    """Changes with every request. `sent` counts arrivals; in the end it equals `recorded`, or samples are missing."""

    path: str
    connection_class: str
    sent: int = 0
    recorded: int = 0
    ok: int = 0
    in_flight: int = 0

    def render_progress(self) -> dict[str, object]:
        return {
            "path": self.path,
            "class": self.connection_class,
            "sent": self.sent,
            "ok": self.ok,
            "failed": self.recorded - self.ok,
            "in_flight": self.in_flight,
        }


def render_totals(tallies: Iterable[Tally], *, bound_reached: bool) -> dict[str, object]:
    """The content of totals.json and of `load-finished`."""
    classes = [
        {"path": item.path, "class": item.connection_class, "sent": item.sent, "recorded": item.recorded, "ok": item.ok}
        for item in tallies
    ]
    return {"classes": classes, "bound_reached": bound_reached}
