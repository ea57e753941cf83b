"""When a step began and ended, and up to where its losses are its own."""

from dataclasses import replace
from typing import cast

import pytest

from orchestrator.contracts import World
from orchestrator.metrics.instants import measure_steps, measure_stop, settle_instants, window_of, with_companions
from orchestrator.model.history import Event
from orchestrator.model.plan import TriggerPlan
from orchestrator.runner.telling import tell
from tests.unit.metrics.sample_builder import START_NS, event, history, real_plan, step_measured


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


def test_step_is_as_late_and_as_uncertain_as_the_worst_of_its_strikes_that_init_tells_of() -> None:
    def strike(
        at_s: float, late_ms: float, known_within_ms: float, *, container: str = "node-1", id: str = "1-node-kill"
    ) -> Event:
        at_mono_ns = START_NS + round(at_s * 1e9)
        fields = {"id": id, "at_mono_ns": at_mono_ns, "known_within_ms": known_within_ms}
        return event(at_s + late_ms / 1000, f"{container}/init", "fault-effective", **fields)

    told = history(
        strike(10, 0.5, 0.2),
        strike(12, 4.0, 0.1),
        strike(10, 50.0, 50.0, id="another"),
        strike(10, 50.0, 50.0, container="node-2"),
        event(10.1, "orchestrator", "step-effective", step="1-node-kill"),
    )
    kill, scale, *_ = measure_steps(real_plan(), told)
    assert kill.late_ms == pytest.approx(4.0)
    assert kill.known_within_ms == 0.2
    assert (scale.late_ms, scale.known_within_ms) == (None, None)


def test_step_without_evidence_was_not_effective() -> None:
    for step in measure_steps(real_plan(), history()):
        assert (step.effective_s, step.deviation_ms, step.done_s, step.evidence) == (None, None, None, "")


def test_failed_step_tells_its_error_as_the_runner_has_told_it() -> None:
    step, told = real_plan().timeline[0], []

    class Told:
        def emit(self, name: str, *, at_mono_ns: int | None = None, **fields: object) -> None:
            told.append(Event(t_mono_ns=START_NS, source="orchestrator", event=name, fields=fields))

    tell(cast(World, Told()), "step-failed", step, evidence="arm: no such container")
    assert measure_steps(real_plan(), history(*told))[0].failure == "arm: no such container"


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


def test_step_that_waited_for_an_event_has_the_instant_that_it_was_given() -> None:
    plan = real_plan()
    waiting = replace(plan.timeline[0], after=TriggerPlan(event="node-not-ready", of=None, delay_s=0.0))
    plan = replace(plan, timeline=(waiting, *plan.timeline[1:]))
    issued = event(17.3, "orchestrator", "step-issued", step=waiting.step)
    told = history(replace(issued, fields={**issued.fields, "at_s": 17.31}))
    assert settle_instants(plan, told).timeline[0].at_s == 17.31
    assert settle_instants(plan, history()).timeline[0].at_s == waiting.at_s


def test_load_that_a_stop_condition_ended_was_as_long_as_until_then() -> None:
    told = history(event(31.2, "orchestrator", "stop-condition", path="nodeport", failed=61, text="enough", is_objective=True))
    assert settle_instants(real_plan(), told).load.duration_s == pytest.approx(31.2)
    ended = history(*told.events, event(31.9, "client/load", "load-finished"))
    assert settle_instants(real_plan(), ended).load.duration_s == pytest.approx(31.9)
    assert settle_instants(real_plan(), history()).load == real_plan().load


def test_steps_of_one_group_are_measured_with_the_targets_of_all() -> None:
    plan = real_plan()
    first = replace(plan.timeline[0], group="1")
    second = replace(first, step="1-link-down-2", targets=("node-2",))
    grouped = replace(plan, timeline=(first, second, *plan.timeline[1:]))
    assert with_companions(first, grouped).targets == ("node-1", "node-2")
    assert with_companions(plan.timeline[1], grouped) == plan.timeline[1]


def test_stop_condition_is_measured_by_its_report() -> None:
    told = history(event(31.2, "orchestrator", "stop-condition", path="nodeport", failed=61, text="enough", is_objective=True))
    stopped = measure_stop(told)
    assert stopped is not None
    assert (stopped.at_s, stopped.condition, stopped.failed, stopped.is_objective) == (pytest.approx(31.2), "enough", 61, True)
    assert measure_stop(history()) is None
