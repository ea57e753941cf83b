"""Nodes: their pod CIDRs, and what the cluster does when one falls silent, comes back or is deleted."""

import shutil
from ipaddress import IPv4Network
from pathlib import Path

import pytest
from cp_world import World, deployment, pod, service

from controlplane.allocation.pod_cidrs import NoCidrError, pick_pod_cidr
from controlplane.controllers.node_health import TokenBucket, ZoneState, judge_zones
from controlplane.store.journal import Journal


def cidr(name: str, *used: str, mask: int = 24) -> str:
    taken = [IPv4Network(text) for text in used]
    return str(pick_pod_cidr(name, cluster_cidr=IPv4Network("10.0.0.0/16"), mask_size=mask, used=taken))


def test_pod_cidr_follows_the_number_in_the_name() -> None:
    assert [cidr("node-1"), cidr("node-7"), cidr("worker-a-12")] == ["10.0.1.0/24", "10.0.7.0/24", "10.0.12.0/24"]


def test_pod_cidr_is_the_lowest_free_one_otherwise() -> None:
    assert cidr("spare") == "10.0.1.0/24"
    assert cidr("node-1", "10.0.1.0/24") == "10.0.2.0/24"
    assert cidr("node-999") == "10.0.1.0/24"


def test_pod_cidrs_run_out() -> None:
    used = [f"10.0.{number * 64}.0/18" for number in range(4)]
    assert cidr("x", *used[1:], mask=18) == "10.0.0.0/18"
    with pytest.raises(NoCidrError, match=r"all 4 subnets of 10\.0\.0\.0/16 are assigned"):
        cidr("x", *used, mask=18)


def test_node_that_returns_after_deletion_has_its_cidr_again() -> None:
    world = World()
    for name in ("node-1", "node-2"):
        world.add_node(name)
    world.delete("nodes", "node-1")
    assert world.add_node("node-1")["spec"]["podCIDR"] == "10.0.1.0/24"


def test_new_node_may_not_be_used_before_it_is_ready() -> None:
    world = World()
    node = world.add_node("node-1", ready=False)
    assert {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"} in [
        {key: taint[key] for key in ("key", "effect")} for taint in node["spec"]["taints"]
    ]
    world.create(pod("p"))
    assert "nodeName" not in world.get("pods", "p")["spec"]
    world.report_node("node-1", ready=True)
    assert "taints" not in world.get("nodes", "node-1")["spec"]
    assert world.get("pods", "p")["spec"]["nodeName"] == "node-1"


def running(count: int = 3, replicas: int = 6) -> World:
    world = World()
    for number in range(1, count + 1):
        world.add_node(f"node-{number}")
    world.create(deployment(replicas=replicas))
    world.create(service())
    world.advance(3)
    world.events.seen.clear()
    return world


def on_node(world: World, node: str) -> list[dict]:
    return [item for item in world.pods() if item["spec"].get("nodeName") == node]


def test_silent_node_is_unknown_only_after_its_grace_period() -> None:
    world = running()
    world.kill_node("node-1")
    world.advance(49)
    assert world.ready_status("node-1") == "True"
    world.advance(6)
    assert world.ready_status("node-1") == "Unknown"
    assert {name for name, _ in world.events.seen} >= {"node-not-ready"}


def test_endpoints_of_a_lost_node_are_not_ready_at_the_same_instant() -> None:
    world = running()
    lost = {item["status"]["podIP"] + ":8080" for item in on_node(world, "node-1")}
    world.kill_node("node-1")
    world.advance(60)
    conditions = world.endpoints()
    assert {address for address, entry in conditions.items() if not entry["ready"]} == lost
    assert all(conditions[address] == {"ready": False, "serving": False, "terminating": False} for address in lost)
    stamps = {fields["t_mono_ns"] for name, fields in world.events.seen if name in ("node-not-ready", "endpoint-not-ready")}
    assert len(stamps) == 1
    lost_node = world.events.named("node-not-ready")[0]
    assert (lost_node["node"], lost_node["reason"]) == ("node-1", "NodeStatusUnknown")
    assert 50 < lost_node["lease_age_s"] <= 56


