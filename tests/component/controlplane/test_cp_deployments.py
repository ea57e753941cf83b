"""Deployments: rollouts within their bounds, and who goes first when there are too many."""

from collections import Counter

import pytest
from cp_world import World, deployment, names

from controlplane.controllers.proportions import is_scaled, plan_scaling
from controlplane.controllers.replicasets import rank_for_deletion
from controlplane.controllers.revisions import PAST_REVISIONS, with_past_revision
from controlplane.controllers.rollout import Replicas, plan_recreate, plan_rolling


def make(replicas: int = 4, **spec: object) -> World:
    world = World()
    for number in (1, 2, 3):
        world.add_node(f"node-{number}")
    world.create(deployment(replicas=replicas, **spec))
    return world


def image(text: str) -> dict:
    return {
        "spec": {
            "template": {
                "spec": {"containers": [{"name": "web", "image": text, "ports": [{"name": "http", "containerPort": 8080}]}]}
            }
        }
    }


def images(world: World) -> Counter:
    return Counter(item["spec"]["containers"][0]["image"] for item in world.pods())


def test_deployment_reports_what_rollout_status_reads() -> None:
    status = make().get("deployments", "web")["status"]
    assert {key: status[key] for key in ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")} == {
        "replicas": 4, "updatedReplicas": 4, "readyReplicas": 4, "availableReplicas": 4,
    }  # fmt: skip
    assert status["observedGeneration"] == 1
    assert {entry["type"]: (entry["status"], entry["reason"]) for entry in status["conditions"]} == {
        "Available": ("True", "MinimumReplicasAvailable"),
        "Progressing": ("True", "NewReplicaSetAvailable"),
    }


def test_rolling_update_keeps_its_bounds_at_every_commit() -> None:
    world = make(replicas=4)
    sizes, available = [], []

    def observe(change: object) -> None:
        if change.plural == "pods":
            living = [item for item in world.store.items("pods") if not item["metadata"].get("deletionTimestamp")]
            sizes.append(len(living))
            ready = [
                item
                for item in living
                if any(e["type"] == "Ready" and e["status"] == "True" for e in item["status"].get("conditions", []))
            ]
            available.append(len(ready))

    world.store.subscribe(observe)
    world.change("deployments", "web", image("nginx:2"))
    assert images(world) == {"nginx:2": 4}
    assert max(sizes) <= 5
    assert min(available) >= 3


def test_rolling_update_that_cannot_become_ready_stops_and_keeps_serving() -> None:
    world = make(replicas=4)
    world.kubelets.readies = False
    world.change("deployments", "web", image("broken"))
    assert images(world) == {"nginx": 3, "broken": 2}
    world.advance(700, step_s=50)
    conditions = {entry["type"]: entry for entry in world.get("deployments", "web")["status"]["conditions"]}
    assert conditions["Progressing"]["reason"] == "ProgressDeadlineExceeded"
    world.kubelets.readies = True
    world.change("deployments", "web", image("nginx"))
    assert images(world) == {"nginx": 4}


def test_recreate_has_no_pods_of_two_kinds() -> None:
    world = make(strategy={"type": "Recreate"})
    kinds = []
    world.store.subscribe(lambda change: kinds.append(len(images(world))) if change.plural == "pods" else None)
    world.change("deployments", "web", image("nginx:2"))
    assert images(world) == {"nginx:2": 4}
    assert max(kinds) == 1


