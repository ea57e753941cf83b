"""Steps that wait for an event, and conditions that end the run, on a clock that moves only when it is waited on."""

import dataclasses
from collections.abc import Callable

import pytest

from orchestrator.model.plan import StepPlan, StopPlan, TriggerPlan
from tests.unit.runner.test_interpreter import Bench, step


def waiting(name: str, trigger: TriggerPlan, *, at_s: float = 0, for_s: float | None = 5) -> StepPlan:
    return dataclasses.replace(step(name, at_s, for_s), after=trigger)


def happening(bench: Bench, at_s: float, source: str, event: str, **fields: object) -> None:
    """The world tells it so many seconds after the start of the load."""
    begins_s = 0.5
    at_ns = bench.world.clock.now_mono_ns() + round((begins_s + at_s) * 1e9)
    bench.world.clock.at(at_ns, lambda: bench.world.told(source, event, **fields))


def test_a_step_strikes_after_its_event_as_long_as_it_says() -> None:
    bench = Bench(waiting("1", TriggerPlan(event="node-not-ready", of="node-2", delay_s=2)))
    happening(bench, 8, "controlplane/api", "node-not-ready", node="node-2")
    bench.run()
    assert bench.action.calls == [(8.0, "arm", "1"), (10.0, "inject", "1"), (15.0, "heal", "1")]
    assert bench.told("1") == ["step-planned", "step-issued", "step-effective", "step-healed", "step-done"]
    issued = bench.world.history().first("step-issued")
    assert issued is not None
    assert issued.fields["at_s"] == pytest.approx(10.0)


def test_a_strike_right_upon_its_event_leaves_time_to_arm_it() -> None:
    bench = Bench(waiting("1", TriggerPlan(event="server-down", of=None, delay_s=0)))
    happening(bench, 8, "loadbalancer/lb", "server-down", backend="nodeport", server="node-3")
    bench.run()
    assert [(at_s, stage) for at_s, stage, _ in bench.action.calls] == [(8.0, "arm"), (8.4, "inject"), (13.4, "heal")]


def test_a_strike_that_takes_long_to_arm_comes_so_long_after_its_event() -> None:
    bench = Bench(dataclasses.replace(waiting("1", TriggerPlan(event="server-down", of=None, delay_s=1)), arming_s=3.0))
    happening(bench, 8, "loadbalancer/lb", "server-down", backend="nodeport", server="node-3")
    bench.run()
    assert [(at_s, stage) for at_s, stage, _ in bench.action.calls] == [(8.0, "arm"), (11.0, "inject"), (16.0, "heal")]


def test_events_of_others_and_from_before_its_earliest_instant_do_not_count() -> None:
    bench = Bench(waiting("1", TriggerPlan(event="endpoint-not-ready", of="node-2", delay_s=1), at_s=6))
    happening(bench, 3, "controlplane/api", "endpoint-not-ready", node="node-2")
    happening(bench, 7, "controlplane/api", "endpoint-not-ready", node="node-1")
    happening(bench, 9, "controlplane/api", "endpoint-not-ready", node="node-2")
    bench.run()
    assert bench.action.calls[1] == (10.0, "inject", "1")


def test_a_step_whose_event_never_comes_fails_and_strikes_nothing() -> None:
    bench = Bench(waiting("1", TriggerPlan(event="node-not-ready", of="node-2", delay_s=0)))
    bench.run()
    assert bench.action.calls == []
    assert bench.told("1") == ["step-planned", "step-failed"]
    failed = bench.world.history().first("step-failed")
    assert failed is not None
    assert "trigger: node-not-ready of node-2, for which 1 waits not within" in str(failed.fields["evidence"])


def test_a_step_can_wait_for_another_one() -> None:
    bench = Bench(waiting("2", TriggerPlan(event="step-effective", of="1", delay_s=1)))
    happening(bench, 2, "orchestrator", "step-effective", step="1", kind="node-kill")
    bench.run()
    assert bench.action.calls[1] == (3.0, "inject", "2")


def stopping(failed: int, *, path: str = "nodeport", connection_class: str | None = None) -> StopPlan:
    return StopPlan(path=path, connection_class=connection_class, failed=failed, text="enough", is_objective=True)


def with_stops(bench: Bench, *stops: StopPlan) -> Bench:
    bench.plan = dataclasses.replace(bench.plan, stops=stops)
    return bench


def progress(bench: Bench, at_s: float, failed: int, **fields: object) -> None:
    happening(bench, at_s, "client/load", "load-progress", **{"path": "nodeport", "class": "new", "failed": failed, **fields})


def test_a_stop_condition_ends_load_and_timeline_and_heals() -> None:
    bench = with_stops(Bench(step("1", 10, 15)), stopping(100))
    progress(bench, 4, 99)
    progress(bench, 5, 100)
    bench.run()
    assert bench.load.stopped
    told = bench.world.history().first("stop-condition")
    assert told is not None
    assert dict(told.fields) == {"path": "nodeport", "failed": 100, "text": "enough", "is_objective": True}
    assert "inject" not in [stage for _, stage, _ in bench.action.calls]


@pytest.mark.parametrize(
    "tell",
    [
        lambda bench: progress(bench, 5, 99),
        lambda bench: progress(bench, 5, 500, path="static-route"),
        lambda bench: progress(bench, 5, 500, **{"class": "keepalive"}),
        lambda bench: happening(bench, 5, "client/load", "load-finished"),
    ],
)
def test_a_stop_condition_that_does_not_come_true_changes_nothing(tell: Callable[[Bench], None]) -> None:
    bench = with_stops(Bench(step("1", 70, 5)), stopping(100, connection_class="new"))
    tell(bench)
    bench.run()
    assert not bench.load.stopped
    assert "stop-condition" not in bench.world.names()
    assert bench.told("1")[-1] == "step-done"
