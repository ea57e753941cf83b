"""What several trials say together, and when they are too few to say anything."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.metrics.trials import MINIMUM_TRIALS, estimate, pair_paths, summarise_trials
from orchestrator.model.measurements import Measurements
from tests.unit.judge.outcome_builder import class_measured, measured, outage


def trial(ok: int, convergence_s: float | None = 5.0) -> Measurements:
    """One path and class that lost some of 1,000 requests to one fault."""
    return measured(class_measured(ok=ok), outages=(outage(convergence_s=convergence_s),))


def test_median_has_an_interval_that_holds_it() -> None:
    trials = [trial(ok) for ok in (950, 960, 970, 980, 990, 999)]
    found = {item.metric: item.estimate for item in summarise_trials(trials, seed=1)}
    availability = found["availability"]
    assert availability.median == pytest.approx(0.975)
    assert availability.low is not None
    assert availability.high is not None
    assert 0.95 <= availability.low < 0.975 < availability.high <= 0.999
    assert found["failed"].median == pytest.approx(25)
    assert set(found) == {"availability", "failed", "convergence", "latency_p99"}


def test_too_few_trials_are_inconclusive_but_have_a_median() -> None:
    found = estimate(range(1, MINIMUM_TRIALS), seed=1)
    assert (found.median, found.is_conclusive) == (3.0, False)
    assert estimate(range(MINIMUM_TRIALS), seed=1).is_conclusive


def test_trial_that_did_not_converge_counts_as_infinite_and_bounds_nothing() -> None:
    trials = [trial(900, convergence_s=value) for value in (4.0, 5.0, 6.0, 7.0, 8.0, None)]
    convergence = next(item.estimate for item in summarise_trials(trials, seed=1) if item.metric == "convergence")
    assert (convergence.count, convergence.unbounded, convergence.median) == (6, 1, 6.5)
    assert not convergence.is_conclusive


def test_metric_that_no_trial_measured_is_left_out() -> None:
    without_faults = [measured(class_measured()) for _ in range(3)]
    assert "convergence" not in {item.metric for item in summarise_trials(without_faults, seed=1)}
    assert summarise_trials((), seed=1) == ()


def test_difference_between_paths_is_taken_trial_by_trial() -> None:
    """Both vary by far more than they differ; the pairs show it nonetheless."""
    trials = [
        measured(class_measured("static-route", ok=ok - 10), class_measured("nodeport", ok=ok))
        for ok in (500, 600, 700, 800, 900, 990)
    ]
    found = next(item for item in pair_paths(trials, "static-route", "nodeport", seed=1) if item.metric == "failed")
    assert (found.estimate.low, found.estimate.median, found.estimate.high) == (10.0, 10.0, 10.0)


def test_pairs_without_a_finite_number_on_both_sides_are_left_out() -> None:
    def both(convergence_s: float | None) -> Measurements:
        return measured(
            class_measured("static-route"),
            class_measured("nodeport"),
            outages=(outage(path="static-route", convergence_s=convergence_s), outage(path="nodeport", convergence_s=1.0)),
        )

    found = pair_paths([both(15.0), both(None), both(16.0)], "static-route", "nodeport", seed=1)
    assert next(item.estimate.count for item in found if item.metric == "convergence") == 2
    assert pair_paths([both(15.0)], "static-route", "elsewhere", seed=1) == ()


def test_path_without_answers_has_no_latency_to_summarise() -> None:
    silent = replace(class_measured(ok=0), latency=None)
    assert "latency_p99" not in {item.metric for item in summarise_trials([measured(silent)], seed=1)}


@settings(deadline=None, max_examples=30)
@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=12), st.integers(0, 2**32 - 1))
def test_interval_lies_within_the_values_and_is_the_same_for_a_seed(values: list[float], seed: int) -> None:
    found = estimate(values, seed=seed)
    assert found == estimate(values, seed=seed)
    assert found.median == pytest.approx(float(np.median(values)))
    if found.low is not None and found.high is not None:
        assert min(values) <= found.low <= found.high <= max(values)
        assert math.isfinite(found.high)
