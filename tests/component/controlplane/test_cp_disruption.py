"""Disruption budgets: counted from pods as they are, and kept by the Eviction API with Kubernetes' own answers."""

from typing import Any

import pytest
from cp_http import Api, serve
from cp_world import World, deployment, pod

from controlplane.deletion import DeleteOptions
from controlplane.errors import StatusError
from controlplane.eviction import evict_pod
from controlplane.objects import name_of, spec_of

BUDGETS = "poddisruptionbudgets"
REFUSED = "Cannot evict pod as it would violate the pod's disruption budget."


def budget(name: str = "web", **spec: Any) -> dict:
    selector = {"matchLabels": {"app": "web"}}
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": name},
        "spec": {"selector": selector} | spec,
    }


def make(replicas: int = 4, **spec: Any) -> World:
    """Two nodes with the pods of one deployment, ready, and a budget for them."""
    world = World()
    world.add_node("node-1")
    world.add_node("node-2")
    world.create(deployment(replicas=replicas))
    world.create(budget(**spec))
    return world


def counts(world: World) -> tuple[int, int, int, int]:
    """Expected, healthy, desired and allowed, as the budget's status tells them."""
    status = world.get(BUDGETS, "web")["status"]
    return tuple(status[name] for name in ("expectedPods", "currentHealthy", "desiredHealthy", "disruptionsAllowed"))


def evict(world: World, name: str) -> None:
    evict_pod(world.cluster, ("default", name), DeleteOptions())


def refused(world: World, name: str) -> StatusError:
    with pytest.raises(StatusError) as caught:
        evict(world, name)
    return caught.value


@pytest.mark.parametrize(
    ("spec", "counted"),
    [
        ({"minAvailable": 3}, (4, 4, 3, 1)),
        ({"minAvailable": 4}, (4, 4, 4, 0)),
        ({"minAvailable": 9}, (4, 4, 9, 0)),
        ({"minAvailable": "51%"}, (4, 4, 3, 1)),
        ({"minAvailable": "0%"}, (4, 4, 0, 4)),
        ({"maxUnavailable": 1}, (4, 4, 3, 1)),
        ({"maxUnavailable": "26%"}, (4, 4, 2, 2)),
        ({"maxUnavailable": 9}, (4, 4, 0, 4)),
        ({}, (0, 4, 0, 0)),
    ],
)
def test_budget_allows_what_its_bound_leaves(spec: dict, counted: tuple) -> None:
    assert counts(make(**spec)) == counted


def test_eviction_beyond_the_budget_is_429_with_the_count_as_its_cause() -> None:
    world = make(minAvailable=4)
    error = refused(world, name_of(world.pods()[0]))
    assert (error.code, error.reason, error.message) == (429, "TooManyRequests", REFUSED)
    assert error.details == {
        "causes": [
            {"reason": "DisruptionBudget", "message": "The disruption budget web needs 4 healthy pods and has 4 currently"}
        ]
    }
    assert len(world.pods()) == 4


def test_of_evictions_in_one_breath_only_as_many_pass_as_are_allowed() -> None:
    world = make(maxUnavailable=2)
    first, second, third, _ = (name_of(pod) for pod in world.pods())
    evict(world, first)
    evict(world, second)
    assert refused(world, third).code == 429
    status = world.get(BUDGETS, "web")["status"]
    assert (status["disruptionsAllowed"], set(status["disruptedPods"])) == (0, {first, second})


def test_budget_is_whole_again_once_replacements_are_ready() -> None:
    world = make(maxUnavailable=1)
    evict(world, name_of(world.pods()[0]))
    world.settle()
    assert counts(world) == (4, 4, 3, 1)
    assert "disruptedPods" not in world.get(BUDGETS, "web")["status"]


def test_eviction_that_was_lost_stops_to_count_after_two_minutes() -> None:
    world = make(maxUnavailable=1)
    store = world.store
    lost = name_of(world.pods()[0])
    held = store.find(BUDGETS, "default", "web")
    assert held is not None
    status = {**held["status"], "disruptedPods": {lost: world.cluster.now()}}
    store.update(BUDGETS, {**held, "status": status})
    world.settle()
    assert counts(world) == (4, 3, 3, 0)
    world.advance(119)
    assert counts(world)[3] == 0
    world.advance(2)
    assert counts(world) == (4, 4, 3, 1)


def test_pod_that_is_not_ready_goes_while_the_others_are_enough_and_no_further() -> None:
    world = make(replicas=3, minAvailable=2)
    sick, well, _ = world.pods()
    world.kubelets.report(sick, ready=False)
    world.settle()
    assert counts(world) == (3, 2, 2, 0)
    assert refused(world, name_of(well)).code == 429
    world.kubelets.readies = False
    evict(world, name_of(sick))
    world.settle()
    assert not world.exists("pods", name_of(sick))


def test_pod_that_is_not_ready_may_always_go_where_the_policy_says_so() -> None:
    world = make(replicas=2, minAvailable=2, unhealthyPodEvictionPolicy="AlwaysAllow")
    sick, other = world.pods()
    for item in (sick, other):
        world.kubelets.report(item, ready=False)
    world.settle()
    evict(world, name_of(sick))
    world.settle()
    assert not world.exists("pods", name_of(sick))
    world.change(BUDGETS, "web", {"spec": {"unhealthyPodEvictionPolicy": "IfHealthyBudget"}})
    assert refused(world, name_of(other)).code == 429


