"""Which steps wait for each other, and that they do."""

import threading

from orchestrator.model.plan import StepPlan
from orchestrator.runner.lanes import ThreadLanes, plan_lanes


def step(name: str, kind: str, *targets: str) -> StepPlan:
    return StepPlan(step=name, kind=kind, at_s=0, for_s=None, targets=targets)


def lanes_of(*steps: StepPlan) -> list[set[str]]:
    lanes = plan_lanes(steps, lambda kind: kind == "scale")
    return sorted(({name for name in lanes if lanes[name] == lane} for lane in set(lanes.values())), key=sorted)


def test_steps_on_different_containers_run_side_by_side() -> None:
    assert lanes_of(step("1", "kill", "a"), step("2", "kill", "b")) == [{"1"}, {"2"}]


def test_steps_on_one_container_wait_for_each_other() -> None:
    assert lanes_of(step("1", "kill", "a"), step("2", "pause", "a"), step("3", "kill", "b")) == [{"1", "2"}, {"3"}]


def test_rescales_wait_for_each_other_even_without_a_shared_target() -> None:
    assert lanes_of(step("1", "scale", "d"), step("2", "scale"), step("3", "kill", "a")) == [{"1", "2"}, {"3"}]


def test_a_step_that_links_two_others_puts_all_three_in_one_lane() -> None:
    assert lanes_of(step("1", "kill", "a"), step("2", "kill", "b"), step("3", "part", "a", "b")) == [{"1", "2", "3"}]


def test_a_lane_keeps_its_order_and_lanes_do_not_wait_for_each_other() -> None:
    lanes, done, release = ThreadLanes(), list[str](), threading.Event()

    def blocked() -> None:
        assert release.wait(5)
        done.append("slow 1")

    def quick() -> None:
        done.append("quick")
        release.set()

    lanes.submit("slow", blocked)
    lanes.submit("slow", lambda: done.append("slow 2"))
    lanes.submit("quick", quick)
    lanes.join()
    assert done == ["quick", "slow 1", "slow 2"]
