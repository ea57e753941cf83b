"""Latency counts from the intended instant, and a time-out counts with what was waited."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.metrics.latency import HIGHEST_US, measure_latency
from orchestrator.model.samples import Outcome
from tests.unit.metrics.sample_builder import Request, samples


def test_latency_counts_from_the_intended_instant_and_not_from_the_late_sending() -> None:
    found = measure_latency(samples(Request(at_s=1.0, sent_after_ms=90.0, took_ms=100.0)))
    assert found is not None
    assert found.max_ms == pytest.approx(100.0, rel=0.001)


@pytest.mark.parametrize("outcome", [Outcome.CONNECT_TIMEOUT, Outcome.RESPONSE_TIMEOUT])
def test_time_outs_count_with_the_time_that_was_waited(outcome: Outcome) -> None:
    answered = [Request(at_s=number / 10) for number in range(8)]
    found = measure_latency(samples(*answered, *(Request(at_s=1.0, outcome=outcome, took_ms=1000.0) for _ in range(2))))
    assert found is not None
    assert (found.count, found.censored) == (10, 2)
    assert found.p50_ms == pytest.approx(2.0, rel=0.001)
    assert found.p90_ms == pytest.approx(1000.0, rel=0.001)


def test_failures_without_a_response_have_no_latency() -> None:
    assert measure_latency(samples(Request(at_s=1.0, outcome=Outcome.REFUSED), Request(at_s=2.0, outcome=Outcome.RESET))) is None
    assert measure_latency(samples()) is None


def test_instant_failures_do_not_make_the_percentiles_better() -> None:
    refused = [Request(at_s=1.0, outcome=Outcome.REFUSED, took_ms=0.01) for _ in range(99)]
    found = measure_latency(samples(*refused, Request(at_s=2.0, took_ms=50.0)))
    assert found is not None
    assert (found.count, found.p50_ms) == (1, pytest.approx(50.0, rel=0.001))


def test_response_beyond_the_histogram_counts_as_its_highest_value() -> None:
    found = measure_latency(samples(Request(at_s=0.0, took_ms=HIGHEST_US / 1000 * 2)))
    assert found is not None
    assert found.max_ms == pytest.approx(HIGHEST_US / 1000, rel=0.001)


@settings(deadline=None)
@given(st.lists(st.floats(min_value=0.0, max_value=60_000.0), min_size=1, max_size=60))
def test_percentiles_are_ordered_and_within_three_digits_of_the_true_maximum(took_ms: list[float]) -> None:
    found = measure_latency(samples(*(Request(at_s=0.0, took_ms=value) for value in took_ms)))
    assert found is not None
    assert found.p50_ms <= found.p90_ms <= found.p99_ms <= found.p999_ms <= found.max_ms
    assert found.max_ms == pytest.approx(max(took_ms), rel=0.001, abs=0.0011)