def test_undone_rollout_uses_the_old_replica_set_as_newest_revision() -> None:
    world = make()
    first = world.get("deployments", "web")["metadata"]["annotations"]["deployment.kubernetes.io/revision"]
    world.change("deployments", "web", image("nginx:2"))
    world.change("deployments", "web", image("nginx"))
    assert first == "1"
    assert world.get("deployments", "web")["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "3"
    assert len(list(world.store.items("replicasets"))) == 2


def test_history_is_kept_to_its_limit() -> None:
    world = make(revisionHistoryLimit=2)
    for number in range(5):
        world.change("deployments", "web", image(f"nginx:{number}"))
    assert len(list(world.store.items("replicasets"))) == 3


def test_paused_deployment_scales_but_does_not_roll() -> None:
    world = make()
    world.change("deployments", "web", {"spec": {"paused": True}})
    world.change("deployments", "web", image("nginx:2"))
    assert images(world) == {"nginx": 4}
    world.change("deployments", "web", {"spec": {"replicas": 6}})
    assert images(world) == {"nginx": 6}
    world.change("deployments", "web", {"spec": {"paused": None}})
    assert images(world) == {"nginx:2": 6}


def test_paused_deployment_that_recreates_keeps_its_pods_when_its_image_changes() -> None:
    world = make(strategy={"type": "Recreate"}, paused=True)
    world.change("deployments", "web", {"spec": {"paused": None}})
    world.change("deployments", "web", {"spec": {"paused": True}})
    world.change("deployments", "web", image("nginx:2"))
    assert images(world) == {"nginx": 4}
    world.change("deployments", "web", {"spec": {"replicas": 6}})
    assert images(world) == {"nginx": 6}
    world.change("deployments", "web", {"spec": {"paused": None}})
    assert images(world) == {"nginx:2": 6}


def test_what_is_said_of_a_change_is_said_of_its_revision() -> None:
    world = make()
    world.change("deployments", "web", image("nginx:2"))
    world.change("deployments", "web", {"metadata": {"annotations": {"kubernetes.io/change-cause": "v2"}}})
    causes = {
        item["metadata"]["annotations"]["deployment.kubernetes.io/revision"]: item["metadata"]["annotations"].get(
            "kubernetes.io/change-cause"
        )
        for item in world.store.items("replicasets")
    }
    assert causes == {"1": None, "2": "v2"}


def test_deployment_that_comes_back_adopts_its_replica_set_and_pods() -> None:
    world = make()
    before = sorted(names(world.pods()))
    world.delete("deployments", "web", propagation="Orphan")
    world.create(deployment(replicas=4))
    assert sorted(names(world.pods())) == before
    assert world.get("deployments", "web")["status"]["readyReplicas"] == 4
    (replicaset,) = world.store.items("replicasets")
    assert [item["uid"] for item in replicaset["metadata"]["ownerReferences"]] == [
        world.get("deployments", "web")["metadata"]["uid"]
    ]


def test_pod_that_is_labelled_otherwise_is_released_and_replaced_and_adopted_when_it_is_labelled_back() -> None:
    world = make(replicas=2)
    name = world.pods()[0]["metadata"]["name"]
    label = world.pods()[0]["metadata"]["labels"]["app"]
    world.change("pods", name, {"metadata": {"labels": {"app": "quarantine"}}})
    assert len(world.pods()) == 3
    assert (
        "ownerReferences" not in world.get("pods", name)["metadata"] or not world.get("pods", name)["metadata"]["ownerReferences"]
    )
    assert world.get("deployments", "web")["status"]["readyReplicas"] == 2
    world.change("pods", name, {"metadata": {"labels": {"app": label}}})
    assert len(world.pods()) == 2


def test_lost_pod_is_replaced() -> None:
    world = make()
    world.delete("pods", world.pods()[0]["metadata"]["name"])
    assert len(world.pods()) == 4


def test_pod_that_takes_its_time_to_end_is_replaced_at_once() -> None:
    world = make(replicas=2)
    world.kubelets.ends_pods = False
    world.delete("pods", world.pods()[0]["metadata"]["name"])
    assert len(world.pods()) == 3
    assert world.get("deployments", "web")["status"]["availableReplicas"] == 2


def test_pods_are_available_only_after_min_ready_seconds() -> None:
    world = make(minReadySeconds=10)
    assert "availableReplicas" not in world.get("deployments", "web")["status"]
    world.advance(11)
    assert world.get("deployments", "web")["status"]["availableReplicas"] == 4


def test_scale_down_takes_pods_of_a_lost_node_first() -> None:
    world = make(replicas=6)
    world.kill_node("node-2")
    world.advance(60)
    world.change("deployments", "web", {"spec": {"replicas": 4}})
    ending = [item for item in world.pods() if item["metadata"].get("deletionTimestamp")]
    assert {item["spec"]["nodeName"] for item in ending} == {"node-2"}


def ranked(
    name: str,
    *,
    node: str = "n",
    phase: str = "Running",
    ready: bool = True,
    since: int = 0,
    cost: str = "",
    made: int = 0,
    restarts: int = 0,
) -> dict:
    annotations = {"controller.kubernetes.io/pod-deletion-cost": cost} if cost else {}
    return {
        "metadata": {"name": name, "creationTimestamp": f"2026-01-01T00:00:{made:02}Z", "annotations": annotations},
        "spec": {"nodeName": node} if node else {},
        "status": {
            "phase": phase,
            "conditions": [{"type": "Ready", "status": str(ready), "lastTransitionTime": f"2026-01-01T00:01:{since:02}Z"}],
            "containerStatuses": [{"restartCount": restarts}],
        },
    }  # fmt: skip


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param(ranked("z", node=""), ranked("a"), id="unassigned before assigned"),
        pytest.param(ranked("z", phase="Pending", ready=False), ranked("a", ready=False), id="pending before running"),
        pytest.param(ranked("z", ready=False), ranked("a", cost="-5"), id="not ready before ready, whatever the cost"),
        pytest.param(ranked("z", cost="-1"), ranked("a"), id="cheap before dear"),
        pytest.param(ranked("z", node="crowded"), ranked("a"), id="crowded node before empty one"),
        pytest.param(ranked("z", since=9), ranked("a", since=1), id="ready for a short time before a long time"),
        pytest.param(ranked("z", restarts=3), ranked("a"), id="restarted before stable"),
        pytest.param(ranked("z", made=9), ranked("a", made=1), id="young before old"),
    ],
)
def test_who_is_deleted_first(first: dict, second: dict) -> None:
    related = Counter({"crowded": 3, "n": 1})
    for order in ([first, second], [second, first]):
        assert names(rank_for_deletion(order, related)[:1]) == [first["metadata"]["name"]]


