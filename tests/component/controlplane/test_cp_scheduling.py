"""Which node a pod gets, and why not another."""

import pytest
from cp_world import World, container, deployment, pod

from controlplane.controllers.scheduler import describe_failure, is_tolerated_by, why_not


def placed(world: World) -> dict[str, int]:
    counts: dict[str, int] = {}
    for item in world.pods():
        counts[item["spec"].get("nodeName", "")] = counts.get(item["spec"].get("nodeName", ""), 0) + 1
    return counts


def make(count: int = 3) -> World:
    world = World()
    for number in range(1, count + 1):
        world.add_node(f"node-{number}")
    return world


def test_replicas_are_spread_evenly() -> None:
    world = make()
    world.create(deployment(replicas=6))
    assert placed(world) == {"node-1": 2, "node-2": 2, "node-3": 2}


def test_new_replicas_go_where_fewest_of_theirs_are() -> None:
    world = make()
    world.create(deployment(replicas=6))
    world.add_node("node-4")
    world.add_node("node-5")
    world.change("deployments", "web", {"spec": {"replicas": 10}})
    assert placed(world) == {f"node-{number}": 2 for number in range(1, 6)}


def test_cordoned_node_gets_nothing_until_it_is_uncordoned() -> None:
    world = make(2)
    world.change("nodes", "node-1", {"spec": {"unschedulable": True}})
    world.create(deployment(replicas=2))
    assert placed(world) == {"node-2": 2}
    world.change("nodes", "node-1", {"spec": {"unschedulable": None}})
    world.change("deployments", "web", {"spec": {"replicas": 4}})
    assert placed(world) == {"node-1": 2, "node-2": 2}


def test_pod_waits_with_the_schedulers_reasons_and_is_placed_when_there_is_room() -> None:
    world = make(2)
    world.change("nodes", "node-1", {"spec": {"unschedulable": True}})
    world.change("nodes", "node-2", {"spec": {"taints": [{"key": "gpu", "value": "yes", "effect": "NoSchedule"}]}})
    world.create(pod("p"))
    entry = world.get("pods", "p")["status"]["conditions"][0]
    assert (entry["type"], entry["status"], entry["reason"]) == ("PodScheduled", "False", "Unschedulable")
    assert entry["message"] == (
        "0/2 nodes are available: 1 node(s) had untolerated taint {gpu: yes}, 1 node(s) were unschedulable."
    )
    world.change("nodes", "node-2", {"spec": {"taints": None}})
    assert world.get("pods", "p")["spec"]["nodeName"] == "node-2"
    assert world.events.named("pod-scheduled")[-1] | {"t_mono_ns": 0} == {"pod": "p", "node": "node-2", "t_mono_ns": 0}


def test_second_pod_with_a_host_port_needs_another_node() -> None:
    world = make(2)
    for name in ("a", "b", "c"):
        world.create(pod(name, containers=[container(ports=[{"containerPort": 80, "hostPort": 8080}])]))
    assert placed(world) == {"node-1": 1, "node-2": 1, "": 1}
    world.delete("pods", "a", grace_period_s=0)
    assert placed(world) == {"node-1": 1, "node-2": 1}


def test_port_of_a_pod_in_the_node_s_network_is_one_of_the_node_s() -> None:
    world = make(2)
    for name in ("a", "b", "c"):
        world.create(pod(name, hostNetwork=True, containers=[container(ports=[{"containerPort": 8080}])]))
    world.create(pod("d", containers=[container(ports=[{"containerPort": 80, "hostPort": 8080}])]))
    world.create(pod("e", hostNetwork=True, containers=[container(ports=[{"containerPort": 8081}])]))
    assert [world.get("pods", name)["spec"].get("nodeName", "") for name in "abcd"] == ["node-1", "node-2", "", ""]
    assert world.get("pods", "e")["spec"]["nodeName"]


def test_node_selector_and_affinity_are_kept() -> None:
    world = make(3)
    world.change("nodes", "node-2", {"metadata": {"labels": {"disk": "ssd"}}})
    world.create(pod("a", nodeSelector={"disk": "ssd"}))
    term = {
        "matchExpressions": [{"key": "disk", "operator": "DoesNotExist"}],
        "matchFields": [{"key": "metadata.name", "operator": "NotIn", "values": ["node-1"]}],
    }
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}}
    world.create(pod("b", affinity=affinity))
    assert [world.get("pods", name)["spec"]["nodeName"] for name in "ab"] == ["node-2", "node-3"]


def host_pod(**port: object) -> dict:
    return pod("x", containers=[container(ports=[{"containerPort": 80, "protocol": "TCP", "hostPort": 8080} | port])])


@pytest.mark.parametrize(
    ("other", "is_free"),
    [
        ({}, False),
        ({"protocol": "UDP"}, True),
        ({"hostPort": 8081}, True),
        ({"hostIP": "10.0.0.1"}, False),
    ],
)
def test_host_port_conflict(other: dict, is_free: bool) -> None:
    node = {"metadata": {"name": "n"}, "spec": {}}
    reason = why_not(host_pod(), node, [host_pod(**other)])
    assert (reason is None) is is_free


def test_host_ports_of_different_addresses_do_not_conflict() -> None:
    node = {"metadata": {"name": "n"}, "spec": {}}
    assert why_not(host_pod(hostIP="10.0.0.1"), node, [host_pod(hostIP="10.0.0.2")]) is None


TAINT = {"key": "k", "value": "v", "effect": "NoExecute"}


@pytest.mark.parametrize(
    ("toleration", "tolerated"),
    [
        ({"key": "k", "operator": "Exists"}, True),
        ({"key": "k", "value": "v"}, True),
        ({"key": "k", "operator": "Equal", "value": "w"}, False),
        ({"key": "k", "value": "v", "effect": "NoSchedule"}, False),
        ({"operator": "Exists"}, True),
        ({"key": "other", "operator": "Exists"}, False),
    ],
)
def test_toleration(toleration: dict, tolerated: bool) -> None:
    assert is_tolerated_by(toleration, TAINT) is tolerated


def test_cluster_without_nodes_says_so() -> None:
    assert describe_failure(0, {}) == "no nodes available to schedule pods"


def test_node_takes_as_many_pods_as_it_says_and_the_next_when_one_has_gone() -> None:
    world = make(1)
    world.change("nodes", "node-1", {"status": {"allocatable": {"pods": "2"}}}, subresource="status")
    for name in ("a", "b", "c"):
        world.create(pod(name))
    assert placed(world) == {"node-1": 2, "": 1}
    (condition,) = world.get("pods", "c")["status"]["conditions"]
    assert condition["message"] == "0/1 nodes are available: 1 Too many pods."
    world.delete("pods", "a", grace_period_s=0)
    assert placed(world) == {"node-1": 2}
