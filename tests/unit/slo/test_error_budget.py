"""How much of what an objective allows to fail did fail."""

import pytest

from orchestrator.slo import judge_objective, parse_objective
from tests.unit.judge.outcome_builder import class_measured, measured


@pytest.mark.parametrize(
    ("kind", "text", "used"),
    [
        ("availability", ">= 99%", 1.0),
        ("availability", ">= 99.5%", 2.0),
        ("availability", ">= 90%", 0.1),
        ("time_availability", ">= 90%", 0.5),
        ("availability", ">= 100%", None),
        ("availability", "<= 99%", None),
        ("latency_p99", "<= 1s", None),
        ("lost_requests", "<= 5", None),
    ],
)
def test_budget_is_what_failed_over_what_the_objective_allows(kind: str, text: str, used: float | None) -> None:
    result = judge_objective(parse_objective(kind, text, "nodeport"), measured(class_measured(sent=1000, ok=990)))
    assert result.budget_used_ratio == (None if used is None else pytest.approx(used))