def test_lost_node_carries_both_taints_and_all_conditions_unknown() -> None:
    world = running()
    world.kill_node("node-1")
    world.advance(60)
    node = world.get("nodes", "node-1")
    taints = {(taint["key"], taint["effect"]) for taint in node["spec"]["taints"]}
    assert taints == {("node.kubernetes.io/unreachable", effect) for effect in ("NoSchedule", "NoExecute")}
    assert {entry["type"]: entry["status"] for entry in node["status"]["conditions"]} == dict.fromkeys(
        ("Ready", "MemoryPressure", "DiskPressure", "PIDPressure"), "Unknown"
    )


def test_conditions_of_a_lost_node_say_that_its_kubelet_stopped_and_those_it_never_had_that_it_never_began() -> None:
    world = running()
    world.kill_node("node-1")
    world.advance(60)
    said = {entry["type"]: (entry["reason"], entry["message"]) for entry in world.get("nodes", "node-1")["status"]["conditions"]}
    assert said["Ready"] == ("NodeStatusUnknown", "Kubelet stopped posting node status.")
    assert said["PIDPressure"] == ("NodeStatusNeverUpdated", "Kubelet never posted node status.")


def test_pods_of_a_lost_node_are_evicted_after_their_toleration_and_stay_until_the_node_is_deleted() -> None:
    world = running()
    lost = {item["metadata"]["name"] for item in on_node(world, "node-1")}
    world.kill_node("node-1")
    world.advance(300, step_s=10)
    assert not world.events.named("pod-evicted")
    world.advance(80, step_s=10)
    assert {fields["pod"] for fields in world.events.named("pod-evicted")} == lost
    assert all(item["metadata"].get("deletionTimestamp") for item in on_node(world, "node-1"))
    assert sum(1 for entry in world.endpoints().values() if entry["terminating"]) == len(lost)
    assert world.get("deployments", "web")["status"]["readyReplicas"] == 6
    world.delete("nodes", "node-1")
    world.advance(41)
    assert on_node(world, "node-1") == []
    assert len(world.endpoints()) == 6
    assert [fields["node"] for fields in world.events.named("node-deleted")] == ["node-1"]


def test_node_that_returns_in_time_keeps_its_pods_and_they_become_ready_again() -> None:
    world = running()
    before = {item["metadata"]["uid"] for item in world.pods()}
    world.kill_node("node-1")
    world.advance(60)
    world.revive_node("node-1")
    assert world.ready_status("node-1") == "True"
    assert "taints" not in world.get("nodes", "node-1")["spec"]
    assert all(entry["ready"] for entry in world.endpoints().values())
    world.advance(400, step_s=10)
    assert {item["metadata"]["uid"] for item in world.pods()} == before


def test_node_that_returns_within_the_grace_period_was_never_lost() -> None:
    world = running()
    world.kill_node("node-1")
    world.advance(40)
    world.revive_node("node-1")
    world.advance(60)
    assert not world.events.named("node-not-ready")


def test_lease_alone_keeps_a_node_alive() -> None:
    world = running()
    world.advance(300, step_s=10)
    assert all(world.ready_status(f"node-{number}") == "True" for number in (1, 2, 3))


def test_node_that_says_it_is_not_ready_loses_its_endpoints_at_once() -> None:
    world = running()
    world.report_node("node-2", ready=False)
    assert sum(1 for entry in world.endpoints().values() if not entry["ready"]) == 2
    taints = world.get("nodes", "node-2")["spec"]["taints"]
    assert {taint["key"] for taint in taints} == {"node.kubernetes.io/not-ready"}


def test_pod_without_tolerance_is_evicted_at_once_and_one_with_endless_patience_never() -> None:
    world = World()
    for name in ("node-1", "node-2"):
        world.add_node(name)
    forever = [{"operator": "Exists"}]
    world.create(pod("patient", nodeName="node-1", tolerations=forever))
    world.change("nodes", "node-1", {"spec": {"taints": [{"key": "x", "effect": "NoExecute"}]}})
    world.create(pod("hasty", nodeName="node-1"))
    assert world.exists("pods", "patient")
    assert not world.exists("pods", "hasty")


