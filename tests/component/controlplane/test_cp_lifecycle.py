"""The course of a node's death and of evictions, on the clock, as measured on a real cluster with default timings."""

import pytest
from cp_world import World, deployment, pod, service

from controlplane.clock import parse_time
from controlplane.objects import condition, spec_of
from controlplane.settings import Timings

UNREACHABLE = "node.kubernetes.io/unreachable"


def taints(world: World, node: str) -> set[tuple[str, str]]:
    return {(taint["key"], taint["effect"]) for taint in spec_of(world.get("nodes", node)).get("taints", ())}


def test_defaults_are_those_of_the_controller_manager() -> None:
    assert Timings() == Timings(
        node_monitor_period_s=5.0,
        node_monitor_grace_period_s=50.0,
        node_startup_grace_period_s=60.0,
        toleration_s=300.0,
        eviction_rate_per_s=0.1,
    )


def test_dead_node_is_unknown_within_50_to_55_s_and_its_pods_leave_300_s_later() -> None:
    world = World()
    for number in (1, 2, 3):
        world.add_node(f"node-{number}")
    world.create(deployment(replicas=3))
    world.create(service())
    world.advance(7)
    world.kill_node("node-1")
    (lost,) = (item for item in world.pods() if spec_of(item).get("nodeName") == "node-1")
    name = lost["metadata"]["name"]
    unknown_s = next(second for second in range(1, 80) if (world.advance(1), world.ready_status("node-1"))[1] == "Unknown")
    assert 50 < unknown_s <= 55
    # All within one look: taints, the pod's condition, its endpoint.
    assert taints(world, "node-1") == {(UNREACHABLE, "NoSchedule"), (UNREACHABLE, "NoExecute")}
    ready = condition(world.get("pods", name), "Ready")
    assert ready is not None
    assert ready["status"] == "False"
    assert sorted(entry["serving"] for entry in world.endpoints().values()) == [False, True, True]
    world.advance(299, step_s=1)
    assert "deletionTimestamp" not in world.get("pods", name)["metadata"]
    world.advance(2)
    assert world.get("pods", name)["metadata"]["deletionTimestamp"]
    assert [entry["terminating"] for entry in world.endpoints().values()].count(True) == 1
    world.advance(600, step_s=10)
    assert world.exists("pods", name), "nobody is there to confirm its end"


def test_node_that_never_reported_is_given_up_on_after_its_startup_grace() -> None:
    world = World()
    world.create({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-1"}})
    world.advance(59)
    assert world.ready_status("node-1") is None
    world.advance(6)
    entry = condition(world.get("nodes", "node-1"), "Ready")
    assert entry is not None
    assert (entry["status"], entry["reason"]) == ("Unknown", "NodeStatusNeverUpdated")


@pytest.mark.parametrize(("held_s", "is_evicted"), [(29, False), (31, True)])
def test_pod_stays_as_long_as_it_tolerates_a_taint(held_s: int, is_evicted: bool) -> None:
    world = World()
    for number in (1, 2):
        world.add_node(f"node-{number}")
    patience = [{"key": "repair", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 30}]
    world.create(pod("patient", nodeName="node-1", tolerations=patience))
    added = world.cluster.now()
    world.change("nodes", "node-1", {"spec": {"taints": [{"key": "repair", "effect": "NoExecute", "timeAdded": added}]}})
    world.advance(held_s)
    world.change("nodes", "node-1", {"spec": {"taints": None}})
    world.advance(60)
    assert world.exists("pods", "patient") is not is_evicted


def test_cordon_is_a_taint_for_as_long_as_it_lasts() -> None:
    world = World()
    world.add_node("node-1")
    world.change("nodes", "node-1", {"spec": {"unschedulable": True}})
    assert taints(world, "node-1") == {("node.kubernetes.io/unschedulable", "NoSchedule")}
    world.change("nodes", "node-1", {"spec": {"unschedulable": None}})
    assert taints(world, "node-1") == set()


def test_rollout_that_makes_no_progress_says_so_after_its_deadline_and_no_earlier() -> None:
    world = World()
    world.add_node("node-1")
    world.create(deployment(replicas=2, progressDeadlineSeconds=60))
    world.kubelets.readies = False
    change = {"spec": {"template": {"metadata": {"annotations": {"again": "1"}}}}}
    world.change("deployments", "web", change)
    began = parse_time(world.cluster.now())
    told: dict | None = None
    while told is None or told["status"] == "True":
        world.advance(1)
        told = condition(world.get("deployments", "web"), "Progressing")
        assert (parse_time(world.cluster.now()) - began).total_seconds() < 90
    assert (told["status"], told["reason"]) == ("False", "ProgressDeadlineExceeded")
    assert (parse_time(world.cluster.now()) - began).total_seconds() >= 60
    world.kubelets.readies = True
    for item in world.pods():
        world.kubelets.report(item, ready=True)
    world.settle()
    world.advance(5)
    told = condition(world.get("deployments", "web"), "Progressing")
    assert told is not None
    assert told["reason"] == "NewReplicaSetAvailable"