def sets(**sizes: tuple[int, int]) -> dict[str, Replicas]:
    return {name: Replicas(name=name, wanted=wanted, available=available) for name, (wanted, available) in sizes.items()}


@pytest.mark.parametrize(
    ("sizes", "wanted", "surge", "unavailable", "plan"),
    [
        ({"new": (0, 0)}, 3, 1, 0, {"new": 3}),
        ({"new": (5, 5)}, 3, 1, 0, {"new": 3}),
        ({"new": (0, 0), "old": (4, 4)}, 4, 1, 1, {"new": 1, "old": 3}),
        ({"new": (0, 0), "old": (4, 4)}, 4, 1, 0, {"new": 1}),
        ({"new": (1, 1), "old": (4, 4)}, 4, 1, 0, {"old": 3}),
        ({"new": (0, 0), "old": (4, 2)}, 4, 0, 1, {"old": 3}),
        ({"new": (0, 0), "old": (3, 3)}, 3, 3, 0, {"new": 3}),
        ({"new": (3, 3), "old": (3, 3)}, 3, 3, 0, {"old": 0}),
        ({"new": (1, 0), "old": (3, 3)}, 3, 1, 0, {}),
    ],
)
def test_rolling_step(sizes: dict, wanted: int, surge: int, unavailable: int, plan: dict) -> None:
    found = sets(**sizes)
    new = found.pop("new")
    step = plan_rolling(wanted=wanted, surge=surge, unavailable=unavailable, new=new, old=list(found.values()))
    assert step == plan


def test_recreate_steps() -> None:
    found = sets(new=(0, 0), old=(3, 3), done=(0, 0))
    assert plan_recreate(wanted=3, new=None, old=[found["old"]]) == {"old": 0}
    assert plan_recreate(wanted=3, new=found["new"], old=[found["done"]]) == {"new": 3}


def test_deleted_deployment_takes_its_pods_along() -> None:
    world = make()
    world.delete("deployments", "web")
    assert (world.pods(), list(world.store.items("replicasets"))) == ([], [])


def test_orphaned_replica_set_keeps_its_pods() -> None:
    world = make()
    world.delete("deployments", "web", propagation="Orphan")
    assert not world.exists("deployments", "web")
    assert len(world.pods()) == 4


def test_foreground_deletion_waits_for_the_pods() -> None:
    world = make(replicas=1)
    world.kubelets.ends_pods = False
    world.delete("deployments", "web", propagation="Foreground")
    assert world.get("deployments", "web")["metadata"]["finalizers"] == ["foregroundDeletion"]
    world.kubelets.ends_pods = True
    world.delete("pods", world.pods()[0]["metadata"]["name"], grace_period_s=0)
    assert not world.exists("deployments", "web")


