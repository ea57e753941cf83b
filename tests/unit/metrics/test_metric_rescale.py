"""What a rescale cost, and how soon an added node served."""

from dataclasses import replace

import pytest

from orchestrator.metrics.rescaling import SETTLE_S, measure_rescale, measure_served
from orchestrator.model.measurements import Rescale
from orchestrator.model.plan import StepPlan
from orchestrator.model.samples import Outcome
from tests.unit.metrics.sample_builder import NODEPORT, START_NS, Request, event, history, real_plan, samples, step_measured

UP, DOWN = real_plan().timeline[1:]


def rescale(*requests: Request, step: StepPlan = UP, done_s: float | None = 39.0) -> Rescale:
    plan = real_plan()
    load = plan.load.classes_of("nodeport")[0]
    measured = step_measured(step.step, kind="scale", planned_s=step.at_s, done_s=done_s)
    return measure_rescale(plan, step, measured, NODEPORT, load, samples(*requests), START_NS)


def test_directions_of_the_scenarios_rescales() -> None:
    assert (rescale().direction, rescale().drained) == ("up", False)
    assert (rescale(step=DOWN).direction, rescale(step=DOWN).drained) == ("down", True)


@pytest.mark.parametrize(
    ("pods", "nodes", "direction"),
    [(2, {}, "down"), (9, {}, "up"), (2, {"add": ["node-4"]}, "up"), (9, {"remove": ["node-3"]}, "down"), (None, {}, "up")],
)
def test_taking_pods_away_is_a_way_down_too(pods: int | None, nodes: dict[str, object], direction: str) -> None:
    """The manifest has six pods."""
    parameters = {"pods": pods, "deployment": None, "add": [], "remove": [], **nodes}
    assert rescale(step=replace(UP, parameters=parameters)).direction == direction


def test_losses_count_from_the_step_until_it_has_settled() -> None:
    instants = (34.99, 35.0, 39.0, 39.0 + SETTLE_S - 0.01, 39.0 + SETTLE_S)
    found = rescale(*(Request(at_s=at_s, outcome=Outcome.RESET) for at_s in instants))
    assert (found.lost, dict(found.outcomes)) == (3, {"reset": 3})


def test_rescale_that_never_ended_owns_losses_to_the_end_of_the_load() -> None:
    found = rescale(Request(at_s=59.9, outcome=Outcome.RESET), done_s=None)
    assert (found.lost, found.done_s) == (1, None)


def test_latency_is_compared_with_the_time_just_before() -> None:
    found = rescale(Request(at_s=20.0, took_ms=900.0), Request(at_s=34.0, took_ms=5.0), Request(at_s=36.0, took_ms=50.0))
    assert found.latency_before is not None
    assert found.latency_during is not None
    assert found.latency_before.p99_ms == pytest.approx(5.0, rel=0.001)
    assert found.latency_during.p99_ms == pytest.approx(50.0, rel=0.001)
    assert rescale().latency_before is None


def test_time_to_serve_counts_from_the_steps_instant() -> None:
    told = history(
        event(36.0, "controlplane/api", "node-ready", node="node-4"),
        event(37.5, "loadbalancer/lb", "server-up", server="node-4", backend="nodeport"),
    )
    answered = Request(at_s=37.9, node="node-4", took_ms=100.0)
    found = {item.node: item for item in measure_served(real_plan(), told, samples(answered))}
    node = found["node-4"]
    assert (node.ready_s, node.in_load_balancer_s, node.first_answer_s) == (1.0, 2.5, pytest.approx(3.0))
    assert set(found) == {"node-4", "node-5"}
    assert (found["node-5"].ready_s, found["node-5"].in_load_balancer_s, found["node-5"].first_answer_s) == (None, None, None)


def test_failed_request_is_no_first_answer() -> None:
    failed = Request(at_s=37.9, node="node-4", outcome=Outcome.HTTP_STATUS)
    assert measure_served(real_plan(), history(), samples(failed))[0].first_answer_s is None
