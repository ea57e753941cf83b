"""What belongs to a window and what to its neighbours; invariants of every loss pattern at any rate."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.metrics.spans import measure_spans, time_availability


def test_failure_at_the_windows_first_instant_belongs_to_it_and_at_its_end_to_the_next() -> None:
    at_s = np.array([1.0, 1.5, 2.0])
    found = measure_spans(at_s, np.array([False, True, False]), since_s=1.0, until_s=2.0, validation_s=0.3)
    assert (found.failed, found.first_loss_s) == (1, 1.0)


def test_good_span_that_reaches_beyond_the_window_does_not_count() -> None:
    at_s = np.array([1.0, 1.5, 2.0, 2.5, 3.0])
    ok = np.array([False, True, True, True, True])
    assert measure_spans(at_s, ok, since_s=0.0, until_s=2.0, validation_s=1.0).sustained_s is None
    assert measure_spans(at_s, ok, since_s=0.0, until_s=2.5, validation_s=1.0).sustained_s == 1.5


def test_time_without_requests_is_no_proof_of_a_good_span() -> None:
    at_s = np.array([1.0, 5.0])
    found = measure_spans(at_s, np.array([False, True]), since_s=0.0, until_s=10.0, validation_s=1.0)
    assert found.sustained_s == 5.0


def test_single_loss_after_the_sustained_span_is_counted_but_does_not_move_it() -> None:
    at_s = np.arange(0.0, 6.0, 0.1)
    ok = np.ones(len(at_s), dtype=bool)
    ok[[10, 50]] = False
    found = measure_spans(at_s, ok, since_s=0.0, until_s=6.0, validation_s=1.0)
    assert found.failed == 2
    assert found.sustained_s == pytest.approx(1.1)


def test_loss_of_the_very_last_request_has_neither_recovery_nor_sustained_span() -> None:
    found = measure_spans(np.array([0.0, 1.0, 2.0]), np.array([True, True, False]), since_s=0.0, until_s=9.0, validation_s=1.0)
    assert (found.first_loss_s, found.first_recovery_s, found.sustained_s) == (2.0, None, None)


def test_bins_begin_at_the_window_and_not_at_the_load() -> None:
    at_s = np.array([1.06, 1.14])  # one bin from 1.05 on, two on a grid from 0
    found = measure_spans(at_s, np.array([True, False]), since_s=1.05, until_s=2.0, validation_s=0.1)
    assert (found.total_outage_s, found.brownout_s) == (0.0, pytest.approx(0.1))


def test_bins_without_requests_are_neither_available_nor_unavailable() -> None:
    assert time_availability(np.array([0.0, 0.9]), np.array([True, False]), duration_s=1.0) == pytest.approx(0.5)


def test_bin_is_available_when_its_success_ratio_suffices() -> None:
    at_s, ok = np.array([0.0, 0.05]), np.array([True, False])
    assert time_availability(at_s, ok, duration_s=1.0) == 0.0
    assert time_availability(at_s, ok, duration_s=1.0, required_ratio=0.5) == 1.0


@settings(deadline=None)
@given(
    good=st.lists(st.booleans(), min_size=1, max_size=150),
    rate=st.sampled_from([3.0, 10.0, 37.0, 200.0]),
    window=st.tuples(st.floats(0, 5), st.floats(0.01, 5)),
    validation_s=st.sampled_from([0.05, 0.4, 1.0]),
)
def test_no_outage_is_longer_than_its_window_and_none_ends_before_it_begins(
    good: list[bool], rate: float, window: tuple[float, float], validation_s: float
) -> None:
    at_s, ok = np.arange(len(good)) / rate, np.array(good)
    since_s, until_s = window[0], window[0] + window[1]
    found = measure_spans(at_s, ok, since_s=since_s, until_s=until_s, validation_s=validation_s)
    inside = (at_s >= since_s) & (at_s < until_s)
    assert found.failed == int((inside & ~ok).sum())
    assert found.total_outage_s + found.brownout_s <= until_s - since_s + 0.1 + 1e-9  # the last bin may be cut by the window
    if found.sustained_s is not None:
        assert found.first_loss_s is not None
        assert since_s <= found.first_loss_s < found.sustained_s
        assert found.sustained_s + validation_s <= until_s
        assert found.sustained_s - found.first_loss_s <= until_s - since_s
        span = (at_s >= found.sustained_s) & (at_s < found.sustained_s + validation_s)
        assert ok[span].all()


@settings(deadline=None)
@given(st.lists(st.booleans(), min_size=1, max_size=100))
def test_time_availability_is_a_ratio_and_one_only_without_a_loss(good: list[bool]) -> None:
    ratio = time_availability(np.arange(len(good)) / 20, np.array(good), duration_s=len(good) / 20)
    assert ratio is not None
    assert 0.0 <= ratio <= 1.0
    assert (ratio == 1.0) == all(good)
