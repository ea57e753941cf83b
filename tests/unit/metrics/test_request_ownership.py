"""Every failed request belongs to one step or to none, also what was on its way when a fault struck."""

import dataclasses

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.metrics.instants import window_of
from orchestrator.metrics.ownership import NOBODY, assign_owners
from orchestrator.model.measurements import StepMeasurement


def step(kind: str, begin_s: float) -> StepMeasurement:
    return StepMeasurement(
        step=f"{kind}-{begin_s}",
        kind=kind,
        targets=(),
        planned_s=begin_s,
        effective_s=begin_s,
        deviation_ms=0.0,
        healed_s=None,
        done_s=None,
        evidence="",
        failure=None,
    )


def owners(*requests: tuple[float, float, bool], steps: tuple[StepMeasurement, ...]) -> list[int]:
    """Requests as (intended, ended, ok)."""
    at_s, end_s, good = (np.array([item[column] for item in requests]) for column in range(3))
    return assign_owners(at_s, end_s, good.astype(bool), steps).tolist()


def test_request_belongs_to_the_step_that_began_last_before_it() -> None:
    steps = (step("node-kill", 10.0), step("scale", 20.0))
    assert owners((9.0, 9.1, True), (10.0, 11.0, False), (19.9, 20.1, True), (20.0, 20.1, True), steps=steps) == [NOBODY, 0, 0, 1]


def test_failure_that_was_on_its_way_when_a_fault_struck_belongs_to_the_fault() -> None:
    steps = (step("node-kill", 10.0),)
    assert owners((9.99, 10.99, False), (9.99, 10.01, True), (8.0, 9.0, False), steps=steps) == [0, NOBODY, NOBODY]


def test_rescale_takes_nothing_that_was_sent_before_it() -> None:
    steps = (step("node-kill", 10.0), step("scale", 20.0))
    assert owners((19.5, 20.5, False), steps=steps) == [0]


def test_steps_of_the_plan_need_not_be_in_order() -> None:
    steps = (step("node-kill", 20.0), step("node-kill", 10.0))
    assert owners((15.0, 15.1, True), (25.0, 25.1, True), steps=steps) == [1, 0]


@given(
    st.lists(st.tuples(st.floats(0, 60), st.floats(0, 2), st.booleans()), max_size=50),
    st.lists(st.tuples(st.sampled_from(["node-kill", "scale"]), st.floats(0, 60)), max_size=4),
)
def test_counts_add_up_and_nobody_is_blamed_before_its_time(
    requests: list[tuple[float, float, bool]], begun: list[tuple[str, float]]
) -> None:
    steps = tuple(step(*item) for item in begun)
    found = owners(*((at_s, at_s + took_s, ok) for at_s, took_s, ok in requests), steps=steps) if requests else []
    assert sum(found.count(index) for index in (NOBODY, *range(len(steps)))) == len(requests)
    for (at_s, took_s, _), index in zip(requests, found, strict=True):
        if index != NOBODY:
            assert at_s + took_s >= steps[index].planned_s


def test_steps_that_strike_together_share_one_owner_the_first_that_was_effective() -> None:
    late, early, unseen = (
        dataclasses.replace(step("node-kill", 10.0 + offset_s), step=name, group="1")
        for name, offset_s in (("late", 0.003), ("early", 0.001), ("unseen", 0.0))
    )
    steps = (late, early, dataclasses.replace(unseen, effective_s=None), step("node-kill", 20.0))
    assert owners((10.5, 10.6, False), (19.0, 19.1, True), (20.5, 20.6, False), steps=steps) == [1, 1, 3]
    assert window_of(early, steps, 60.0) == (10.001, 20.0)
