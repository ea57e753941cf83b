"""The outcome in a terminal, concise: what was found, what was missed, what cannot be relied on."""

from typing import TYPE_CHECKING

from orchestrator.model.outcome import Outcome, Verdict
from orchestrator.model.plan import Plan
from orchestrator.report.numbers import format_budget
from orchestrator.report.tables import VERDICT_MEANINGS, broken_checks, class_rows, objective_state

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
    from rich.table import Table

_STYLES = {Verdict.PASS: "bold white on green", Verdict.FAIL: "bold white on red", Verdict.INVALID: "bold black on yellow"}
_STATE_STYLES = {"met": "green", "missed": "red", "not judged": "yellow"}
WIDE = 112
"""Columns from which on latencies stand beside the rest; narrower terminals would fold every cell."""


def render_terminal(outcome: Outcome, plan: Plan) -> "RenderableType":
    return _Report(outcome, plan)


class _Report:
    """Asks for the terminal's width when it is printed."""

    def __init__(self, outcome: Outcome, plan: Plan) -> None:
        self._outcome = outcome
        self._plan = plan

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "RenderResult":
        from rich.text import Text

        outcome = self._outcome
        yield Text.assemble(
            (f" {outcome.verdict.upper()} ", _STYLES[outcome.verdict]),
            f" {outcome.scenario}: {VERDICT_MEANINGS[outcome.verdict]}",
        )
        yield Text(outcome.question, style="italic")
        yield Text("")
        yield _findings(outcome)
        yield Text("")
        yield _classes(outcome, self._plan, is_wide=options.max_width >= WIDE)
        if outcome.objectives:
            yield _objectives(outcome)
        broken = broken_checks(outcome)
        for check in broken:
            yield Text(f"✗ {check.name}: found {check.found}; limit: {check.limit}", style="yellow")
        if not broken:
            yield Text(f"all {len(outcome.validity)} validity checks passed", style="dim")
        yield Text(f"run {outcome.run_id}, seed {outcome.seed}, timings {outcome.timings_profile}", style="dim")


def _findings(outcome: Outcome) -> "Table":
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 1))
    for finding in outcome.findings:
        path, colon, answer = finding.partition(": ")
        table.add_row("•", Text.assemble((path, "bold"), colon, answer))
    return table


def _classes(outcome: Outcome, plan: Plan, *, is_wide: bool) -> "Table":
    from rich.text import Text

    wide = ("p99 before", "during", "after", "sent") if is_wide else ()
    table = _table("path", "class", "availability", "failed", "convergence", *wide)
    for column in table.columns[2:]:
        column.justify, column.no_wrap = "right", True
    for row in class_rows(outcome, plan):
        cells = [row.path, row.connection_class, row.availability, row.failed, row.outage]
        if is_wide:
            cells += [row.p99_before, row.p99_during, row.p99_after, row.sent]
        table.add_row(*map(Text, cells), style="" if row.is_whole else "red")
    return table


def _objectives(outcome: Outcome) -> "Table":
    from rich.text import Text

    table = _table("objective", "", "limit", "measured", "budget", "")
    for item in outcome.objectives:
        state = objective_state(item)
        budget = "" if item.budget_used_ratio is None else format_budget(item.budget_used_ratio)
        verdict = Text(state + (f": {item.reason}" if item.reason else ""), style=_STATE_STYLES[state])
        table.add_row(*(Text(cell) for cell in (item.subject, item.kind, item.objective, item.measured, budget)), verdict)
    return table


def _table(*titles: str) -> "Table":
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for title in titles:
        table.add_column(title, overflow="fold")
    return table
