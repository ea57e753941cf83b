"""EndpointSlices and Endpoints: which pods, in which condition, in how many slices."""

import pytest
from cp_world import World, deployment, pod, service

from controlplane.controllers.endpoints import render_subsets
from controlplane.controllers.slice_contents import conditions_of, find_target_port, is_endpoint_of


def make(replicas: int = 3, **spec: object) -> World:
    world = World()
    for number in (1, 2):
        world.add_node(f"node-{number}")
    world.create(deployment(replicas=replicas))
    world.create(service(**spec))
    return world


def slices(world: World, name: str = "web") -> list[dict]:
    found = world.store.items("endpointslices", "default")
    return [item for item in found if item["metadata"]["labels"]["kubernetes.io/service-name"] == name]


def state(*, ready: bool = True, terminating: bool = False, phase: str = "Running", ip: str = "10.0.1.2") -> dict:
    metadata = {"name": "p", "namespace": "default", "uid": "u", "labels": {"app": "web"}}
    if terminating:
        metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    status = {"phase": phase, "podIP": ip, "conditions": [{"type": "Ready", "status": str(ready)}]}
    return {"metadata": metadata, "spec": {}, "status": status}


@pytest.mark.parametrize(
    ("ready", "terminating", "publishes", "conditions"),
    [
        (True, False, False, (True, True, False)),
        (False, False, False, (False, False, False)),
        (True, True, False, (False, True, True)),
        (False, True, False, (False, False, True)),
        (False, False, True, (True, False, False)),
        (False, True, True, (True, False, True)),
    ],
)
def test_conditions(ready: bool, terminating: bool, publishes: bool, conditions: tuple) -> None:
    found = conditions_of(service(publishNotReadyAddresses=publishes), state(ready=ready, terminating=terminating))
    assert (found["ready"], found["serving"], found["terminating"]) == conditions


@pytest.mark.parametrize(
    ("item", "is_member"),
    [
        (state(), True),
        (state(ready=False), True),
        (state(terminating=True), True),
        (state(phase="Succeeded"), False),
        (state(phase="Failed"), False),
        (state(ip=""), False),
    ],
)
def test_membership(item: dict, is_member: bool) -> None:
    assert is_endpoint_of(service(), item) is is_member


def test_slice_belongs_to_its_service_and_names_pod_and_node() -> None:
    item = slices(make(1))[0]
    assert item["metadata"]["labels"]["endpointslice.kubernetes.io/managed-by"] == "endpointslice-controller.k8s.io"
    assert item["metadata"]["ownerReferences"][0]["kind"] == "Service"
    assert item["metadata"]["name"].startswith("web-")
    assert (item["addressType"], item["ports"]) == ("IPv4", [{"name": "http", "protocol": "TCP", "port": 8080}])
    endpoint = item["endpoints"][0]
    assert endpoint["nodeName"] == "node-1"
    assert endpoint["targetRef"]["kind"] == "Pod"


def test_endpoint_follows_its_pod_step_by_step_and_each_step_is_told() -> None:
    world = make(1)
    address = next(iter(world.endpoints()))
    world.kubelets.report(world.pods()[0], ready=False)
    world.settle()
    assert not world.endpoints()[address]["ready"]
    world.kubelets.report(world.pods()[0], ready=True)
    world.settle()
    world.kubelets.ends_pods = False
    world.delete("pods", world.pods()[0]["metadata"]["name"])
    assert world.endpoints()[address] == {"ready": False, "serving": True, "terminating": True}
    ending = next(item for item in world.pods() if item["metadata"].get("deletionTimestamp"))
    world.delete("pods", ending["metadata"]["name"], grace_period_s=0)
    assert address not in world.endpoints()
    told = [name for name, fields in world.events.seen if name.startswith("endpoint-") and fields["endpoint"] == address]
    assert told == ["endpoint-ready", "endpoint-not-ready", "endpoint-ready", "endpoint-terminating", "endpoint-removed"]
    revisions = [fields["revision"] for name, fields in world.events.seen if name.startswith("endpoint-")]
    assert revisions == sorted(revisions)


def test_a_change_of_one_endpoint_is_one_commit_of_its_slice() -> None:
    world = make(3)
    before = world.store.history("endpointslices").end
    world.kubelets.report(world.pods()[0], ready=False)
    world.settle()
    assert world.store.history("endpointslices").end == before + 1


def test_status_that_no_endpoint_shows_is_no_commit() -> None:
    world = make(3)
    before = world.store.history("endpointslices").end
    world.change("pods", world.pods()[0]["metadata"]["name"], {"status": {"message": "hello"}}, subresource="status")
    assert world.store.history("endpointslices").end == before


def test_service_without_pods_has_one_empty_slice() -> None:
    world = World()
    world.create(service())
    assert [(item["endpoints"], item["ports"]) for item in slices(world)] == [([], [])]


def test_slices_hold_a_hundred_endpoints_each() -> None:
    world = make(0)
    for number in range(230):
        world.create(pod(f"p{number}", labels={"app": "web"}, nodeName="node-1"), settles=number == 229)
    assert sorted(len(item["endpoints"]) for item in slices(world)) == [30, 100, 100]
    for number in range(5):
        world.delete("pods", f"p{number}")
    assert sum(len(item["endpoints"]) for item in slices(world)) == 225


