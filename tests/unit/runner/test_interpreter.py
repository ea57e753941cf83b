"""The interpreter: order, instants, healing, on a clock that moves only when it is waited on."""

import dataclasses
import threading
from collections.abc import Callable
from typing import ClassVar

import pytest
from pydantic import BaseModel

from orchestrator.contracts import PlanContext, World
from orchestrator.errors import CommandError, EngineError, InterruptedRunError
from orchestrator.model.plan import Plan, StepPlan
from orchestrator.runner import run_timeline
from orchestrator.runner.lanes import InlineLanes
from orchestrator.runner.schedule import schedule
from orchestrator.runner.telling import tell
from orchestrator.testbed.fake_world import FakeLoad, FakeWorld
from tests.unit.testbed.scripted_cluster import node_kill_plan


class Options(BaseModel):
    pass


class Recorder:
    """An action that notes its calls with the seconds since the start of the load."""

    kind: ClassVar[str] = "recorder"
    options: ClassVar[type[BaseModel]] = Options
    exclusive: ClassVar[bool] = False

    def __init__(self, load: Callable[[], FakeLoad]) -> None:
        self._load = load
        self.calls: list[tuple[float, str, str]] = []
        self.fail: dict[tuple[str, str], Exception] = {}

    def plan(self, step: str, at_s: float, for_s: float | None, options: BaseModel, context: PlanContext) -> StepPlan:
        raise NotImplementedError

    def _note(self, stage: str, step: StepPlan, world: World) -> None:
        start_ns = self._load().start_mono_ns
        assert start_ns is not None
        self.calls.append((round((world.clock.now_mono_ns() - start_ns) / 1e9, 3), stage, step.step))
        if (error := self.fail.get((stage, step.step))) is not None:
            raise error

    def arm(self, step: StepPlan, world: World, at_mono_ns: int) -> None:
        self._note("arm", step, world)

    def inject(self, step: StepPlan, world: World, at_mono_ns: int) -> None:
        self._note("inject", step, world)
        tell(world, "step-effective", step, evidence="seen")

    def heal(self, step: StepPlan, world: World) -> None:
        self._note("heal", step, world)
        tell(world, "step-healed", step, evidence="seen")


def step(name: str, at_s: float, for_s: float | None, *targets: str) -> StepPlan:
    return StepPlan(step=name, kind="recorder", at_s=at_s, for_s=for_s, targets=targets or ("node-1",))


class Bench:
    def __init__(self, *steps: StepPlan, load_failure: Exception | None = None) -> None:
        self.plan: Plan = dataclasses.replace(node_kill_plan(), timeline=steps)
        self.world = FakeWorld(self.plan)
        self.load = FakeLoad(self.world, failure=load_failure)
        self.action = Recorder(lambda: self.load)
        self.stop = threading.Event()

    def run(self) -> None:
        run_timeline(self.plan, self.world, self.load, {"recorder": self.action}, stop=self.stop, make_lanes=InlineLanes)

    def told(self, step_name: str) -> list[str]:
        return [item.event for item in self.world.events if item.fields.get("step") == step_name]


def test_a_fault_is_armed_ahead_injected_at_its_instant_and_healed_at_its_end() -> None:
    bench = Bench(step("1", 10, 15))
    bench.run()
    assert bench.action.calls == [(5.0, "arm", "1"), (10.0, "inject", "1"), (25.0, "heal", "1")]
    assert bench.told("1") == ["step-planned", "step-issued", "step-effective", "step-healed", "step-done"]


def test_who_ends_a_container_leaves_word_of_when_it_is_to_be_started_for_when_this_process_is_gone() -> None:
    ending = dataclasses.replace(step("1", 10, 15, "node-1"), takes_down=True)
    for_ever = dataclasses.replace(step("2", 20, None, "node-2"), takes_down=True)
    bench = Bench(ending, for_ever, step("3", 30, 5, "node-3"))
    bench.run()
    left = bench.plan.load.duration_s - 20
    told = [call[1:] for call in bench.world.calls if call[0] == "revive later"]
    # Armed 5 s ahead, and 30 s for whoever heals.
    assert told == [("node-1", f"{5 + 15 + 30:g}"), ("node-2", f"{5 + left + 30:g}")]


def test_a_fault_that_strikes_early_is_armed_before_the_load_starts() -> None:
    bench = Bench(step("1", 0.2, 1))
    bench.run()
    assert bench.action.calls[0] == (-0.5, "arm", "1")


