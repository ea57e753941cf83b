"""The stages of a node's death, each from the event that tells it."""

from dataclasses import replace

import pytest

from orchestrator.metrics.spans import Spans
from orchestrator.metrics.stages import detected_at_s, find_stages, programmed_at_s
from orchestrator.model.history import Event, History
from orchestrator.model.plan import PathPlan
from tests.unit.metrics.sample_builder import HOST_PORT, KILL, NODEPORT, STATIC_ROUTE, event, history, real_plan

LOST = Spans(first_loss_s=10.2, first_recovery_s=11.0, sustained_s=15.5, total_outage_s=0.0, brownout_s=0.0, failed=9)
WITHDRAWN = event(
    15.1, "controlplane/api", "endpoint-not-ready", node="node-1", service="default/service-test", endpoint="10.0.1.2:8080"
)
NOT_READY = event(15.0, "controlplane/api", "node-not-ready", node="node-1")
DOWN = event(11.5, "loadbalancer/lb", "server-down", backend="nodeport", server="node-1")


def commit(at_s: float, node: str, *endpoints: str, service: str = "default/service-test:http") -> Event:
    return event(at_s, f"{node}/agent", "rules-committed", node=node, endpoints={service: list(endpoints)})


def stages(path: PathPlan, told: History, spans: Spans = LOST) -> dict[str, float]:
    found = find_stages(real_plan(), path, KILL, told, spans, since_s=10.0, until_s=35.0)
    assert [item.at_s for item in found] == sorted(item.at_s for item in found)
    return {item.name: item.at_s for item in found}


def programmed(*events: Event, path: PathPlan = NODEPORT) -> float | None:
    return programmed_at_s(real_plan(), path, KILL, history(*events), since_s=10.0, until_s=35.0)


def test_stages_behind_a_load_balancer_follow_detection_withdrawal_and_rules() -> None:
    told = history(commit(15.3, "node-3"), commit(15.2, "node-2"), WITHDRAWN, NOT_READY, DOWN)
    assert list(stages(NODEPORT, told)) == [
        "fault effective",
        "first loss",
        "first success",
        "load balancer marks down",
        "node not ready",
        "endpoints withdrawn",
        "rules programmed",
        "sustained",
    ]


def test_struck_entry_node_has_the_stages_of_its_return() -> None:
    told = history(
        DOWN,
        event(25.4, "node-1/init", "booted"),
        event(26.0, "node-1/agent", "node-registered", node="node-1"),
        commit(26.5, "node-1"),
        event(25.3, "node-2/init", "booted"),
    )
    found = stages(STATIC_ROUTE, told)
    assert (found["node boots"], found["node registers"], found["rules there again"]) == (25.4, 26.0, 26.5)
    assert "load balancer marks down" not in found


def test_pod_starts_again_where_no_other_can_answer() -> None:
    told = history(
        event(26.0, "node-1/agent", "pod-started", node="node-1", pod="website-5f-x", ip="10.0.1.2"),
        event(26.1, "node-1/agent", "pod-started", node="node-1", pod="web-7d-y", ip="10.0.1.3"),
        event(26.2, "node-1/agent", "pod-started", node="node-1", pod="web-7d-z", ip="10.0.1.4"),
        event(25.0, "node-2/agent", "pod-started", node="node-2", pod="web-7d-a", ip="10.0.2.2"),
    )
    assert stages(HOST_PORT, told)["pod starts again"] == 26.1
    assert "pod starts again" not in stages(STATIC_ROUTE, told)


def test_stage_without_an_event_is_left_out() -> None:
    nothing = Spans(first_loss_s=None, first_recovery_s=None, sustained_s=None, total_outage_s=0.0, brownout_s=0.0, failed=0)
    assert stages(NODEPORT, history(), nothing) == {"fault effective": 10.0}


def test_events_outside_the_window_are_no_stages() -> None:
    early = event(9.9, "loadbalancer/lb", "server-down", backend="nodeport", server="node-1")
    late = event(35.0, "controlplane/api", "node-not-ready", node="node-1")
    assert set(stages(NODEPORT, history(early, late))) == {"fault effective", "first loss", "first success", "sustained"}


def test_other_frontends_and_other_servers_detect_nothing_for_this_path() -> None:
    other = event(11.0, "loadbalancer/lb", "server-down", backend="ingress", server="node-1")
    live = event(11.1, "loadbalancer/lb", "server-down", backend="nodeport", server="node-2")
    assert detected_at_s("nodeport", KILL, history(other, live), since_s=10.0, until_s=35.0) is None
    assert detected_at_s("nodeport", KILL, history(other, DOWN), since_s=10.0, until_s=35.0) == 11.5


def test_endpoints_are_withdrawn_when_the_last_of_them_is_and_not_when_one_changes_again() -> None:
    second = event(15.4, "controlplane/api", "endpoint-not-ready", node="node-1", endpoint="10.0.1.3:8080")
    again = event(20.0, "controlplane/api", "endpoint-removed", node="node-1", endpoint="10.0.1.2:8080")
    assert stages(NODEPORT, history(WITHDRAWN, second, again))["endpoints withdrawn"] == 15.4


def test_rules_are_programmed_when_the_last_live_node_has_committed_without_the_endpoint() -> None:
    still = commit(15.15, "node-2", "10.0.1.2:8080", "10.0.2.2:8080")
    assert programmed(WITHDRAWN, still, commit(15.2, "node-3"), commit(15.6, "node-2")) == pytest.approx(15.6)


def test_rules_are_not_programmed_while_a_live_node_has_not_committed() -> None:
    assert programmed(WITHDRAWN, commit(15.2, "node-3")) is None


def test_the_one_way_in_is_waited_for_and_nobody_else_also_when_it_is_cut_off() -> None:
    other = replace(STATIC_ROUTE, entry_nodes=("node-2",))
    cut = event(5.0, "controlplane/api", "node-not-ready", node="node-2")
    assert programmed(cut, WITHDRAWN, commit(15.2, "node-3"), path=other) is None
    assert programmed(cut, WITHDRAWN, commit(15.2, "node-3"), commit(25.4, "node-2"), path=other) == pytest.approx(25.4)
    assert programmed(WITHDRAWN, commit(15.2, "node-2"), path=other) == pytest.approx(15.2)


def test_commit_of_another_service_programs_nothing() -> None:
    other = commit(15.2, "node-2", service="default/other:http")
    assert programmed(WITHDRAWN, other, commit(15.3, "node-3"), commit(15.8, "node-2")) == pytest.approx(15.8)


def test_commits_of_the_struck_node_and_of_dead_ones_are_not_waited_for() -> None:
    dead = event(5.0, "controlplane/api", "node-not-ready", node="node-3")
    assert programmed(dead, WITHDRAWN, commit(15.2, "node-2"), commit(15.9, "node-1")) == pytest.approx(15.2)


def test_node_that_was_added_before_is_waited_for() -> None:
    added = event(5.0, "controlplane/api", "node-ready", node="node-4")
    early = (added, WITHDRAWN, commit(15.2, "node-2"), commit(15.3, "node-3"))
    assert programmed(*early) is None
    assert programmed(*early, commit(15.7, "node-4")) == pytest.approx(15.7)


def test_commit_before_the_withdrawal_programs_nothing() -> None:
    assert programmed(commit(12.0, "node-2"), commit(12.0, "node-3"), WITHDRAWN) is None
    assert programmed(commit(12.0, "node-2"), commit(12.0, "node-3")) is None
