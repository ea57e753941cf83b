"""When a step began and ended, and up to where its losses are its own."""

import pytest

from orchestrator.metrics.instants import measure_steps, window_of
from tests.unit.metrics.sample_builder import event, history, real_plan, step_measured


def test_step_is_measured_by_the_instants_of_its_evidence() -> None:
    told = history(
        event(10.004, "orchestrator", "step-effective", step="1-node-kill", evidence="eth0 is down"),
        event(25.5, "orchestrator", "step-healed", step="1-node-kill"),
        event(26.0, "orchestrator", "step-done", step="1-node-kill"),
    )
    kill = measure_steps(real_plan(), told)[0]
    assert (kill.step, kill.planned_s, kill.effective_s) == ("1-node-kill", 10.0, pytest.approx(10.004))
    assert kill.deviation_ms == pytest.approx(4.0)
    assert (kill.healed_s, kill.done_s, kill.evidence, kill.failure) == (25.5, 26.0, "eth0 is down", None)


def test_step_without_evidence_was_not_effective() -> None:
    for step in measure_steps(real_plan(), history()):
        assert (step.effective_s, step.deviation_ms, step.done_s, step.evidence) == (None, None, None, "")


def test_failed_step_tells_its_error() -> None:
    told = history(event(10.0, "orchestrator", "step-failed", step="1-node-kill", error="no such container"))
    assert measure_steps(real_plan(), told)[0].failure == "no such container"


def test_rescale_that_takes_its_time_does_not_deviate() -> None:
    scale = real_plan().timeline[1]
    told = history(event(39.0, "orchestrator", "step-effective", step=scale.step))
    assert measure_steps(real_plan(), told)[1].deviation_ms is None


def test_window_ends_with_the_next_step() -> None:
    steps = (step_measured(effective_s=10.1), step_measured("2", planned_s=20.0, effective_s=20.2))
    assert window_of(steps[0], steps, 60.0) == (10.1, 20.2)


def test_last_window_ends_with_the_load() -> None:
    steps = (step_measured(effective_s=10.1), step_measured("2", planned_s=20.0, effective_s=20.2))
    assert window_of(steps[1], steps, 60.0) == (20.2, 60.0)


def test_rescale_ends_the_window_before_it_when_it_is_asked_for() -> None:
    steps = (step_measured(), step_measured("2", kind="scale", planned_s=35.0, effective_s=39.0))
    assert window_of(steps[0], steps, 60.0) == (10.0, 35.0)


def test_step_without_evidence_stands_at_its_planned_instant() -> None:
    steps = (step_measured(), step_measured("2", planned_s=30.0, effective_s=None))
    assert window_of(steps[0], steps, 60.0) == (10.0, 30.0)
