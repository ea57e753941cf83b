"""Until when a fault may cost a path requests, by the settings of the path and the cluster's timings."""

from dataclasses import replace

import pytest
from sample_builder import HOST_PORT, KILL, NODEPORT, Request, event, history, real_plan, samples

from orchestrator.metrics import outage_bounds
from orchestrator.metrics.measure import measure
from orchestrator.metrics.outage_bounds import OutageBound
from orchestrator.model.measurements import Outage
from orchestrator.model.plan import LoadClassPlan, PathPlan, StepPlan, TimingsPlan

TIMINGS = TimingsPlan(
    profile="fast",
    values={"node_monitor_grace_period_s": 5.0, "node_monitor_period_s": 0.5, "lease_renew_s": 1.0, "min_sync_period_s": 0.1},
)
NEW = LoadClassPlan(path="nodeport", connection_class="new", url="http://198.18.0.3/", rate_rps=100.0, connections=1)
KEPT = replace(NEW, connection_class="keepalive", connections=20)
HAPROXY = {"inter_ms": 500, "fall": 2, "rise": 2, "connect_timeout_ms": 250}
DETECTED_S, WITHDRAWN_S = 2.0, 5.6
"""One interval, two checks of 0.5 s and 0.5 s between them; grace period, monitor period, sync period."""


def bound_outage(path: PathPlan, step: StepPlan, load: LoadClassPlan) -> OutageBound:
    return outage_bounds.bound_outage(path, step, load, replace(real_plan(), timings=TIMINGS))


def bound(policy: str = "Cluster", *, kind: str = "node-kill", load: LoadClassPlan = NEW, **haproxy: object) -> OutageBound:
    path = replace(NODEPORT, settings={"haproxy": {**HAPROXY, **haproxy}, "external_traffic_policy": policy})
    return bound_outage(path, replace(KILL, kind=kind), load)


@pytest.mark.parametrize("kind", ["node-kill", "node-replace", "link-down"])
@pytest.mark.parametrize(
    ("policy", "haproxy", "at_most_s"),
    [
        # The last failed check of a live server begins when the last rule is written; two good ones bring it back.
        ("Cluster", {"check": "tcp"}, WITHDRAWN_S + 0.5 + 2 * 0.5),
        ("Cluster", {"check": "tcp", "downinter_ms": 100}, WITHDRAWN_S + 0.5 + 2 * 0.1),
        ("Cluster", {"check": "http-healthz"}, WITHDRAWN_S),
        ("Cluster", {"check": "http-healthz", "observe": "layer4"}, WITHDRAWN_S + 1.5),
        ("Cluster", {"check": "http-healthz", "inter_ms": 5000}, 20.0),
        ("Local", {"check": "health-check-node-port"}, DETECTED_S),
        ("Local", {"check": "tcp"}, DETECTED_S),
        ("Cluster", {"checks": False}, None),
    ],
)
def test_node_that_is_gone_costs_until_the_later_verdict(
    kind: str, policy: str, haproxy: dict[str, object], at_most_s: float | None
) -> None:
    assert bound(policy, kind=kind, **haproxy).at_most_s == (None if at_most_s is None else pytest.approx(at_most_s))


@pytest.mark.parametrize(
    ("policy", "haproxy", "at_most_s"),
    [
        # Its kernel forwards by stale rules to pods that never answer, and passes every check of the node port.
        ("Cluster", {"check": "tcp"}, 15.0),
        ("Local", {"check": "tcp"}, 15.0),
        ("Local", {"check": "agent"}, 15.0),
        ("Cluster", {"checks": False}, 15.0),
        ("Cluster", {"check": "http-healthz"}, WITHDRAWN_S),
        ("Local", {"check": "health-check-node-port"}, DETECTED_S),
        ("Local", {"check": "health-check-node-port", "check_timeout_ms": 100}, 0.5 + 2 * 0.1 + 0.5),
    ],
)
def test_frozen_node_is_noticed_only_where_a_process_is_asked(
    policy: str, haproxy: dict[str, object], at_most_s: float | None
) -> None:
    found = bound(policy, kind="node-pause", **haproxy)
    assert found.at_most_s == (None if at_most_s is None else pytest.approx(at_most_s))
    assert found.why


def test_node_that_is_frozen_for_ever_has_no_bound_where_nobody_notices() -> None:
    path = replace(NODEPORT, settings={"haproxy": {**HAPROXY, "check": "tcp"}, "external_traffic_policy": "Cluster"})
    assert bound_outage(path, replace(KILL, kind="node-pause", for_s=None), NEW).at_most_s is None


def test_short_freeze_costs_no_longer_than_it_lasts() -> None:
    path = replace(NODEPORT, settings={"haproxy": {**HAPROXY, "check": "http-healthz"}, "external_traffic_policy": "Cluster"})
    assert bound_outage(path, replace(KILL, kind="node-pause", for_s=3.0), NEW).at_most_s == 3.0


