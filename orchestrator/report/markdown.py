"""summary.md: the outcome on one screen, for the job summary of a CI system."""

from collections.abc import Iterable, Sequence
from typing import ClassVar

from orchestrator.model.outcome import Outcome, Verdict
from orchestrator.model.plan import Plan
from orchestrator.report.comparison import TITLES, compare_paths, comparison_rows
from orchestrator.report.numbers import format_share
from orchestrator.report.tables import VERDICT_MEANINGS, broken_checks, class_rows, objective_state

_MARKS = {Verdict.PASS: "✅", Verdict.FAIL: "❌", Verdict.INVALID: "⚠️"}
_STATES = {"met": "✅ met", "missed": "❌ missed", "not judged": "⚠️ not judged"}


class Markdown:
    name: ClassVar[str] = "markdown"
    file: ClassVar[str] = "summary.md"

    def render(self, outcome: Outcome, plan: Plan) -> str:
        blocks = [
            f"## {_MARKS[outcome.verdict]} {outcome.verdict.upper()} · {_escape(outcome.scenario)}",
            f"*{_escape(outcome.question)}*",
            f"Verdict: {VERDICT_MEANINGS[outcome.verdict]}.",
            "\n".join(f"- {_escape(finding)}" for finding in outcome.findings),
            _classes(outcome, plan),
            _comparison(outcome, plan),
            _sources(outcome),
            _objectives(outcome),
            _broken(outcome),
            f"Run `{outcome.run_id}`, seed {outcome.seed}, timings `{outcome.timings_profile}`. ± is the requests' spacing.",
        ]
        return "\n\n".join(block for block in blocks if block) + "\n"


def _classes(outcome: Outcome, plan: Plan) -> str:
    titles = ("path", "class", "availability", "sent", "failed", "convergence", "p99 before", "during", "after")
    rows = [
        (
            row.path,
            row.connection_class,
            row.availability,
            row.sent,
            row.failed,
            row.outage,
            row.p99_before,
            row.p99_during,
            row.p99_after,
        )
        for row in class_rows(outcome, plan)
    ]
    return _table(titles, rows, numbers_from=2)


def _comparison(outcome: Outcome, plan: Plan) -> str:
    if not outcome.measurements.outages:
        return ""
    rows = comparison_rows(compare_paths(outcome, plan))
    return "### Through the first fault\n\n" + _table(TITLES, rows, numbers_from=len(TITLES))


def _sources(outcome: Outcome) -> str:
    rows = [
        (
            item.path,
            "yes" if item.source_kept else "no",
            ", ".join(f"{owner} {format_share(ratio)}" for owner, ratio in item.share_by_owner.items()),
        )
        for item in outcome.measurements.sources
        if item.requests
    ]
    titles = ("path", "client's address kept", "seen by pods")
    return "### Source address\n\n" + _table(titles, rows, numbers_from=3) if rows else ""


def _objectives(outcome: Outcome) -> str:
    if not outcome.objectives:
        return ""
    rows = [
        (
            item.subject,
            item.kind,
            item.objective,
            item.measured,
            _STATES[objective_state(item)] + (f": {item.reason}" * bool(item.reason)),
        )
        for item in outcome.objectives
    ]
    return "### Objectives\n\n" + _table(("subject", "objective", "limit", "measured", ""), rows, numbers_from=5)


def _broken(outcome: Outcome) -> str:
    broken = broken_checks(outcome)
    if not broken:
        return f"All {len(outcome.validity)} validity checks passed."
    rows = [(check.name, check.found, check.limit) for check in broken]
    return "### Broken validity checks\n\n" + _table(("check", "found", "limit"), rows, numbers_from=3)


def _table(titles: Sequence[str], rows: Iterable[Sequence[str]], *, numbers_from: int) -> str:
    """Columns from `numbers_from` on are aligned right."""
    rule = ["---" if index < numbers_from else "---:" for index in range(len(titles))]
    lines = [titles, rule, *([_escape(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _escape(text: str) -> str:
    """Text of the user or of a process, which must not become a cell border, markup or HTML."""
    for character in "\\`*_[]<>|":
        text = text.replace(character, f"\\{character}")
    return " ".join(text.split())