def test_deletion_asks_no_budget() -> None:
    world = make(minAvailable=4)
    name = name_of(world.pods()[0])
    world.delete("pods", name)
    assert not world.exists("pods", name)


def test_two_budgets_for_one_pod_are_more_than_eviction_supports() -> None:
    world = make(minAvailable=1)
    world.create(budget("other", minAvailable=1))
    error = refused(world, name_of(world.pods()[0]))
    assert (error.code, error.message) == (
        500,
        "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.",
    )


def test_budget_that_was_just_changed_is_still_being_processed() -> None:
    world = make(minAvailable=1)
    held = world.get(BUDGETS, "web")
    world.store.update(BUDGETS, {**held, "metadata": {**held["metadata"], "generation": 2}})
    error = refused(world, name_of(world.pods()[0]))
    assert error.details is not None
    assert error.details["causes"][0]["message"] == "The disruption budget web is still being processed by the server."


def test_pods_of_no_controller_count_for_a_number_and_not_for_a_share() -> None:
    world = World()
    world.add_node("node-1")
    world.create(pod("lonely", labels={"app": "web"}))
    world.create(budget(maxUnavailable=1))
    assert counts(world) == (0, 1, 0, 0)
    world.change(BUDGETS, "web", {"spec": {"maxUnavailable": None, "minAvailable": 0}})
    assert counts(world) == (1, 1, 0, 1)


def test_share_of_pods_whose_controller_is_not_there_cannot_be_told() -> None:
    world = World()
    world.add_node("node-1")
    lonely = pod("lonely", labels={"app": "web"})
    owner = {"apiVersion": "example.com/v1", "kind": "Other", "name": "other", "uid": "1", "controller": True}
    lonely["metadata"]["ownerReferences"] = [owner]
    world.create(lonely)
    world.create(budget(maxUnavailable=1))
    status = world.get(BUDGETS, "web")["status"]
    assert status["disruptionsAllowed"] == 0
    assert [(entry["reason"], entry["message"]) for entry in status["conditions"]] == [
        ("SyncFailed", 'found no controllers for pod "lonely"')
    ]
    assert refused(world, "lonely").code == 429


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"minAvailable": 1, "maxUnavailable": 1}, "minAvailable and maxUnavailable cannot be both set"),
        ({"minAvailable": -1}, "spec.minAvailable: Invalid value: -1: must be greater than or equal to 0"),
        ({"maxUnavailable": "101%"}, 'spec.maxUnavailable: Invalid value: "101%": must not be greater than 100%'),
        ({"maxUnavailable": "half"}, 'spec.maxUnavailable: Invalid value: "half": a valid percent string must be'),
        ({"unhealthyPodEvictionPolicy": "Never"}, 'spec.unhealthyPodEvictionPolicy: Unsupported value: "Never"'),
    ],
)
def test_budget_that_means_nothing_is_refused(spec: dict, message: str) -> None:
    with pytest.raises(StatusError) as caught:
        World().create(budget(**spec))
    assert caught.value.code == 422
    assert caught.value.message.startswith('PodDisruptionBudget.policy "web" is invalid: ')
    assert message in caught.value.message


async def evict_over_http(api: Api, name: str) -> tuple[int, Any]:
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": "default"}}
    return await api.ask("POST", f"/api/v1/namespaces/default/pods/{name}/eviction", body)


async def test_drain_of_a_node_goes_one_pod_at_a_time_and_loses_none_that_the_budget_wants() -> None:
    world = make(replicas=4, maxUnavailable=1)
    world.kubelets.readies = False  # replacements take their time
    async with serve(world) as api:
        world.change("nodes", "node-1", {"spec": {"unschedulable": True}})
        for _ in range(20):
            waiting = [item for item in world.pods() if spec_of(item).get("nodeName") == "node-1"]
            if not waiting:
                break
            statuses = [(await evict_over_http(api, name_of(item)))[0] for item in waiting]
            assert statuses == [201, *[429] * (len(waiting) - 1)]
            assert counts(world)[1] >= 3
            for item in world.pods():
                world.kubelets.report(item, ready=True)
            world.settle()
    assert {spec_of(item)["nodeName"] for item in world.pods()} == {"node-2"}


def told(world: World) -> list[tuple[str, str, str]]:
    about = [item for item in world.store.items("events") if item["involvedObject"]["kind"] == "PodDisruptionBudget"]
    return [(item["type"], item["reason"], item["message"]) for item in about]


def test_budget_of_nobody_is_told_so() -> None:
    world = World()
    world.create(budget(minAvailable=1))
    assert told(world) == [("Normal", "NoPods", "No matching pods found")]


def test_share_of_pods_without_a_controller_is_told_to_mean_nothing() -> None:
    world = World()
    world.create(pod("web", labels={"app": "web"}))
    expressions = [{"key": "app", "operator": "In", "values": ["a", "web"]}]
    world.create(budget(maxUnavailable=1, selector={"matchLabels": {"app": "web"}, "matchExpressions": expressions}))
    ((kind, reason, message),) = told(world)
    assert (kind, reason) == ("Warning", "UnmanagedPods")
    assert message.startswith(
        "Pods selected by this PodDisruptionBudget (selector: &LabelSelector{MatchLabels:map[string]string{app: web,},"
        "MatchExpressions:[]LabelSelectorRequirement{LabelSelectorRequirement{Key:app,Operator:In,Values:[a web],},},}) were found"
    )