def test_kept_connections_are_known_to_be_broken_when_each_was_used_again() -> None:
    slow = replace(KEPT, rate_rps=4.0)
    assert bound("Local", check="tcp", load=slow).at_most_s == 5.0
    assert bound("Local", check="tcp", load=KEPT).at_most_s == DETECTED_S


@pytest.mark.parametrize(
    ("kind", "haproxy", "at_most_s"),
    [
        ("lb-reload", {}, 0.0),
        ("lb-pause", {}, 15.0),
        ("lb-kill", {}, None),
        ("agent-kill", {"check": "tcp"}, 0.0),
        ("agent-pause", {"check": "agent"}, 0.0),
        # HAProxy leads to the other nodes, and what already leads through this one goes on.
        ("agent-kill", {"check": "http-healthz"}, 0.0),
    ],
)
def test_fault_of_a_process_costs_what_it_serves(kind: str, haproxy: dict[str, object], at_most_s: float | None) -> None:
    assert bound(kind=kind, **haproxy).at_most_s == at_most_s


@pytest.mark.parametrize(
    ("is_local", "kind", "target", "at_most_s"),
    [
        # The client calls node-1 and no other: nothing says how long a node takes to serve again.
        (True, "node-kill", "node-1", None),
        (False, "node-replace", "node-1", None),
        (True, "node-pause", "node-1", 15.0),
        (False, "node-pause", "node-1", 15.0),
        # Another node matters only as long as node-1 chooses its pods.
        (True, "node-kill", "node-2", 0.0),
        (True, "node-pause", "node-2", 0.0),
        (False, "link-down", "node-2", WITHDRAWN_S),
        (False, "node-pause", "node-2", WITHDRAWN_S),
        (False, "agent-kill", "node-1", 0.0),
        (True, "lb-kill", "loadbalancer", 0.0),
    ],
)
def test_client_that_calls_a_node_depends_on_it_alone_and_on_pods_that_it_chooses(
    is_local: bool, kind: str, target: str, at_most_s: float | None
) -> None:
    path = replace(HOST_PORT, settings={"direct": {"node": "node-1", "is_local": is_local}})
    found = bound_outage(path, replace(KILL, kind=kind, targets=(target,)), NEW)
    assert found.at_most_s == (None if at_most_s is None else pytest.approx(at_most_s))
    assert found.why


def test_short_freeze_of_another_node_costs_no_longer_than_it_lasts() -> None:
    path = replace(HOST_PORT, settings={"direct": {"node": "node-1", "is_local": False}})
    frozen = replace(KILL, kind="node-pause", for_s=2.0, targets=("node-2",))
    assert bound_outage(path, frozen, NEW).at_most_s == 2.0


def test_kept_connections_to_a_node_in_nobodys_way_have_nothing_to_lose() -> None:
    slow = replace(KEPT, rate_rps=4.0)
    assert bound_outage(HOST_PORT, replace(KILL, targets=("node-2",)), slow).at_most_s == 0.0


def test_no_op_may_cost_nothing() -> None:
    assert bound(kind="no-op").at_most_s == 0.0


@pytest.mark.parametrize(
    ("bound_s", "convergence_s", "is_within"),
    [(5.0, 4.0, True), (5.0, 5.2, True), (5.0, 5.3, False), (5.0, None, False), (None, 4.0, None)],
)
def test_convergence_is_within_its_bound_to_resolution_and_tolerance(
    bound_s: float | None, convergence_s: float | None, is_within: bool | None
) -> None:
    outage = Outage(
        step="1", kind="node-kill", path="p", connection_class="new", effective_s=1.0, window_end_s=20.0, resolution_s=0.01, failed=1,
        outcomes={}, first_loss_s=1.0, first_recovery_s=2.0, converged=convergence_s is not None, convergence_s=convergence_s,
        outage_s=None, total_outage_s=0.0, brownout_s=0.0, loss_derived_s=0.0, bound_s=bound_s,
    )  # fmt: skip
    assert outage.is_within_bound is is_within


@pytest.mark.parametrize(("healed_s", "bound_s"), [(12.8, 2.8), (12.80314, 2.81), (11.9, 2.0), (None, 2.0)])
def test_fault_that_was_healed_late_may_cost_as_much_longer(healed_s: float | None, bound_s: float) -> None:
    step = StepPlan(step="1-lb-pause", kind="lb-pause", at_s=10.0, for_s=2.0, targets=("loadbalancer",))
    told = [event(10.0, "orchestrator", "step-effective", step=step.step, evidence="stopped")]
    if healed_s is not None:
        told.append(event(healed_s, "orchestrator", "step-healed", step=step.step, evidence="running"))
    measured = measure(replace(real_plan(), timeline=(step,)), history(*told), samples(Request(at_s=1.0), Request(at_s=11.0)))
    found = [item.bound_s for item in measured.outages if item.path == "nodeport"]
    assert found == [pytest.approx(bound_s)] * 2
