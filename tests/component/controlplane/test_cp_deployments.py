"""Deployments: rollouts within their bounds, and who goes first when there are too many."""

from collections import Counter

import pytest
from cp_world import World, deployment, names

from controlplane.controllers.replicasets import rank_for_deletion
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
    step = plan_rolling(wanted=wanted, surge=surge, unavailable=unavailable, new=new, old=list(found.values()), is_paused=False)
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
