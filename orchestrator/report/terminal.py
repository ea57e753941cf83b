"""The outcome in a terminal, concise: what was found, what was missed, what cannot be relied on."""

from typing import TYPE_CHECKING

from orchestrator.model.outcome import Outcome, Verdict
from orchestrator.model.plan import Plan
from orchestrator.report.tables import VERDICT_MEANINGS, broken_checks, class_rows, objective_state

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

_STYLES = {Verdict.PASS: "bold white on green", Verdict.FAIL: "bold white on red", Verdict.INVALID: "bold black on yellow"}
_STATE_STYLES = {"met": "green", "missed": "red", "not judged": "yellow"}


def render_terminal(outcome: Outcome, plan: Plan) -> "RenderableType":
    from rich.console import Group
    from rich.text import Text

    verdict = Text.assemble(
        (f" {outcome.verdict.upper()} ", _STYLES[outcome.verdict]),
        f" {outcome.scenario}: {VERDICT_MEANINGS[outcome.verdict]}",
    )
    parts: list[RenderableType] = [verdict, Text(outcome.question, style="italic"), Text("")]
    parts += [Text(f"• {finding}") for finding in outcome.findings]
    parts += [Text(""), _classes(outcome, plan)]
    if outcome.objectives:
        parts.append(_objectives(outcome))
    broken = broken_checks(outcome)
    parts += [Text(f"✗ {check.name}: found {check.found}; limit: {check.limit}", style="yellow") for check in broken]
    if not broken:
        parts.append(Text(f"all {len(outcome.validity)} validity checks passed", style="dim"))
    parts.append(Text(f"run {outcome.run_id}, seed {outcome.seed}, timings {outcome.timings_profile}", style="dim"))
    return Group(*parts)


def _classes(outcome: Outcome, plan: Plan) -> "Table":
    from rich.text import Text

    table = _table("path", "class", "availability", "sent", "failed", "convergence", "p99 before", "during", "after")
    for column in table.columns[2:]:
        column.justify = "right"
    for row in class_rows(outcome, plan):
        cells = (row.path, row.connection_class, row.availability, row.sent, row.failed, row.outage)
        table.add_row(
            *(Text(cell) for cell in (*cells, row.p99_before, row.p99_during, row.p99_after)),
            style="" if row.is_whole else "red",
        )
    return table


def _objectives(outcome: Outcome) -> "Table":
    from rich.text import Text

    table = _table("objective", "", "limit", "measured", "")
    for item in outcome.objectives:
        state = objective_state(item)
        verdict = Text(state + (f": {item.reason}" if item.reason else ""), style=_STATE_STYLES[state])
        table.add_row(*(Text(cell) for cell in (item.subject, item.kind, item.objective, item.measured)), verdict)
    return table


def _table(*titles: str) -> "Table":
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for title in titles:
        table.add_column(title, overflow="fold")
    return table
