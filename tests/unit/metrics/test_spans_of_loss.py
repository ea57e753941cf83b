"""Loss and recovery from hand-made instants: one request every 0.1 s unless the test says otherwise."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.metrics.spans import Spans, measure_spans, time_availability


def spans(good: str, *, since_s: float = 0.0, until_s: float | None = None, validation_s: float = 0.35) -> Spans:
    """`good`: a character per request, `.` ok and `x` failed."""
    at_s = np.arange(len(good)) / 10 + 0.05
    ok = np.array([item == "." for item in good])
    return measure_spans(at_s, ok, since_s=since_s, until_s=until_s or len(good) / 10, validation_s=validation_s)


def test_nothing_lost_has_no_instants() -> None:
    found = spans("..........")
    assert (found.first_loss_s, found.first_recovery_s, found.sustained_s, found.failed) == (None, None, None, 0)


def test_outage_runs_from_first_loss_to_the_first_sustained_span() -> None:
    found = spans("..xxx.......")
    assert found.first_loss_s == pytest.approx(0.25)
    assert found.first_recovery_s == pytest.approx(0.55)
    assert found.sustained_s == pytest.approx(0.55)
    assert found.total_outage_s == pytest.approx(0.3)
    assert found.brownout_s == 0.0


def test_flapping_is_not_sustained_until_it_stops() -> None:
    found = spans("..x.x.x.......")
    assert found.first_recovery_s == pytest.approx(0.35)
    assert found.sustained_s == pytest.approx(0.75)


def test_path_that_never_returns_has_not_converged() -> None:
    assert spans("....xxxxxx").sustained_s is None


def test_good_span_shorter_than_the_validation_time_is_not_sustained() -> None:
    assert spans("..xxx...").sustained_s is None


def test_what_lies_outside_the_window_belongs_to_others() -> None:
    found = spans("xx........xx", since_s=0.2, until_s=1.0)
    assert found.failed == 0


def test_bin_with_both_is_brown_out_and_not_total_outage() -> None:
    at_s = np.array([0.01, 0.05, 0.11, 0.15, 0.21, 0.25])
    ok = np.array([True, True, True, False, False, False])
    found = measure_spans(at_s, ok, since_s=0.0, until_s=0.3, validation_s=0.1)
    assert found.total_outage_s == pytest.approx(0.1)
    assert found.brownout_s == pytest.approx(0.1)


@given(st.text(alphabet=".x", min_size=1, max_size=200))
def test_instants_are_ordered_and_durations_fit_the_window(good: str) -> None:
    found = spans(good)
    assert found.failed == good.count("x")
    assert found.total_outage_s + found.brownout_s <= len(good) / 10 + 1e-9
    if found.sustained_s is not None:
        assert found.first_loss_s is not None
        assert found.first_recovery_s is not None
        assert found.first_loss_s < found.first_recovery_s <= found.sustained_s
        after = good[round(found.sustained_s * 10 - 0.5) :][:3]
        assert "x" not in after


def test_time_availability_counts_bins_in_which_every_request_was_ok() -> None:
    at_s = np.array([0.05, 0.15, 0.25, 0.26])
    assert time_availability(at_s, np.array([True, True, True, False]), duration_s=0.3) == pytest.approx(2 / 3)
    assert time_availability(np.array([]), np.array([], dtype=bool), duration_s=1.0) is None
