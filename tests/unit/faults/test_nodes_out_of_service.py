"""Nodes that are drained, stopped, replaced and restarted in turn, in a cluster in memory."""

from collections.abc import Mapping
from typing import Any

import pytest

from orchestrator.errors import DeadlineError
from orchestrator.faults.arming import EvidenceError
from orchestrator.faults.scaling_down import EXCLUDE_LABEL
from orchestrator.model.plan import StepPlan
from orchestrator.registry import ACTIONS
from tests.unit.faults.test_node_faults import SECOND, evidence_of, world
from tests.unit.faults.test_scale import THREE, Cluster, context

Options = dict[str, Any]


class LivingCluster(Cluster):
    """Its nodes come back: a started container registers anew, and an admitted node is served again."""

    def __init__(self, *nodes: str, pods: int) -> None:
        super().__init__(*nodes, pods=pods)
        start, create = self.world.start, self.world.create

        def started(container: str) -> None:
            start(container)
            self.commit()

        def created(*containers: str) -> None:
            create(*containers)
            for container in containers:
                self.join(container)

        self.world.start = started  # type: ignore[method-assign]
        self.world.create = created  # type: ignore[method-assign]

    def react(self, verb: str, resource: str, manifest: Mapping[str, object]) -> None:
        super().react(verb, resource, manifest)
        metadata: Any = manifest["metadata"]
        if (verb, resource) == ("patch", "nodes") and EXCLUDE_LABEL not in metadata.get("labels", {}):
            self.world.told("loadbalancer/lb", "server-undrain", backend="nodeport", server=metadata["name"])

    def plan(self, kind: str, options: Mapping[str, Any], for_s: float | None = None) -> StepPlan:
        action = ACTIONS[kind]
        return action.plan("1", 10, for_s, action.options.model_validate(options), context(*self.nodes()))

    def strike(self, kind: str, options: Mapping[str, Any], for_s: float | None = None) -> StepPlan:
        step = self.plan(kind, options, for_s)
        at_ns = self.world.clock.now_mono_ns() + SECOND
        ACTIONS[kind].arm(step, self.world, at_ns)
        self.world.clock.advance(at_ns)
        ACTIONS[kind].inject(step, self.world, at_ns)
        return step

    def is_admitted(self, node: str) -> bool:
        found: Any = self.kube.get("nodes", node)
        return not found["spec"].get("unschedulable") and EXCLUDE_LABEL not in found["metadata"].get("labels", {})


def test_a_drained_node_has_no_pods_and_takes_some_again_when_healed() -> None:
    cluster = LivingCluster(*THREE, pods=6)
    step = cluster.strike("node-drain", {"target": "node-1"}, 15)
    assert cluster.spread() == {"node-2": 3, "node-3": 3}
    assert not cluster.is_admitted("node-1")
    assert cluster.world.is_running("node-1")
    ACTIONS["node-drain"].heal(step, cluster.world)
    ACTIONS["node-drain"].heal(step, cluster.world)
    assert cluster.is_admitted("node-1")


@pytest.mark.parametrize(
    ("kind", "options", "guarded"),
    [
        ("node-drain", {"target": "node-1"}, ["node-1"]),
        ("node-stop", {"target": "node-1", "drain": True}, ["node-1"]),
        ("node-stop", {"target": "node-1"}, []),
        ("rolling-restart", {}, list(THREE)),
        ("rolling-restart", {"drain": False}, []),
        ("scale", {"nodes": 1, "drain": True}, ["node-2", "node-3"]),
        ("scale", {"nodes": 2}, []),
    ],
)
def test_every_drain_has_its_end_in_the_control_plane_before_it_begins(kind: str, options: Options, guarded: list[str]) -> None:
    """Whoever drains may be killed: no node is cordoned before the guard of its admission stands, nor is any left behind."""
    cluster = LivingCluster(*THREE, pods=6)
    seen: list[tuple[str, str, object]] = []

    def note(container: str, request: Mapping[str, object]) -> None:
        parameters = request.get("parameters")
        if container == "controlplane" and request["op"] == "arm":
            assert isinstance(parameters, dict)
            assert cluster.is_admitted(parameters["node"])
            seen.append((str(request["fault"]), parameters["node"], request["ttl_s"]))

    cluster.world.on_control = note
    step = cluster.strike(kind, options, 15 if kind not in ("rolling-restart", "scale") else None)
    assert [(fault, node) for fault, node, _ in seen] == [("readmission", node) for node in guarded]
    drain_period_s = 2.0
    assert {ttl_s for _, _, ttl_s in seen} <= {step.parameters["ttl_s"] + drain_period_s}
    ACTIONS[kind].heal(step, cluster.world)
    assert not [
        identity
        for identity, container in cluster.world.armed_in.items()
        if container == "controlplane" and identity in cluster.world.armed
    ]


