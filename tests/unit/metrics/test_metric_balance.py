"""How evenly pods answered, before anything was disturbed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.metrics.measure import fairness
from orchestrator.model.samples import SAMPLE_DTYPE, Outcome, Samples


def answered(*counts: int, failed: int = 0) -> Samples:
    """So many ok requests of each pod, and failed ones that no pod answered."""
    pods = np.repeat(np.arange(1, len(counts) + 1), counts)
    records = np.zeros(len(pods) + failed, dtype=SAMPLE_DTYPE)
    records["pod_id"][: len(pods)] = pods
    records["outcome"][len(pods) :] = Outcome.RESET
    return Samples(records=records, strings=("", *(f"pod-{number}" for number in range(len(counts)))))


@pytest.mark.parametrize(("counts", "expected"), [((10, 10, 10), 1.0), ((30, 0, 0), 1.0), ((10, 20), 0.9), ((5,), 1.0)])
def test_fairness_is_one_when_each_pod_that_answers_answers_as_many(counts: tuple[int, ...], expected: float) -> None:
    assert fairness(answered(*counts)) == pytest.approx(expected)


def test_failed_requests_do_not_count_and_none_answered_has_no_fairness() -> None:
    assert fairness(answered(10, 10, failed=7)) == pytest.approx(1.0)
    assert fairness(answered(failed=7)) is None


@given(st.lists(st.integers(1, 500), min_size=1, max_size=20))
def test_fairness_lies_between_one_pod_of_n_and_all(counts: list[int]) -> None:
    found = fairness(answered(*counts))
    assert found is not None
    assert 1 / len(counts) - 1e-9 <= found <= 1 + 1e-9
