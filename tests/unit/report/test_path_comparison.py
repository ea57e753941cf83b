"""The paths of a run in one table: what each kept, lost and used."""

from dataclasses import replace

import pytest

from orchestrator.model.measurements import Measurements, SourceSeen
from orchestrator.model.outcome import Outcome
from orchestrator.model.plan import Plan
from orchestrator.report.comparison import TITLES, PathFacts, compare_paths, comparison_rows
from orchestrator.report.html import Html
from orchestrator.report.markdown import Markdown
from tests.unit.judge.outcome_builder import class_measured, measured, outage, step_taken
from tests.unit.judge.test_judge_verdicts import judged
from tests.unit.metrics.sample_builder import real_plan


def outcome_of(found: Measurements) -> tuple[Outcome, Plan]:
    plan = replace(real_plan(), slos=())
    return judged(plan, found), plan


def facts(path: str, **changes: object) -> PathFacts:
    """Of one path, whose fault was effective at 10 s and healed at 25 s."""
    share = {"node-1": 0.5, "node-2": 0.495, "node-3": 0.005}
    classes = (replace(class_measured("nodeport"), share_by_node=share), class_measured("static-route", ok=0))
    found = replace(measured(), classes=classes, steps=(step_taken(),), **changes)  # type: ignore[arg-type]
    outcome, plan = outcome_of(found)
    (wanted,) = [item for item in compare_paths(outcome, plan) if item.path == path]
    return wanted


@pytest.mark.parametrize(
    ("convergence_s", "survives"),
    [(5.0, True), (14.9, True), (15.5, False), (None, False)],
)
def test_a_path_survives_when_it_served_before_what_was_struck_came_back(convergence_s: float | None, survives: bool) -> None:
    assert facts("nodeport", outages=(outage(convergence_s=convergence_s),)).survives is survives


def test_a_path_that_lost_nothing_survives() -> None:
    assert facts("nodeport", outages=(replace(outage(), failed=0, convergence_s=0.0),)).survives is True


def test_the_worse_class_counts_and_not_to_converge_is_worst() -> None:
    outages = (outage("new", convergence_s=5.0), outage("keepalive", convergence_s=None))
    found = facts("nodeport", outages=outages)
    assert found.outage is not None
    assert found.outage.connection_class == "keepalive"


def test_nodes_that_hardly_answered_are_not_counted_as_used() -> None:
    found = facts("nodeport", outages=(outage(),))
    assert (found.nodes_used, found.nodes) == (2, 3)


def test_a_path_without_an_answer_is_not_reachable() -> None:
    found = facts("static-route", outages=(outage(path="static-route"),))
    assert found.is_reachable is False
    assert found.nodes_used == 0


def test_the_source_address_is_as_measured() -> None:
    seen = SourceSeen(path="nodeport", requests=9, share_by_owner={"node": 1.0}, addresses=("10.100.0.2",), source_kept=False)
    assert facts("nodeport", sources=(seen,), outages=(outage(),)).source_kept is False
    assert facts("nodeport", outages=(outage(),)).source_kept is None


def test_what_was_not_measured_is_a_dash() -> None:
    (row,) = comparison_rows([facts("static-route", outages=())])
    assert row == ("static-route", "no", "–", "–", "–", "–", "–")


@pytest.mark.parametrize(
    ("bound_s", "why", "shown"),
    [
        (5.6, "the last rule", "5.6 s"),
        (0.0, "not in the way", "0 s"),
        (None, "HAProxy checks nothing", "none: HAProxy checks nothing"),
        (None, "", "–"),
    ],
)
def test_a_path_without_a_bound_says_why(bound_s: float | None, why: str, shown: str) -> None:
    (row,) = comparison_rows([facts("nodeport", outages=(replace(outage(), bound_s=bound_s, bound_why=why),))])
    assert row[TITLES.index("bound")] == shown


def test_reports_show_the_table_where_there_was_a_fault() -> None:
    outcome, plan = outcome_of(replace(measured(), steps=(step_taken(),), outages=(outage(),)))
    assert "survives the fault" in Markdown().render(outcome, plan)
    assert "The paths beside each other" in Html().render(outcome, plan)
    calm, plan = outcome_of(replace(measured(), steps=(), outages=()))
    assert "survives the fault" not in Markdown().render(calm, plan)
    assert "The paths beside each other" not in Html().render(calm, plan)
