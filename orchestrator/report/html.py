"""report.html: everything that was measured, in one file that needs no network and no script."""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from orchestrator.model.outcome import Outcome
from orchestrator.model.plan import Plan
from orchestrator.report import numbers
from orchestrator.report.charts import class_numbers, latency_chart, success_chart
from orchestrator.report.comparison import TITLES, compare_paths, comparison_rows
from orchestrator.report.stage_bars import stage_charts
from orchestrator.report.tables import (
    CAUSES,
    VERDICT_MEANINGS,
    attribution_rows,
    bound_rows,
    broken_checks,
    class_rows,
    objective_state,
)

if TYPE_CHECKING:
    from jinja2 import Template

TEMPLATE = "report.html.j2"


class Html:
    name: ClassVar[str] = "html"
    file: ClassVar[str] = "report.html"

    def render(self, outcome: Outcome, plan: Plan) -> str:
        from orchestrator.metrics.spans import BIN_S

        return _load_template().render(
            outcome=outcome,
            measured=outcome.measurements,
            plan=plan,
            meaning=VERDICT_MEANINGS[outcome.verdict],
            rows=class_rows(outcome, plan),
            bin_s=BIN_S,
            broken=broken_checks(outcome),
            class_numbers=class_numbers(outcome),
            time_charts=(success_chart(outcome, plan), latency_chart(outcome, plan)),
            stage_charts=stage_charts(outcome),
            attribution=attribution_rows(outcome),
            causes=CAUSES,
            bounds=bound_rows(outcome),
            comparison=comparison_rows(compare_paths(outcome, plan)) if outcome.measurements.outages else [],
            comparison_titles=TITLES,
            outcome_names=_outcome_names(outcome),
        )


def _outcome_names(outcome: Outcome) -> list[str]:
    """Every outcome that occurred, `ok` first."""
    names = {name for item in outcome.measurements.classes for name in item.outcomes}
    return sorted(names, key=lambda name: (name != "ok", name))


@cache
def _load_template() -> "Template":
    """Compiled once: a run with many trials renders it for each."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        name.removeprefix("format_"): getattr(numbers, name) for name in dir(numbers) if name.startswith("format_")
    }
    environment.filters["state"] = objective_state
    return environment.get_template(TEMPLATE)