def test_pods_with_other_port_numbers_have_a_slice_of_their_own() -> None:
    world = make(1)
    other = {"name": "web", "image": "nginx", "ports": [{"name": "http", "containerPort": 9090}]}
    world.create(pod("other", labels={"app": "web"}, nodeName="node-2", containers=[other]))
    assert sorted(item["ports"][0]["port"] for item in slices(world)) == [8080, 9090]


def test_service_without_a_selector_leaves_slices_to_the_user() -> None:
    world = World()
    raw = service()
    del raw["spec"]["selector"]
    world.create(raw)
    assert slices(world) == []


def test_slice_that_somebody_deletes_comes_back() -> None:
    world = make(2)
    world.delete("endpointslices", slices(world)[0]["metadata"]["name"])
    assert len(world.endpoints()) == 2


def test_changed_selector_changes_the_endpoints() -> None:
    world = make(2)
    world.change("services", "web", {"spec": {"selector": {"app": "other"}}})
    assert world.endpoints() == {}


def test_deleted_service_takes_its_slices_and_endpoints_along() -> None:
    world = make(2)
    world.delete("services", "web")
    assert slices(world) == []
    assert not world.exists("endpoints", "web")


def test_endpoint_has_the_zone_of_its_node() -> None:
    world = make(1)
    world.change("nodes", "node-1", {"metadata": {"labels": {"topology.kubernetes.io/zone": "a"}}})
    assert slices(world)[0]["endpoints"][0]["zone"] == "a"


def test_headless_service_marks_its_slices() -> None:
    world = make(1, clusterIP="None")
    assert slices(world)[0]["metadata"]["labels"]["service.kubernetes.io/headless"] == ""


@pytest.mark.parametrize(
    ("target", "number"),
    [(9000, 9000), ("http", 8080), ("missing", None)],
)
def test_target_port(target: int | str, number: int | None) -> None:
    assert find_target_port({"targetPort": target, "protocol": "TCP"}, pod("p")) == number


def test_endpoints_object_keeps_ready_and_not_ready_apart_and_leaves_terminating_out() -> None:
    pods = [
        state(ip="10.0.1.3"),
        state(ip="10.0.1.2"),
        state(ready=False, ip="10.0.1.4"),
        state(terminating=True, ip="10.0.1.5"),
    ]
    numbered = service(ports=[{"name": "http", "port": 80, "protocol": "TCP", "targetPort": 8080}])
    subset = render_subsets(numbered, pods)[0]
    assert [entry["ip"] for entry in subset["addresses"]] == ["10.0.1.2", "10.0.1.3"]
    assert [entry["ip"] for entry in subset["notReadyAddresses"]] == ["10.0.1.4"]
    assert subset["ports"] == [{"name": "http", "port": 8080, "protocol": "TCP"}]


def nodes_of_endpoints(world: World) -> set[str]:
    return {endpoint["nodeName"] for item in slices(world) for endpoint in item["endpoints"]}


def test_endpoints_of_a_node_that_is_deleted_stay_until_their_service_is_looked_at_again_and_come_back_with_the_node() -> None:
    world = make()
    world.kubelets.alive.discard("node-1")
    world.delete("nodes", "node-1")
    assert nodes_of_endpoints(world) == {"node-1", "node-2"}, "nothing of the Service has changed"
    world.change("services", "web", {"metadata": {"labels": {"looked": "at"}}})
    assert nodes_of_endpoints(world) == {"node-2"}
    world.add_node("node-1")
    assert nodes_of_endpoints(world) == {"node-1", "node-2"}


def test_service_that_publishes_all_addresses_keeps_endpoints_without_node() -> None:
    world = make(publishNotReadyAddresses=True)
    world.delete("nodes", "node-1")
    world.change("services", "web", {"metadata": {"labels": {"looked": "at"}}})
    assert nodes_of_endpoints(world) == {"node-1", "node-2"}


TRIGGER = "endpoints.kubernetes.io/last-change-trigger-time"


def triggers(world: World) -> set[str | None]:
    items = [*slices(world), world.get("endpoints", "web")]
    return {item["metadata"].get("annotations", {}).get(TRIGGER) for item in items}


def test_what_changed_the_endpoints_last_is_told_with_its_instant() -> None:
    world = make()
    created = world.get("services", "web")["metadata"]["creationTimestamp"]
    assert triggers(world) == {created}
    world.clock.advance(7)
    world.kubelets.report(world.pods()[0], ready=False)
    world.settle()
    turned = world.pods()[0]["status"]["conditions"][-1]["lastTransitionTime"]
    assert turned > created
    assert triggers(world) == {turned}
    world.clock.advance(7)
    world.change("services", "web", {"metadata": {"labels": {"a": "b"}}})
    assert triggers(world) == {None}, "nothing of a pod has changed"


def test_instant_stays_where_nothing_of_the_endpoints_changes() -> None:
    world = make()
    before = triggers(world)
    world.change("services", "web", {"metadata": {"annotations": {"a": "b"}}})
    assert triggers(world) == before
