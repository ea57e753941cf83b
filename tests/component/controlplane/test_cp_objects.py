"""Writes as Kubernetes does them: identity, status apart from spec, graceful deletion, namespaces, events."""

import pytest
from cp_world import World, deployment, pod, service

from controlplane.cluster import DeleteOptions
from controlplane.errors import StatusError
from controlplane.kinds.registry import by_stored


def test_created_object_has_an_identity_of_its_own() -> None:
    metadata = World().create(pod("p"))["metadata"]
    assert metadata["uid"][14] == "8"
    assert metadata["creationTimestamp"] == "2026-01-01T00:00:00Z"
    assert metadata["namespace"] == "default"


def test_generated_names_are_unique_and_legible() -> None:
    world = World()
    raw = pod("x")
    del raw["metadata"]["name"]
    raw["metadata"]["generateName"] = "web-"
    made = {world.create(raw)["metadata"]["name"] for _ in range(200)}
    assert len(made) == 200
    assert all(name.startswith("web-") and len(name) == 9 and not set(name[4:]) & set("aeiou013") for name in made)


def test_name_is_taken_once() -> None:
    world = World()
    world.create(pod("p"))
    with pytest.raises(StatusError, match='pods "p" already exists') as caught:
        world.create(pod("p"))
    assert (caught.value.code, caught.value.reason) == (409, "AlreadyExists")