@pytest.mark.parametrize(("at_s", "armed_s"), [(2, -5.0), (20, 13.0)], ids=["early", "late"])
def test_what_takes_long_to_arm_is_armed_so_long_ahead_however_early_it_strikes(at_s: float, armed_s: float) -> None:
    bench = Bench(dataclasses.replace(step("1", at_s, 1), arming_s=7.0))
    bench.run()
    assert bench.action.calls[:2] == [(armed_s, "arm", "1"), (at_s, "inject", "1")]


def test_steps_without_an_end_are_healed_when_all_is_over_the_last_one_first() -> None:
    bench = Bench(step("1", 1, None, "node-1"), step("2", 2, None, "node-2"), step("3", 3, 1, "node-3"))
    bench.run()
    assert [(stage, name) for _, stage, name in bench.action.calls][-3:] == [("heal", "3"), ("heal", "2"), ("heal", "1")]
    assert bench.told("1").count("step-done") == 1


def test_the_phases_are_told_and_recovery_begins_with_the_end_of_the_last_step() -> None:
    bench = Bench(step("1", 10, 15), step("2", 12, 3, "node-2"))
    bench.run()
    start_ns = bench.load.start_mono_ns
    assert start_ns is not None
    phases = {str(item.fields["name"]): (item.t_mono_ns - start_ns) / 1e9 for item in bench.world.history().select("phase")}
    assert phases == {"load": -0.5, "recovery": 25.0}


def test_a_run_without_a_timeline_is_the_load_alone() -> None:
    bench = Bench()
    bench.run()
    assert bench.world.names() == ["phase", "load-started", "phase"]
    assert not bench.load.stopped


def test_a_step_without_evidence_fails_is_healed_and_the_others_go_on() -> None:
    bench = Bench(step("1", 10, 5), step("2", 20, 5, "node-2"))
    bench.action.fail["inject", "1"] = CommandError(["testbed-ctl"], 1, "refused", where="node-1")
    bench.run()
    assert bench.told("1") == ["step-planned", "step-issued", "step-failed", "step-healed"]
    failed = bench.world.history().first("step-failed")
    assert failed is not None
    assert str(failed.fields["evidence"]).startswith("inject: on node-1: `testbed-ctl` ended with status 1")
    assert bench.told("2")[-1] == "step-done"


def test_a_step_that_could_not_be_armed_is_not_injected_but_healed() -> None:
    bench = Bench(step("1", 10, 5))
    bench.action.fail["arm", "1"] = EngineError("no such container")
    bench.run()
    assert [stage for _, stage, _ in bench.action.calls] == ["arm", "heal"]


def test_a_heal_that_fails_is_told_and_does_not_keep_the_others() -> None:
    bench = Bench(step("1", 1, None, "node-1"), step("2", 2, None, "node-2"))
    bench.action.fail["heal", "2"] = EngineError("no such container")
    bench.run()
    assert "step-failed" in bench.told("2")
    assert "step-healed" in bench.told("1")


def test_an_interrupt_stops_the_load_and_heals_what_was_injected() -> None:
    bench = Bench(step("1", 10, 15), step("2", 12, 30, "node-2"), step("3", 40, 5, "node-3"))
    bench.world.clock.at(bench.world.clock.now_mono_ns() + 14_000_000_000, bench.stop.set)
    with pytest.raises(InterruptedRunError):
        bench.run()
    assert bench.load.stopped
    assert [(stage, name) for _, stage, name in bench.action.calls][-2:] == [("heal", "2"), ("heal", "1")]
    assert bench.told("3") == ["step-planned"]


def test_a_load_that_fails_ends_the_run_with_its_own_error() -> None:
    bench = Bench(step("1", 10, 15), load_failure=CommandError(["python3"], 1, "no gevent", where="client"))
    with pytest.raises(CommandError, match="no gevent"):
        bench.run()
    assert bench.told("1")[-1] != "step-done"


def test_a_defect_in_an_action_ends_the_run_instead_of_vanishing_in_a_thread() -> None:
    bench = Bench(step("1", 10, 15))
    bench.action.fail["inject", "1"] = ZeroDivisionError("a defect")
    with pytest.raises(ZeroDivisionError):
        bench.run()
    assert ("heal", "1") in [(stage, name) for _, stage, name in bench.action.calls]


def test_at_one_instant_heals_come_first_and_injections_last() -> None:
    plan = dataclasses.replace(
        node_kill_plan(), timeline=(step("2", 10, 5, "node-2"), step("1", 5, 5), step("3", 15, 1, "node-3"))
    )
    at_ten = [(due.stage.name, due.step.step) for due in schedule(plan) if due.at_s == 10]
    assert at_ten == [("HEAL", "1"), ("ARM", "3"), ("INJECT", "2")]
