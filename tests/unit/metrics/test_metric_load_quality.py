"""How well the load was sent, by the sender's own count and the control probe."""

from dataclasses import replace

import pytest

from orchestrator.metrics.quality import measure_load
from orchestrator.model.measurements import LoadQuality
from orchestrator.model.samples import Outcome
from tests.unit.metrics.sample_builder import Request, real_plan, samples


def quality(*requests: Request, totals: dict[str, object] | None = None) -> LoadQuality:
    plan = real_plan()
    classes = tuple(item for item in plan.load.classes if (item.path, item.connection_class) == ("nodeport", "new"))
    return measure_load(replace(plan, load=replace(plan.load, classes=classes)), samples(*requests), totals)


def test_lateness_is_sent_minus_intended() -> None:
    (found,) = quality(*(Request(at_s=number, sent_after_ms=number) for number in range(1, 101))).classes
    assert (found.lateness_p50_ms, found.lateness_max_ms) == (pytest.approx(50.5), pytest.approx(100.0))
    assert 98.9 < found.lateness_p99_ms < 100.0


def test_lateness_ignores_requests_that_were_never_sent() -> None:
    unsent = Request(at_s=2.0, outcome=Outcome.OTHER, sent_after_ms=None)
    (found,) = quality(Request(at_s=1.0, sent_after_ms=3.0), unsent).classes
    assert (found.recorded, found.lateness_max_ms) == (2, pytest.approx(3.0))


def test_sent_is_the_senders_own_count_and_recorded_is_ours() -> None:
    totals = {"classes": [{"path": "nodeport", "class": "new", "sent": 7}, {"path": "nodeport", "class": "keepalive", "sent": 9}]}
    (found,) = quality(Request(at_s=1.0), totals=totals).classes
    assert (found.sent, found.recorded) == (7, 1)


def test_sender_without_totals_was_killed() -> None:
    assert quality(totals=None).complete is False
    assert quality(totals={"classes": [], "bound_reached": False}).complete is True


def test_reached_bound_is_told_by_the_sender() -> None:
    assert quality(totals={"classes": [], "bound_reached": True}).bound_reached is True
    assert quality(totals={"classes": []}).bound_reached is False


def test_control_probe_counts_its_own_path_alone() -> None:
    failed = Request(at_s=2.0, path="control", outcome=Outcome.RESET)
    found = quality(Request(at_s=1.0, path="control", took_ms=4.0), failed, Request(at_s=3.0, outcome=Outcome.RESET))
    assert (found.control_sent, found.control_failed) == (2, 1)
    assert found.control_p99_ms == pytest.approx(4.0, rel=0.001)


def test_control_probe_that_never_answered_has_no_latency() -> None:
    assert quality().control_p99_ms is None
