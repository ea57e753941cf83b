"""Worse than a baseline: by enough to matter, and more surely than chance."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.metrics.regression import compare_with_baseline, holm, smallest_p_value
from orchestrator.model.measurements import Measurements
from orchestrator.model.trials import Change, Comparison
from tests.unit.judge.outcome_builder import class_measured, measured, outage


def trials(convergences_s: Sequence[float | None], *, ok: int = 990) -> list[Measurements]:
    return [measured(class_measured(ok=ok), outages=(outage(convergence_s=value),)) for value in convergences_s]


def compared(before: list[Measurements], after: list[Measurements], metric: str = "convergence") -> Comparison:
    return next(item for item in compare_with_baseline(before, after, seed=1) if item.metric == metric)


STEADY = [5.0, 5.1, 5.2, 5.3, 5.4, 5.5, 5.6, 5.7]


def test_same_trials_are_no_regression() -> None:
    assert compared(trials(STEADY), trials(STEADY)).change is Change.NONE


def test_clearly_worse_is_a_regression() -> None:
    found = compared(trials(STEADY), trials([value + 2 for value in STEADY]))
    assert found.change is Change.REGRESSION
    assert found.worsening == pytest.approx(2.0)
    assert found.p_value <= 0.05


def test_clearly_better_is_none() -> None:
    found = compared(trials(STEADY), trials([value - 2 for value in STEADY]))
    assert (found.change, found.worsening < 0) == (Change.NONE, True)


def test_sure_but_too_small_to_matter_is_none() -> None:
    tight = [5.0, 5.01, 5.02, 5.03, 5.04, 5.05, 5.06, 5.07]
    found = compared(trials(tight), trials([value + 0.2 for value in tight]))
    assert found.p_value <= 0.05
    assert found.minimum_effect == pytest.approx(0.5035)
    assert found.change is Change.NONE


def test_great_but_as_likely_by_chance_is_none() -> None:
    wild = [1.0, 20.0, 2.0, 19.0, 3.0, 18.0, 4.0, 17.0]
    found = compared(trials(wild), trials([2.0, 21.0, 3.0, 20.0, 14.0, 19.0, 15.0, 18.0]))
    assert found.worsening > found.minimum_effect
    assert found.change is Change.NONE


def test_too_few_trials_to_be_sure_are_inconclusive() -> None:
    assert compared(trials(STEADY[:3]), trials([50.0, 51.0, 52.0])).change is Change.INCONCLUSIVE
    assert compared(trials([5.0]), trials([50.0])).change is Change.INCONCLUSIVE


def test_path_that_no_longer_converges_is_a_regression() -> None:
    assert compared(trials(STEADY), trials([None] * 8)).change is Change.REGRESSION


def test_lower_availability_is_worse_and_measured_by_what_failed() -> None:
    found = compared(trials(STEADY, ok=990), trials(STEADY, ok=980), "availability")
    assert found.worsening == pytest.approx(0.01)
    assert found.minimum_effect == pytest.approx(0.001)
    assert found.change is Change.REGRESSION


def test_what_only_one_side_measured_is_not_compared() -> None:
    assert compare_with_baseline([measured(class_measured("elsewhere"))], trials(STEADY), seed=1) == ()


def test_holm_corrects_step_by_step_in_the_given_order() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), max_size=20))
def test_holm_never_lowers_a_p_value_nor_changes_their_order(p_values: list[float]) -> None:
    corrected = holm(p_values)
    assert all(before <= after <= 1 for before, after in zip(p_values, corrected, strict=True))
    pairs = sorted(zip(p_values, corrected, strict=True))
    assert [after for _, after in pairs] == sorted(after for _, after in pairs)


def test_smallest_p_value_is_one_in_all_dealings() -> None:
    assert smallest_p_value(3, 3) == pytest.approx(1 / 20)
    assert smallest_p_value(8, 8) == pytest.approx(1 / 10_000)