def sized(name: str, size: int, *, available: int | None = None, desired: int = 10, maximum: int = 13) -> Replicas:
    return Replicas(name=name, wanted=size, available=size if available is None else available, desired=desired, maximum=maximum)


@pytest.mark.parametrize(
    ("old", "new", "wanted", "surge", "plan"),
    [
        pytest.param([8], 5, 15, 3, {"old-0": 11, "new": 7}, id="up, as in the documentation"),
        pytest.param([8], 5, 5, 3, {"old-0": 5, "new": 3}, id="down"),
        pytest.param([8], 5, 0, 3, {"old-0": 0, "new": 0}, id="to nothing"),
        pytest.param([5, 5], 3, 15, 3, {"old-0": 7, "old-1": 7, "new": 4}, id="of three"),
        pytest.param([4, 4], 4, 10, 3, {"old-0": 4, "old-1": 4, "new": 5}, id="what no share takes goes to the first"),
        pytest.param([6], 6, 12, 4, {"old-0": 7, "new": 9}, id="of equals the younger grows"),
        pytest.param([6], 6, 8, 2, {"old-0": 5, "new": 5}, id="of equals both shrink"),
        pytest.param([8], 5, 10, 3, {"old-0": 8, "new": 5}, id="nothing to add"),
        pytest.param([8, 0], 0, 12, 3, {"old-0": 12}, id="one alone is all of it"),
        pytest.param([0, 0], 0, 4, 1, {"new": 4}, id="of none with pods the new one"),
    ],
)
def test_scaling_during_a_rollout_gives_each_replica_set_its_share(
    old: list[int], new: int, wanted: int, surge: int, plan: dict[str, int]
) -> None:
    found = [sized(f"old-{number}", size) for number, size in enumerate(old)]
    planned = plan_scaling(wanted=wanted, surge=surge, new=sized("new", new), old=found, is_rolling=True, shown=13)
    assert planned == plan


def test_old_replica_sets_go_when_the_new_one_is_all_that_is_wanted() -> None:
    new, old = sized("new", 10), [sized("old", 3)]
    assert plan_scaling(wanted=10, surge=3, new=new, old=old, is_rolling=True, shown=13) == {"old": 0}
    unready = sized("new", 10, available=9)
    assert plan_scaling(wanted=10, surge=3, new=unready, old=old, is_rolling=True, shown=13) == {"old": 3, "new": 10}


def test_deployment_counts_as_scaled_by_what_its_replica_sets_with_pods_were_told() -> None:
    assert is_scaled([sized("a", 3)], wanted=9)
    assert not is_scaled([sized("a", 3)], wanted=10)
    assert not is_scaled([sized("a", 0)], wanted=9)
    assert not is_scaled([Replicas(name="a", wanted=3, available=3)], wanted=9)


