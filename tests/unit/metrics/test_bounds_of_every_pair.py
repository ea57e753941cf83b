"""Every way in beside every fault: what limits the outage, or by name what it is that no setting limits."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from orchestrator.experiment import load_request
from orchestrator.metrics.outage_bounds import RULES, OutageBound, bound_outage
from orchestrator.metrics.outage_bounds.orderly import STOP_GRACE_S
from orchestrator.metrics.outage_bounds.pods import ALIVE_CHECK_S
from orchestrator.model.plan import LoadClassPlan, PathPlan, Plan, StepPlan
from orchestrator.registry import ACTIONS, PATHS
from testbed_init.processes import STOP_GRACE_NS

SCENARIOS = Path(__file__).resolve().parents[3] / "loadtests" / "scenarios"
NEW = LoadClassPlan(path="p", connection_class="new", url="http://198.18.0.3/", rate_rps=100.0, connections=1)
KEPT = replace(NEW, connection_class="keepalive", rate_rps=4.0, connections=20)
FAULTS = sorted(set(ACTIONS) - {"scale"})
SYNC_S = 0.1
WITHDRAWN_S, CHECKED_S, BACK_S = 5.0 + 0.5 + SYNC_S, 0.5 + 3 * 0.5 + 2 * 0.5, 0.5 + 2 * 0.5
"""Of all-paths.yaml: grace period, monitor and sync period; one interval, three checks and two gaps; a check and two good ones."""
LOCAL = {"external_traffic_policy": "Local"}


@cache
def plan() -> Plan:
    return load_request(SCENARIOS / "all-paths.yaml", {}, None).plan()


def addresses(*containers: str) -> list[str]:
    return [str(item.address) for name in containers for item in plan().container(name).attachments if item.network != "mgmt"]


def bound(
    kind: str,
    path: str | PathPlan,
    *,
    target: str = "node-1",
    for_s: float | None = 8.0,
    load: LoadClassPlan = NEW,
    cut: tuple[str, ...] = (),
    drain: bool = False,
    **parameters: object,
) -> OutageBound:
    inner = {"neighbours": addresses(*cut), "addresses": [], "drain": drain}
    step = StepPlan(
        step="1",
        kind=kind,
        at_s=10.0,
        for_s=for_s,
        targets=(target,),
        parameters={"parameters": inner, "drain": drain, **parameters},
    )
    return bound_outage(plan().path(path) if isinstance(path, str) else path, step, load, plan())


def with_policy_local(path: str) -> PathPlan:
    planned = plan().path(path)
    return replace(planned, settings={**planned.settings, **LOCAL})


def test_every_fault_of_the_registry_has_a_rule() -> None:
    assert sorted(RULES) == FAULTS


@pytest.mark.parametrize("kind", FAULTS)
@pytest.mark.parametrize("path", sorted(PATHS))
def test_every_pair_has_a_bound_or_says_what_sets_none(path: str, kind: str) -> None:
    for target in ("node-1", "node-2", "loadbalancer", "controlplane", "gateway"):
        for for_s in (None, 1.0, 100.0):
            for load in (NEW, KEPT):
                for cut in ((), ("gateway",), ("controlplane", "node-3"), ("client", "loadbalancer")):
                    found = bound(kind, path, target=target, for_s=for_s, load=load, cut=cut)
                    assert found.why, (target, for_s)
                    assert found.at_most_s is None or found.at_most_s >= 0.0


def test_rescale_is_no_fault() -> None:
    found = bound("scale", "nodeport")
    assert (found.at_most_s, found.why) == (None, "no rule is written for scale")


def test_grace_and_check_periods_are_those_of_the_node() -> None:
    assert STOP_GRACE_NS / 1e9 == STOP_GRACE_S
    pod = (Path(__file__).resolve().parents[3] / "images/node/nodeagent/kubelet/pod.py").read_text(encoding="utf-8")
    assert f"\nALIVE_CHECK_S = {ALIVE_CHECK_S}\n" in pod


@pytest.mark.parametrize(
    ("kind", "path", "target", "at_most_s"),
    [
        # A standing route and a called node: nobody leads clients elsewhere.
        ("node-kill", "static-route", "node-1", None),
        ("link-down", "static-route", "node-1", 8.0 + 1.0),
        ("link-down", "static-ecmp", "node-2", 8.0 + 1.0),
        ("node-kill", "static-route", "node-2", WITHDRAWN_S),
        ("node-pause", "static-route", "node-1", 8.0),
        ("node-kill", "service-port-on-node", "node-2", None),
        ("node-kill", "service-port-on-node", "node-1", 0.0),
        # Its kernel refuses, whatever its processes do.
        ("node-pause", "service-port-on-node", "node-2", 0.0),
        ("node-drain", "service-port-on-node", "node-2", 0.0),
        # What is not in the way costs nothing.
        ("agent-kill", "bgp", "node-1", 0.0),
        ("lb-kill", "vip", "loadbalancer", 0.0),
        ("lb-pause", "static-route", "loadbalancer", 0.0),
        ("controlplane-down", "ingress", "controlplane", 0.0),
        ("loss", "bgp", "loadbalancer", 0.0),
        ("loss", "hostport", "node-2", 0.0),
        ("cpu-squeeze", "hostport", "loadbalancer", 0.0),
        ("pod-kill", "hostport", "node-2", 0.0),
        ("conntrack-full", "hostport", "node-2", 0.0),
        # As long as it lasts, and until HAProxy has its servers, or the router its neighbour, back.
        ("loss", "nodeport", "node-1", 8.0 + BACK_S),
        ("rate", "loadbalancer", "loadbalancer", 8.0 + BACK_S),
        ("delay", "bgp", "node-1", 8.0 + 1.0),
        ("cpu-squeeze", "vip", "node-1", 8.0),
        ("conntrack-full", "bgp", "node-1", 8.0),
        ("conntrack-full", "nodeport", "node-1", 8.0 + BACK_S),
        # In order: the node has ended within 3 s; BIRD says so, keepalived's heir waits for its skew.
        ("node-stop", "nodeport", "node-1", WITHDRAWN_S + BACK_S),
        ("node-stop", "bgp", "node-1", WITHDRAWN_S),
        ("node-drain", "ingress", "node-1", 0.0),
        ("node-drain", "static-route", "node-1", 0.0),
        ("node-drain", "hostport", "node-1", None),
        # Pods that are not ready serve on; a dead one is started by its kubelet, before anybody withdraws it.
        ("pod-not-ready", "nodeport", "node-1", 0.0),
        ("pod-not-ready", "hostnetwork", "node-1", 0.0),
        ("pod-kill", "nodeport", "node-1", None),
        # No setting says how long a machine takes to boot.
        ("node-reboot", "nodeport", "node-1", None),
        ("node-reboot", "hostport", "node-2", 0.0),
        ("gateway-reboot", "loadbalancer", "gateway", None),
        ("rolling-restart", "nodeport", "node-1", None),
    ],
)
def test_bound_of_a_pair(kind: str, path: str, target: str, at_most_s: float | None) -> None:
    found = bound(kind, path, target=target).at_most_s
    assert found == (None if at_most_s is None else pytest.approx(at_most_s))


@pytest.mark.parametrize(
    ("kind", "at_most_s"),
    [
        ("node-stop", STOP_GRACE_S + CHECKED_S),
        ("conntrack-full", CHECKED_S),
        ("loss", 8.0 + 1.0),
        # Two failed probes a second apart and the time-out of the last, a sync, HAProxy's verdict.
        ("pod-not-ready", 2 * 1.0 + 1.0 + SYNC_S + CHECKED_S),
    ],
)
def test_policy_local_waits_for_haproxy_alone(kind: str, at_most_s: float) -> None:
    assert bound(kind, with_policy_local("loadbalancer")).at_most_s == pytest.approx(at_most_s)


@pytest.mark.parametrize(
    ("path", "cut", "at_most_s"),
    [
        ("nodeport", ("controlplane",), 0.0),
        ("bgp", ("controlplane",), 0.0),
        ("nodeport", ("gateway",), CHECKED_S),
        ("bgp", ("gateway",), 8.0 + 1.0),  # The hold time of 9 s is no shorter.
        ("vip", ("gateway",), 8.0 + 1.0),
        ("static-ecmp", ("gateway",), 8.0 + 1.0),
        ("hostport", ("gateway",), 8.0 + 1.0),
        ("hostport", ("node-2", "node-3"), 0.0),
        ("nodeport", ("loadbalancer",), CHECKED_S),
        ("nodeport", ("client",), 0.0),
        ("static-route", ("client",), 8.0 + 1.0),
        ("nodeport", ("node-2", "node-3"), 8.0 + BACK_S),
        ("nodeport", ("gateway", "controlplane", "node-2", "node-3"), WITHDRAWN_S + BACK_S),
    ],
)
def test_partition_costs_by_who_is_cut_off(path: str, cut: tuple[str, ...], at_most_s: float) -> None:
    assert bound("partition", path, cut=cut).at_most_s == pytest.approx(at_most_s)


def test_partition_of_another_node_costs_a_called_node_its_pods_alone() -> None:
    assert bound("partition", "nodeport-direct", target="node-2", cut=("gateway",)).at_most_s == 0.0
    found = bound("partition", "nodeport-direct", target="node-2", cut=("node-1", "controlplane")).at_most_s
    assert found == pytest.approx(WITHDRAWN_S)


def test_long_partition_from_the_control_plane_ends_in_evictions() -> None:
    found = bound("partition", "nodeport", for_s=60.0, cut=("controlplane",))
    assert found.at_most_s is None
    assert "evicted" in found.why


def test_machine_that_boots_before_its_silence_was_noticed_has_no_bound() -> None:
    assert bound("node-kill", "nodeport", for_s=3.0).at_most_s is None
    assert bound("link-down", "nodeport", for_s=3.0).at_most_s is not None


def test_drained_node_costs_kept_connections_once_each() -> None:
    assert bound("node-stop", "nodeport", drain=True).at_most_s == 0.0
    assert bound("node-stop", "nodeport", drain=True, load=KEPT).at_most_s == 5.0
    assert bound("node-stop", "ingress", drain=True, load=KEPT).at_most_s == 0.0
    assert bound("rolling-restart", "nodeport", drain=True).at_most_s == 0.0
    assert bound("rolling-restart", "nodeport", drain=True, load=KEPT).at_most_s is None
    skewed_s = bound("node-stop", "vip", drain=True).at_most_s
    assert skewed_s is not None
    assert STOP_GRACE_S < skewed_s < STOP_GRACE_S + 0.5, "the skew is less than one interval"


def test_drain_costs_something_where_pods_end_before_the_rules_forget_them() -> None:
    found = bound("node-drain", replace(plan().path("nodeport"), service="default/unknown"))
    assert found.at_most_s is None
    assert "preStop" in found.why


def test_api_that_hung_for_long_may_withdraw_nodes_that_live() -> None:
    hung = {"target": "controlplane", "fault": "process-pause"}
    assert bound("controlplane-down", "nodeport", for_s=2.0, **hung).at_most_s == 0.0  # type: ignore[arg-type]
    assert bound("controlplane-down", "nodeport", for_s=20.0, **hung).at_most_s is None  # type: ignore[arg-type]
    assert bound("controlplane-down", "hostport", for_s=20.0, **hung).at_most_s == 0.0  # type: ignore[arg-type]
