"""What is not stored: empty lists and maps, and zeros, of fields that Go leaves out (`omitempty`); pointers to nothing stay."""

from typing import Any

import pytest
from cp_world import World, container, deployment, pod, service

from controlplane.kinds.registry import find_kind
from controlplane.objects import Object
from controlplane.schema.decoding import decode


def decoded(raw: Object) -> Object:
    resource = find_kind(raw["apiVersion"], raw["kind"])
    assert resource is not None
    return decode(resource.schema, raw)[0]


def pod_spec(**spec: Any) -> Object:
    return {"apiVersion": "v1", "kind": "Pod", "spec": spec}


@pytest.mark.parametrize(
    "spec",
    [
        {"volumes": []},
        {"nodeSelector": {}},
        {"tolerations": []},
        {"hostNetwork": False},
        {"affinity": {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": []}}},
    ],
)
def test_nothing_said_is_nothing_stored(spec: Object) -> None:
    (name,) = spec
    kept = {"affinity": {"podAffinity": {}}} if name == "affinity" else {}
    assert decoded(pod_spec(**spec))["spec"] == kept


@pytest.mark.parametrize(
    "spec",
    [
        {"containers": []},
        {"volumes": [{"name": "a", "emptyDir": {}}]},
        {"securityContext": {}},
        {"terminationGracePeriodSeconds": 0},
        {"automountServiceAccountToken": False},
        {"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": []}}}},
    ],
)
def test_pointers_and_fields_that_are_always_there_are_stored(spec: Object) -> None:
    assert decoded(pod_spec(**spec))["spec"] == spec


def test_last_label_takes_the_labels_with_it() -> None:
    world = World()
    world.create(pod("a", labels={"x": "y"}))
    assert "labels" not in world.change("pods", "a", {"metadata": {"labels": {"x": None}}})["metadata"]


def test_service_without_ports_has_none() -> None:
    made = World().create(service(clusterIP="None") | {"spec": {"clusterIP": "None", "ports": [], "selector": {}}})
    assert not made["spec"].keys() & {"ports", "selector"}


def test_deployment_that_is_resumed_by_hand_is_not_paused_and_gets_no_new_generation_for_it() -> None:
    world = World()
    before = world.create(deployment(replicas=0))["metadata"]["generation"]
    changed = world.change("deployments", "web", {"spec": {"paused": False, "minReadySeconds": 0}})
    assert not changed["spec"].keys() & {"paused", "minReadySeconds"}
    assert changed["metadata"]["generation"] == before


def test_slice_without_endpoints_and_ports_has_empty_lists() -> None:
    head = {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": {"name": "a"}, "addressType": "IPv4"}
    made = World().create({**head, "endpoints": [{"addresses": ["10.0.0.1"], "hints": {"forZones": []}}], "ports": []})
    assert (made["ports"], made["endpoints"][0]["hints"]) == ([], {})


def test_ingress_always_says_where_it_is_served() -> None:
    backend = {"service": {"name": "web", "port": {"number": 80}}}
    head = {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "a"}}
    world = World()
    assert world.create({**head, "spec": {"defaultBackend": backend, "rules": []}})["status"] == {"loadBalancer": {}}
    assert "rules" not in world.get("ingresses", "a")["spec"]


def test_ports_of_a_container_have_no_host_port_of_zero() -> None:
    made = World().create(pod("a", containers=[container(ports=[{"containerPort": 80, "hostPort": 0}])]))
    assert made["spec"]["containers"][0]["ports"] == [{"containerPort": 80, "protocol": "TCP"}]


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ("2020-01-01T00:00:00Z", "2020-01-01T00:00:00Z"),
        ("2020-01-01T00:00:00.5Z", "2020-01-01T00:00:00Z"),
        ("2020-01-01T02:00:00+02:00", "2020-01-01T00:00:00Z"),
    ],
)
def test_instants_are_stored_in_seconds_of_utc(sent: str, stored: str) -> None:
    raw = {"apiVersion": "v1", "kind": "Event", "metadata": {"name": "e"}, "firstTimestamp": sent}
    assert decoded(raw)["firstTimestamp"] == stored


def test_lease_keeps_microseconds_and_the_holder_that_let_go() -> None:
    head = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "l"}}
    spec = {"holderIdentity": "", "renewTime": "2020-01-01T02:00:00.123456+02:00"}
    assert World().create({**head, "spec": spec})["spec"] == {"holderIdentity": "", "renewTime": "2020-01-01T00:00:00.123456Z"}
    assert World().create(head)["spec"] == {}


def test_counts_that_are_always_told_are_told_from_the_start() -> None:
    template = deployment()["spec"]
    world = World()
    head = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": "a"}}
    assert world.create({**head, "spec": template | {"replicas": 0}}, settles=False)["status"] == {"replicas": 0}
    budget = {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "a"}, "spec": {"minAvailable": 1}}
    names = ("disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods")
    assert world.create(budget, settles=False)["status"] == dict.fromkeys(names, 0)
