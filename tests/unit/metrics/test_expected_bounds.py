"""What the plan's own timings let expect of each cause, and whether what was measured fits."""

from dataclasses import replace

import numpy as np
import pytest
from sample_builder import HOST_PORT, KILL, NODEPORT, history

from orchestrator.metrics.bounds import Instants, explain
from orchestrator.metrics.verdicts import detection_bounds, withdrawal_bounds
from orchestrator.model.measurements import Explanation
from orchestrator.model.plan import LoadClassPlan, TimingsPlan


@pytest.mark.parametrize(
    ("haproxy", "earliest_s", "latest_s"),
    [
        # Without `timeout check` an unanswered check lasts `inter`.
        ({"inter_ms": 500, "fall": 2, "connect_timeout_ms": 250}, 1.5, 2.0),
        ({"inter_ms": 500, "fall": 2, "connect_timeout_ms": 250, "check_timeout_ms": 100}, 1.0, 1.5),
        ({"inter_ms": 2000, "fall": 3, "fastinter_ms": 200}, 6.4, 8.4),
        ({"inter_ms": 1000, "fall": 1}, 1.0, 2.0),
        ({}, 10.0, 12.0),
    ],
)
def test_detection_takes_the_checks_their_gaps_and_up_to_one_interval(
    haproxy: dict[str, object], earliest_s: float, latest_s: float
) -> None:
    bounds = detection_bounds(haproxy)
    assert (bounds.earliest_s, bounds.latest_s) == (pytest.approx(earliest_s), pytest.approx(latest_s))


@pytest.mark.parametrize(
    ("options", "load", "earliest_s", "latest_s"),
    [
        ({"on_error": "fail-check"}, {"connections_rps": 100.0, "servers": 3}, 0.25, 2.0),
        ({"on_error": "mark-down"}, {}, 0.25, 2.0),
        # Ten errors, a third of 100 connections a second each: 0.3 s until the tenth is sent, 0.25 s until it has failed.
        ({"on_error": "mark-down"}, {"connections_rps": 100.0, "servers": 3}, 0.25, 0.55),
        ({"on_error": "mark-down", "error_limit": 2}, {"connections_rps": 1.0, "servers": 3}, 0.25, 2.0),
    ],
)
def test_observed_connections_only_make_a_verdict_sooner(
    options: dict[str, object], load: dict[str, float], earliest_s: float, latest_s: float
) -> None:
    haproxy = {"inter_ms": 500, "fall": 2, "connect_timeout_ms": 250, "observe": "layer4", **options}
    bounds = detection_bounds(haproxy, **load)  # type: ignore[arg-type]
    assert (bounds.earliest_s, bounds.latest_s) == (pytest.approx(earliest_s), pytest.approx(latest_s))


@pytest.mark.parametrize("check", ["tcp", "http-healthz", "health-check-node-port", "agent"])
def test_node_that_is_gone_answers_no_kind_of_check(check: str) -> None:
    haproxy = {"inter_ms": 500, "fall": 2, "connect_timeout_ms": 250, "check_timeout_ms": 100}
    assert detection_bounds({**haproxy, "check": check}) == detection_bounds(haproxy)


def test_process_that_is_frozen_is_waited_for_as_long_as_an_answer_may_take() -> None:
    haproxy = {"inter_ms": 500, "fall": 2, "connect_timeout_ms": 250, "check_timeout_ms": 400}
    bounds = detection_bounds(haproxy, answers_late=True)
    assert (bounds.earliest_s, bounds.latest_s) == (pytest.approx(2 * 0.4 + 0.5), pytest.approx(2 * 0.4 + 1.0))


def test_without_checks_nothing_is_ever_detected() -> None:
    bounds = detection_bounds({"checks": False, "inter_ms": 500, "fall": 2})
    assert (bounds.earliest_s, bounds.latest_s) == (None, None)
    assert "for ever" in bounds.why


def test_withdrawal_takes_the_grace_period_from_the_last_heartbeat() -> None:
    values = {
        "node_monitor_grace_period_s": 50.0,
        "node_monitor_period_s": 5.0,
        "lease_renew_s": 10.0,
        "min_sync_period_s": 1.0,
    }
    bounds = withdrawal_bounds(TimingsPlan(profile="kubernetes", values=values))
    assert (bounds.earliest_s, bounds.latest_s) == (40.0, 56.0)


def test_timings_that_the_plan_does_not_name_set_no_bounds() -> None:
    bounds = withdrawal_bounds(TimingsPlan(profile="other", values={}))
    assert (bounds.earliest_s, bounds.latest_s) == (None, None)


@pytest.mark.parametrize(
    ("took_s", "earliest_s", "latest_s", "is_expected"),
    [
        (1.9, 1.5, 2.0, True),
        (2.2, 1.5, 2.0, True),
        (2.3, 1.5, 2.0, False),
        (1.2, 1.5, 2.0, False),
        (16.0, 15.0, None, True),
        (3.0, None, None, None),
        (None, 1.5, 2.0, None),
    ],
)
def test_measured_duration_fits_its_bounds_within_the_tolerance(
    took_s: float | None, earliest_s: float | None, latest_s: float | None, is_expected: bool | None
) -> None:
    found = Explanation(cause="entry", lost=1, sent=2, took_s=took_s, earliest_s=earliest_s, latest_s=latest_s, why="")
    assert found.is_expected is is_expected


@pytest.mark.parametrize(
    ("kind", "check", "latest_s"),
    [("node-kill", "tcp", 1.5), ("node-pause", "health-check-node-port", 1.8), ("node-pause", "tcp", None)],
)
def test_entry_by_a_node_ends_with_the_verdict_that_its_check_can_give(kind: str, check: str, latest_s: float | None) -> None:
    haproxy = {"inter_ms": 500, "fall": 2, "connect_timeout_ms": 250, "check_timeout_ms": 400, "check": check}
    (found,) = explain(
        {"entry": 3},
        replace(NODEPORT, settings={"haproxy": haproxy}),
        replace(KILL, kind=kind),
        LoadClassPlan(path="nodeport", connection_class="new", url="", rate_rps=100.0, connections=1),
        history(),
        TimingsPlan(profile="other", values={}),
        np.array([10.0, 11.0]),
        Instants(effective_s=10.0, until_s=20.0, detected_s=None, programmed_s=None, sustained_s=None),
    )
    assert found.latest_s == (None if latest_s is None else pytest.approx(latest_s))
    assert found.why


@pytest.mark.parametrize(("for_s", "away"), [(15.0, "away for 15 s"), (None, "does not come back")])
def test_entry_by_a_node_that_the_client_calls_itself_lasts_at_least_as_long_as_it_is_away(
    for_s: float | None, away: str
) -> None:
    load = LoadClassPlan(path="hostport", connection_class="new", url="http://10.100.0.2:8000/", rate_rps=10.0, connections=1)
    instants = Instants(effective_s=10.0, until_s=40.0, detected_s=None, programmed_s=15.0, sustained_s=27.0)
    step, timings = replace(KILL, for_s=for_s), TimingsPlan(profile="fast", values={})
    (found,) = explain({"entry": 3}, HOST_PORT, step, load, history(), timings, np.arange(10.0, 40.0), instants)
    assert (found.earliest_s, found.latest_s, found.took_s) == (for_s, None, 17.0)
    assert away in found.why