def test_a_drain_that_leaves_rules_to_the_node_is_not_done() -> None:
    cluster = LivingCluster(*THREE, pods=6)
    cluster.deaf.add("node-2")
    with pytest.raises(DeadlineError, match=r"rules of node-2 still have 10\.0\.1\."):
        cluster.strike("node-drain", {"target": "node-1"}, 15)


def test_a_drain_does_not_wait_for_the_rules_of_a_node_that_fails_meanwhile() -> None:
    cluster = LivingCluster(*THREE, pods=6)
    cluster.deaf.add("node-2")
    later_ns = cluster.world.clock.now_mono_ns() + 20 * SECOND
    cluster.world.clock.at(later_ns, lambda: cluster.world.told("controlplane/api", "node-not-ready", node="node-2") and None)
    cluster.strike("node-drain", {"target": "node-1"}, 60)
    assert evidence_of(cluster.world, "step-effective")[1].startswith("node-1 without endpoints after 2")


def test_a_stopped_node_ends_on_the_clock_with_status_0_and_is_healed_by_a_start() -> None:
    cluster = LivingCluster(*THREE, pods=6)
    at_ns = cluster.world.clock.now_mono_ns() + SECOND
    step = cluster.strike("node-stop", {"target": "node-1"}, 15)
    assert evidence_of(cluster.world, "step-effective") == (at_ns, "eth0 down; the engine saw it end with status 0")
    assert not cluster.world.is_running("node-1")
    ACTIONS["node-stop"].heal(step, cluster.world)
    assert cluster.world.is_running("node-1")


def test_a_node_that_is_drained_before_its_stop_ends_empty_and_is_admitted_again() -> None:
    cluster = LivingCluster(*THREE, pods=6)
    step = cluster.strike("node-stop", {"target": "node-1", "drain": True}, 15)
    assert cluster.spread() == {"node-2": 3, "node-3": 3}
    assert not cluster.world.is_running("node-1")
    ACTIONS["node-stop"].heal(step, cluster.world)
    assert cluster.world.is_running("node-1")
    assert cluster.is_admitted("node-1")


def test_an_end_that_was_not_in_order_is_no_stop() -> None:
    here, action = world(), ACTIONS["node-stop"]
    step = action.plan("1", 10, 15, action.options.model_validate({"target": "node-1"}), context(*THREE))
    here.told("node-1/init", "fault-effective", id="1", evidence="SIGTERM to init")
    here.told("orchestrator", "engine", action="die", container="node-1", exit_code=137)
    with pytest.raises(EvidenceError, match="node-stop in node-1: SIGTERM to init; it ended with status 137"):
        action.inject(step, here, here.clock.now_mono_ns())


def test_a_replaced_node_is_gone_for_good_and_a_new_name_and_address_serves_in_its_place() -> None:
    cluster = LivingCluster(*THREE, pods=6)
    step = cluster.strike("node-replace", {"target": "node-2"})
    assert (step.targets, step.parameters["add"], step.parameters["remove"]) == (("node-2", "node-4"), ["node-4"], ["node-2"])
    assert sorted(cluster.nodes()) == ["node-1", "node-3", "node-4"]
    assert ("remove", "node-2") in cluster.world.calls
    assert ("create", "node-4") in cluster.world.calls
    told = [event.event for event in cluster.world.events if event.fields.get("step") == "1" or event.event == "step-effective"]
    assert told == ["step-effective", "node-gone", "node-requested", "node-serving"]
    ACTIONS["node-replace"].heal(step, cluster.world)
    assert not cluster.world.is_running("node-2")