def test_object_needs_its_namespace() -> None:
    with pytest.raises(StatusError, match='namespaces "other" not found'):
        World().create(pod("p") | {"metadata": {"name": "p", "namespace": "other"}})


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (pod("Bad_Name"), "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters"),
        (pod("p", containers=[]), "spec.containers: Required value"),
        (pod("p", labels={"a b": "c"}), "metadata.labels: Invalid value"),
        (pod("p", restartPolicy="Sometimes"), 'spec.restartPolicy: Unsupported value: "Sometimes"'),
        (pod("p", activeDeadlineSeconds=0), "must be between 1 and 2147483647, inclusive"),
        (deployment(selector={"matchLabels": {"app": "x"}}), "`selector` does not match template `labels`"),
        (deployment(selector={}), "empty selector is invalid for deployment"),
        (deployment(replicas=-1), "spec.replicas: Invalid value: -1: must be greater than or equal to 0"),
        (deployment(strategy={"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 0}}), "may not be 0 when `maxSurge` is 0"),
        (deployment(strategy={"rollingUpdate": {"maxSurge": "a lot"}}), "a valid percent string"),
    ],
)
def test_object_that_breaks_a_rule_is_invalid_and_not_created(raw: dict, message: str) -> None:
    world = World()
    before = world.store.version
    with pytest.raises(StatusError) as caught:
        world.create(raw)
    assert message in caught.value.message
    assert caught.value.code == 422
    assert caught.value.details["causes"]
    assert world.store.version == before


def test_several_faults_are_told_together() -> None:
    with pytest.raises(StatusError) as caught:
        World().create(service("c1", type="Magic", ports=[{"port": 0}]))
    assert caught.value.message.startswith('Service "c1" is invalid: [spec.ports[0].port: ')
    assert len(caught.value.details["causes"]) >= 2


def test_spec_and_status_are_written_apart() -> None:
    world = World()
    world.create(deployment(replicas=0))
    world.change("deployments", "web", {"status": {"replicas": 99}})
    assert world.get("deployments", "web")["status"].get("replicas") != 99
    world.change("deployments", "web", {"spec": {"replicas": 7}}, subresource="status")
    assert world.get("deployments", "web")["spec"]["replicas"] == 0


def test_generation_counts_changes_of_the_spec_only() -> None:
    world = World()
    world.create(deployment(replicas=0))
    world.change("deployments", "web", {"metadata": {"labels": {"a": "b"}}})
    assert world.get("deployments", "web")["metadata"]["generation"] == 1
    world.change("deployments", "web", {"spec": {"replicas": 1}})
    assert world.get("deployments", "web")["metadata"]["generation"] == 2


def test_pod_is_what_it_was_made_for() -> None:
    world = World()
    world.create(pod("p"))
    with pytest.raises(StatusError, match="pod updates may not change fields other than"):
        world.change("pods", "p", {"spec": {"hostNetwork": True}})


def test_running_pod_is_given_its_grace_and_then_goes() -> None:
    world = World()
    world.add_node("node-1")
    world.kubelets.ends_pods = False
    world.create(pod("p", terminationGracePeriodSeconds=7))
    world.delete("pods", "p")
    metadata = world.get("pods", "p")["metadata"]
    assert (metadata["deletionGracePeriodSeconds"], metadata["deletionTimestamp"]) == (7, "2026-01-01T00:00:07Z")
    world.delete("pods", "p", grace_period_s=3)
    assert world.get("pods", "p")["metadata"]["deletionGracePeriodSeconds"] == 3
    world.delete("pods", "p", grace_period_s=20)
    assert world.get("pods", "p")["metadata"]["deletionGracePeriodSeconds"] == 3
    world.delete("pods", "p", grace_period_s=0)
    assert not world.exists("pods", "p")


def test_shorter_grace_counts_from_the_first_deletion_and_asking_again_changes_nothing() -> None:
    world = World()
    world.add_node("node-1")
    world.kubelets.ends_pods = False
    world.create(pod("p", terminationGracePeriodSeconds=7))
    world.delete("pods", "p", grace_period_s=60)
    world.advance(10)
    world.delete("pods", "p")
    assert world.get("pods", "p")["metadata"]["deletionGracePeriodSeconds"] == 60
    world.delete("pods", "p", grace_period_s=20)
    assert world.get("pods", "p")["metadata"]["deletionTimestamp"] == "2026-01-01T00:00:20Z"


def test_grace_below_zero_is_a_second() -> None:
    world = World()
    world.add_node("node-1")
    world.kubelets.ends_pods = False
    world.create(pod("p", terminationGracePeriodSeconds=-1))
    world.delete("pods", "p")
    assert world.get("pods", "p")["metadata"]["deletionGracePeriodSeconds"] == 1


def test_pod_that_never_ran_goes_at_once_and_shows_when() -> None:
    world = World()
    world.create(pod("p"))
    gone, is_gone = world.cluster.delete(by_stored("pods"), ("default", "p"), DeleteOptions())
    assert is_gone
    assert not world.exists("pods", "p")
    metadata = gone["metadata"]
    assert (metadata["deletionTimestamp"], metadata["deletionGracePeriodSeconds"]) == ("2026-01-01T00:00:00Z", 0)


def test_deletion_of_another_incarnation_is_a_conflict() -> None:
    world = World()
    world.create(pod("p"))
    with pytest.raises(StatusError, match=r'on Pod "p": the UID in the precondition \(other\) does not match the UID in record'):
        world.delete("pods", "p", uid="other")


def test_finalizer_holds_an_object_until_it_is_taken_off() -> None:
    world = World()
    raw = service()
    raw["metadata"]["finalizers"] = ["example.com/hold"]
    world.create(raw)
    world.delete("services", "web")
    assert world.get("services", "web")["metadata"]["deletionTimestamp"]
    world.change("services", "web", {"metadata": {"finalizers": None}})
    assert not world.exists("services", "web")


def test_namespace_is_emptied_before_it_goes() -> None:
    world = World()
    world.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "x"}})
    world.add_node("node-1")
    world.kubelets.ends_pods = False
    world.create(pod("p"), namespace="x")
    world.create(service(), namespace="x")
    world.delete("namespaces", "x")
    assert world.get("namespaces", "x")["status"]["phase"] == "Terminating"
    assert not world.exists("services", "web", "x")
    with pytest.raises(StatusError, match="because it is being terminated"):
        world.create(service("late"), namespace="x")
    world.delete("pods", "p", namespace="x", grace_period_s=0)
    assert not world.exists("namespaces", "x")


def test_first_namespaces_cannot_be_deleted() -> None:
    with pytest.raises(StatusError, match='namespaces "default" is forbidden: this namespace may not be deleted'):
        World().delete("namespaces", "default")


def test_planned_objects_exist_before_the_first_request() -> None:
    world = World(objects=[deployment(replicas=2), service(type="NodePort")])
    assert len(world.pods()) == 2
    assert world.get("services", "web")["spec"]["ports"][0]["nodePort"]


def test_latest_thousand_events_are_kept_whoever_wrote_them() -> None:
    world = World()
    for index in range(1003):
        involved = {"kind": "Pod", "name": "p", "namespace": "default"}
        world.create({"apiVersion": "v1", "kind": "Event", "metadata": {"name": f"e{index}"}, "involvedObject": involved})
    left = {item["metadata"]["name"] for item in world.store.items("events")}
    assert left == {f"e{index}" for index in range(3, 1003)}