def test_deployment_that_is_scaled_while_it_rolls_keeps_the_proportion_and_then_goes_on() -> None:
    world = make(replicas=10, strategy={"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 3, "maxUnavailable": 2}})
    world.kubelets.readies = False
    world.change("deployments", "web", image("broken"))
    assert images(world) == {"nginx": 8, "broken": 5}
    world.change("deployments", "web", {"spec": {"replicas": 15}})
    # The share of each of 18; fewer than the 13 that must be available are, so the rollout goes no further.
    assert images(world) == {"nginx": 11, "broken": 7}
    annotations = [item["metadata"]["annotations"] for item in world.store.items("replicasets")]
    assert {item["deployment.kubernetes.io/max-replicas"] for item in annotations} == {"18"}


def progress(world: World) -> tuple[str, str, str]:
    conditions = world.get("deployments", "web")["status"]["conditions"]
    entry = next(item for item in conditions if item["type"] == "Progressing")
    return entry["status"], entry["reason"], entry["message"]


def test_pause_and_its_end_are_conditions_of_the_deployment() -> None:
    world = make()
    reasons: list[str] = []
    world.store.subscribe(lambda change: reasons.append(progress(world)[1]) if change.plural == "deployments" else None)
    world.change("deployments", "web", {"spec": {"paused": True}})
    assert progress(world) == ("Unknown", "DeploymentPaused", "Deployment is paused")
    world.change("deployments", "web", {"spec": {"paused": None}})
    assert "DeploymentResumed" in reasons
    assert progress(world)[:2] == ("True", "NewReplicaSetAvailable")


def test_paused_deployment_does_not_run_out_of_time_and_a_resumed_one_has_all_of_it_again() -> None:
    world = make(replicas=2, progressDeadlineSeconds=60)
    world.kubelets.readies = False
    world.change("deployments", "web", image("broken"))
    world.change("deployments", "web", {"spec": {"paused": True}})
    world.advance(300, step_s=20)
    assert progress(world)[1] == "DeploymentPaused"
    world.change("deployments", "web", {"spec": {"paused": None}})
    world.advance(50, step_s=10)
    assert progress(world)[1] != "ProgressDeadlineExceeded"
    world.advance(20, step_s=1)
    assert progress(world)[1] == "ProgressDeadlineExceeded"
    world.change("deployments", "web", {"spec": {"paused": True}})
    assert progress(world)[1] == "ProgressDeadlineExceeded", "that it ran out of time stays said"


def test_finished_deployment_that_is_scaled_is_no_rollout() -> None:
    world = make()
    said = progress(world)
    reasons: set[str] = set()
    world.store.subscribe(lambda change: reasons.add(progress(world)[1]) if change.plural == "deployments" else None)
    world.change("deployments", "web", {"spec": {"replicas": 6}})
    assert (progress(world), reasons) == (said, {"NewReplicaSetAvailable"})


def test_replica_set_of_somebody_else_under_the_name_is_a_collision_and_the_next_hash_is_tried() -> None:
    first = make()
    (taken,) = first.store.items("replicasets")
    world = World()
    foreign = {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {"name": taken["metadata"]["name"]},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": {"app": "foreign"}},
            "template": {"metadata": {"labels": {"app": "foreign"}}, "spec": {"containers": [{"name": "a", "image": "b"}]}},
        },
    }
    world.create(foreign)
    world.create(deployment(replicas=4))
    assert world.get("deployments", "web")["status"]["collisionCount"] == 1
    mine = [item for item in world.store.items("replicasets") if item["metadata"]["name"] != taken["metadata"]["name"]]
    assert [item["spec"]["replicas"] for item in mine] == [4]
    assert world.plane.loop.failing == []


def test_replica_set_that_cannot_be_made_is_told() -> None:
    world = World()
    world.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "x"}})
    name = "a" * 250
    world.create(deployment(name=name) | {"spec": {**deployment()["spec"]}}, namespace="x")
    told = [item["message"] for item in world.store.items("events") if item["reason"] == "ReplicaSetCreateError"]
    assert told[0].startswith(f'Failed to create new replica set "{name}-')
    status = world.get("deployments", name, namespace="x")["status"]
    assert [(item["status"], item["reason"]) for item in status["conditions"]] == [("False", "ReplicaSetCreateError")]


def test_new_replica_set_is_made_in_its_size_and_keeps_the_revisions_that_it_was() -> None:
    world = make(replicas=4)
    (first,) = world.store.items("replicasets")
    assert (first["metadata"]["generation"], first["status"]["observedGeneration"]) == (1, 1)
    told = [item["message"] for item in world.store.items("events") if item["reason"] == "ScalingReplicaSet"]
    assert told == [f"Scaled up replica set {first['metadata']['name']} from 0 to 4"]
    for text in ("b", "nginx", "b", "nginx"):
        world.change("deployments", "web", image(text))
    annotations = world.get("replicasets", first["metadata"]["name"])["metadata"]["annotations"]
    assert annotations["deployment.kubernetes.io/revision"] == "5"
    assert annotations["deployment.kubernetes.io/revision-history"] == "1,3"
    assert "deployment.kubernetes.io/revision-history" not in world.get("deployments", "web")["metadata"]["annotations"]


def test_of_past_revisions_the_oldest_are_forgotten() -> None:
    past = ",".join(str(number) for number in range(1000, 1400))
    kept = with_past_revision({PAST_REVISIONS: past}, "1400")[PAST_REVISIONS]
    assert len(kept) <= 2000
    assert (kept.split(",")[0], kept.split(",")[-1]) == ("1001", "1400")