def test_nodes_are_restarted_one_after_the_other_each_empty_and_served_again_before_the_next() -> None:
    cluster = LivingCluster(*THREE, pods=6)
    cluster.strike("rolling-restart", {})
    assert [call for call in cluster.world.calls if call[0] == "start"] == [("start", node) for node in THREE]
    ends = [event for event in cluster.world.events if event.event == "engine"]
    assert [event.fields["container"] for event in ends] == list(THREE)
    assert all(cluster.is_admitted(node) for node in THREE)
    assert sum(cluster.spread().values()) == 6


def test_a_rolling_restart_that_is_broken_off_leaves_every_node_running_and_admitted() -> None:
    cluster = LivingCluster(*THREE, pods=6)
    cluster.deaf.add("node-3")
    with pytest.raises(DeadlineError):
        cluster.strike("rolling-restart", {})
    step = cluster.plan("rolling-restart", {})
    cluster.world.running.discard("node-1")
    ACTIONS["rolling-restart"].heal(step, cluster.world)
    assert cluster.world.is_running("node-1")
    assert all(cluster.is_admitted(node) for node in THREE)


def test_a_drain_to_scale_down_that_is_broken_off_leaves_the_nodes_that_are_still_there_admitted() -> None:
    cluster = LivingCluster(*THREE, pods=6)
    cluster.deaf.add("node-1")
    with pytest.raises(DeadlineError):
        cluster.strike("scale", {"nodes": 2, "drain": True})
    assert not cluster.is_admitted("node-3")
    ACTIONS["scale"].heal(cluster.plan("scale", {"nodes": 2, "drain": True}), cluster.world)
    assert cluster.is_admitted("node-3")
    assert cluster.nodes() == list(THREE)


@pytest.mark.parametrize(
    ("kind", "options", "for_s", "nodes", "message"),
    [
        ("node-drain", {"target": "node-1"}, 5, ["node-1"], "target: the only node's pods have nowhere to go"),
        ("rolling-restart", {}, None, ["node-1"], "drain: the only node's pods have nowhere to go; allowed: false"),
        ("rolling-restart", {}, 5, THREE, "for: a rolling restart ends with the last node; allowed: no `for`"),
        ("node-replace", {"target": "node-1"}, 5, THREE, "for: a replaced node does not come back; allowed: no `for`"),
        ("node-replace", {"target": "node-1"}, None, [f"node-{n}" for n in range(1, 8)], "nodes: more nodes than addresses"),
        ("node-stop", {"target": "node-9"}, 5, THREE, "target: no node 'node-9' at that instant"),
        ("pod-kill", {"target": "node-1"}, 5, THREE, "for: the kubelet starts a pod's program again by itself"),
    ],
)
def test_what_cannot_be_planned_is_refused(
    kind: str, options: Mapping[str, Any], for_s: float | None, nodes: list[str], message: str
) -> None:
    action = ACTIONS[kind]
    with pytest.raises(ValueError, match=message):
        action.plan("1", 10, for_s, action.options.model_validate(options), context(*nodes))


def test_pods_that_fail_their_probes_are_proven_by_the_kubelet_and_count_from_the_strike() -> None:
    here, action = world(), ACTIONS["pod-not-ready"]
    step = action.plan("1", 10, 15, action.options.model_validate({"target": "node-1", "pods": "all"}), context(*THREE))
    at_ns = here.clock.now_mono_ns() + SECOND
    action.arm(step, here, at_ns)
    here.clock.at(at_ns + SECOND, lambda: here.told("node-2/agent", "pod-not-ready", pod="b", node="node-2") and None)
    here.clock.at(at_ns + 2 * SECOND, lambda: here.told("node-1/agent", "pod-not-ready", pod="a", node="node-1") and None)
    action.inject(step, here, at_ns)
    assert here.armed["1"]["parameters"] == {"count": None}
    assert evidence_of(here, "step-effective") == (at_ns, "eth0 down; a not ready 2000 ms later")


def test_pods_that_nobody_finds_not_ready_are_no_evidence() -> None:
    here, action = world(), ACTIONS["pod-not-ready"]
    step = action.plan("1", 10, 5, action.options.model_validate({"target": "node-1"}), context(*THREE))
    action.arm(step, here, here.clock.now_mono_ns())
    with pytest.raises(EvidenceError, match="no pod became not ready within 5 s"):
        action.inject(step, here, here.clock.now_mono_ns())