def test_when_every_node_is_lost_nothing_is_evicted() -> None:
    world = running()
    for number in (1, 2, 3):
        world.kill_node(f"node-{number}")
    world.advance(600, step_s=10)
    assert not world.events.named("pod-evicted")
    assert len(world.pods()) == 6


def test_when_most_of_a_zone_is_lost_only_the_first_are_evicted() -> None:
    world = running(count=5, replicas=5)
    for number in (1, 2, 3):
        world.kill_node(f"node-{number}")
    world.advance(600, step_s=10)
    tainted = [
        node["metadata"]["name"]
        for node in world.store.items("nodes")
        if any(taint["effect"] == "NoExecute" for taint in node["spec"].get("taints", []))
    ]
    assert len(tainted) < 3


def node(name: str, ready: bool, zone: str = "") -> dict:
    labels = {"topology.kubernetes.io/zone": zone}
    status = {"conditions": [{"type": "Ready", "status": "True" if ready else "Unknown"}]}
    return {"metadata": {"name": name, "labels": labels}, "status": status}


@pytest.mark.parametrize(
    ("readiness", "state"),
    [
        ([True, True, True], ZoneState.NORMAL),
        ([True, False, False], ZoneState.NORMAL),
        ([True, False, False, False], ZoneState.PARTIAL),
        ([True, True, True, False, False, False], ZoneState.NORMAL),
        ([False], ZoneState.FULL),
    ],
)
def test_zone_state(readiness: list[bool], state: ZoneState) -> None:
    assert judge_zones(node(str(index), ready) for index, ready in enumerate(readiness)) == {"": state}


def test_evictions_come_one_by_one() -> None:
    bucket = TokenBucket(rate_per_s=0.1)
    taken = [second for second in range(31) if bucket.take(second * 1_000_000_000)]
    assert taken == [0, 10, 20, 30]


def test_restarted_control_plane_gives_every_node_its_full_grace_again(tmp_path: Path) -> None:
    first = World(journal=Journal(tmp_path / "db", keep=1000))
    first.add_node("node-1")
    first.add_node("node-2")
    first.create(deployment(replicas=2))
    first.create(service())
    before = first.endpoints()
    left = tmp_path / "left"
    left.mkdir()
    for file in tmp_path.glob("db*"):
        shutil.copy(file, left / file.name)
    second = World(journal=Journal(left / "db", keep=1000), clock=first.clock)
    assert second.store.version == first.store.version + 2, "the node controller has met two nodes, and nothing else has changed"
    assert [item["reason"] for item in second.store.items("events")][-2:] == ["RegisteredNode", "RegisteredNode"]
    assert second.endpoints() == before
    second.advance(45)
    assert second.ready_status("node-1") == "True"
    second.advance(15)
    assert second.ready_status("node-1") == "Unknown"


def events_about(world: World, name: str) -> list[tuple[str, str, int]]:
    found = [item for item in world.store.items("events") if item["involvedObject"]["name"] == name]
    return [(item["reason"], item["message"], item["count"]) for item in found]


def test_coming_loss_and_going_of_a_node_are_told_as_the_node_controller_tells_them() -> None:
    world = World()
    world.add_node("a")
    world.add_node("b")
    world.advance(5)
    assert events_about(world, "a") == [("RegisteredNode", "Node a event: Registered Node a in Controller", 1)]
    world.kill_node("a")
    world.advance(60)
    assert events_about(world, "a")[1:] == [("NodeNotReady", "Node a status is now: NodeNotReady", 1)]
    world.delete("nodes", "a")
    world.advance(5)
    assert events_about(world, "a")[2:] == [("RemovingNode", "Node a event: Removing Node a from Controller", 1)]
    told = next(item for item in world.store.items("events") if item["involvedObject"]["name"] == "a")
    assert told["source"] == {"component": "node-controller"}
    assert told["metadata"]["namespace"] == "default"


def test_node_that_never_was_ready_is_lost_without_an_event() -> None:
    world = World()
    world.add_node("a", ready=False)
    world.kill_node("a")
    world.advance(70)
    assert world.ready_status("a") == "Unknown"
    assert "NodeNotReady" not in [reason for reason, _, _ in events_about(world, "a")]
