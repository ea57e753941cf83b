"""What is collected because what it needs is not there: pods without their node, dependents without their owner."""

from cp_world import World, deployment, names, pod

from controlplane.objects import Object
from controlplane.store.history import Change, ChangeType

OUT_OF_SERVICE = {"key": "node.kubernetes.io/out-of-service", "value": "nodeshutdown", "effect": "NoExecute"}


def follow(world: World) -> list[tuple[str, str]]:
    """Fills with phase and reason of the disruption of each pod as it is when it is deleted."""
    seen: list[tuple[str, str]] = []

    def note(change: Change) -> None:
        if change.plural == "pods" and change.type is ChangeType.DELETED:
            status = change.item["status"]
            reasons = [entry["reason"] for entry in status["conditions"] if entry["type"] == "DisruptionTarget"]
            seen.append((status["phase"], *reasons))  # type: ignore[arg-type]

    world.store.subscribe(note)
    return seen


def test_pod_that_is_bound_to_a_node_that_is_not_there_is_deleted_after_40_s() -> None:
    world = World()
    ended = follow(world)
    world.create(pod("p", nodeName="nowhere"))
    world.advance(39)
    assert world.exists("pods", "p")
    world.advance(2)
    assert not world.exists("pods", "p")
    assert ended == [("Failed", "DeletionByPodGC")]


def test_pod_whose_node_comes_in_time_stays() -> None:
    world = World()
    world.create(pod("p", nodeName="late"))
    world.advance(30)
    world.add_node("late")
    world.advance(60)
    assert world.exists("pods", "p")


def test_quarantine_is_as_short_as_the_looks_at_the_nodes() -> None:
    timings = {"node_monitor_period_s": 0.5, "node_monitor_grace_period_s": 5.0, "node_startup_grace_period_s": 6.0}
    world = World(timings={**timings, "toleration_s": 30.0, "eviction_rate_per_s": 1.0})
    world.create(pod("p", nodeName="nowhere"))
    world.advance(5)
    assert not world.exists("pods", "p")


def test_pods_of_a_node_that_is_deleted_stay_as_they_were_for_40_s_and_go_as_failed() -> None:
    world = World()
    ended = follow(world)
    world.add_node("a")
    world.create(pod("p"))
    world.kill_node("a")
    before = world.get("pods", "p")
    world.delete("nodes", "a")
    world.advance(39)
    assert world.get("pods", "p") == before
    world.advance(2)
    assert not world.exists("pods", "p")
    assert ended == [("Failed", "DeletionByPodGC")]


def test_nothing_is_made_in_place_of_a_pod_without_node_until_it_is_collected_or_deleted_by_force() -> None:
    world = World()
    world.add_node("a")
    world.create(deployment(replicas=2))
    world.add_node("b")
    world.kill_node("a")
    world.delete("nodes", "a")
    lost = names(world.pods())
    world.delete("pods", lost[0], grace_period_s=0)
    assert lost[1] in names(world.pods())
    assert [item["spec"]["nodeName"] for item in world.pods() if item["metadata"]["name"] not in lost] == ["b"]
    world.advance(41)
    assert [item["spec"]["nodeName"] for item in world.pods()] == ["b", "b"]


def test_node_that_comes_again_within_the_quarantine_finds_its_pods() -> None:
    world = World()
    world.add_node("a")
    world.create(pod("p"))
    world.delete("nodes", "a")
    world.advance(30)
    world.add_node("a")
    world.advance(120)
    assert world.exists("pods", "p")


def test_terminating_pods_of_a_node_that_is_out_of_service_go_without_their_kubelet() -> None:
    world = World()
    world.add_node("a")
    tolerations = [{"operator": "Exists"}]
    for name in ("p", "q"):
        world.create(pod(name, tolerations=tolerations))
    world.kill_node("a")
    world.advance(60)
    world.delete("pods", "p")
    assert world.exists("pods", "p"), "nobody has ended it"
    world.change("nodes", "a", {"spec": {"taints": [*world.get("nodes", "a")["spec"]["taints"], OUT_OF_SERVICE]}})
    assert names(world.pods()) == ["q"]
    world.delete("pods", "q")
    assert world.pods() == []


def test_taint_alone_takes_no_pod_from_a_node_that_is_ready() -> None:
    world = World()
    world.add_node("a")
    world.kubelets.ends_pods = False
    world.create(pod("p", tolerations=[{"operator": "Exists"}]))
    world.change("nodes", "a", {"spec": {"taints": [OUT_OF_SERVICE]}})
    world.delete("pods", "p")
    assert world.exists("pods", "p")


def owned(name: str, *owners: Object) -> Object:
    references = [
        {name: owner[name] for name in ("apiVersion", "kind")} | {key: owner["metadata"][key] for key in ("name", "uid")}
        for owner in owners
    ]
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "ownerReferences": references}}


GONE = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "gone", "uid": "1"}}


def test_dependent_of_an_owner_that_is_not_there_is_deleted() -> None:
    world = World()
    world.create(owned("a", GONE))
    assert not world.exists("configmaps", "a")


def test_owner_of_the_same_name_is_another_one() -> None:
    world = World()
    owner = world.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "gone"}})
    world.create(owned("a", GONE))
    world.create(owned("b", owner))
    assert not world.exists("configmaps", "a")
    assert world.exists("configmaps", "b")


def test_dependent_of_an_owner_in_another_namespace_is_deleted() -> None:
    world = World()
    world.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "other"}})
    owner = world.create(GONE | {"metadata": {"name": "o", "namespace": "other"}}, namespace="other")
    world.create(owned("a", owner))
    assert not world.exists("configmaps", "a")


def test_reference_to_an_owner_that_is_not_there_goes_when_another_one_is() -> None:
    world = World()
    owner = world.create(deployment(replicas=0))
    world.create(owned("a", GONE, owner))
    assert [item["name"] for item in world.get("configmaps", "a")["metadata"]["ownerReferences"]] == ["web"]


def test_owner_of_a_kind_that_is_not_served_may_exist() -> None:
    world = World()
    world.create(owned("a", {**GONE, "apiVersion": "example.com/v1", "kind": "Other"}))
    assert world.exists("configmaps", "a")


def test_reference_that_comes_later_counts_as_well() -> None:
    world = World()
    world.create(owned("a"))
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "gone", "uid": "1"}
    world.change("configmaps", "a", {"metadata": {"ownerReferences": [reference]}})
    assert not world.exists("configmaps", "a")
