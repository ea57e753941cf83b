"""Endpoints written by hand for a Service without a selector, mirrored into EndpointSlices."""

from typing import Any

import pytest
from cp_world import World, service

from controlplane.objects import Object

MANAGER = "endpointslicemirroring-controller.k8s.io"
HTTP = {"name": "http", "port": 8080}


def by_hand(*subsets: Object, name: str = "web", **metadata: Any) -> Object:
    return {"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": name, **metadata}, "subsets": list(subsets)}


def subset(*ready: str, unready: tuple[str, ...] = (), ports: tuple[Object, ...] = (HTTP,)) -> Object:
    lists = {"addresses": [{"ip": ip} for ip in ready], "notReadyAddresses": [{"ip": ip} for ip in unready]}
    return {**{name: found for name, found in lists.items() if found}, "ports": [dict(port) for port in ports]}


def make(**spec: Any) -> World:
    world = World()
    world.create(service(**{"selector": None, **spec}))
    return world


def mirrored(world: World) -> list[Object]:
    label = "endpointslice.kubernetes.io/managed-by"
    return [item for item in world.store.items("endpointslices") if item["metadata"]["labels"].get(label) == MANAGER]


def shown(world: World) -> list[tuple[list[tuple[str, int]], dict[str, bool]]]:
    return [
        (
            [(port["name"], port["port"]) for port in item["ports"]],
            {entry["addresses"][0]: entry["conditions"]["ready"] for entry in item["endpoints"]},
        )
        for item in mirrored(world)
    ]


def test_endpoints_by_hand_become_a_slice_that_names_service_manager_and_owner() -> None:
    world = make()
    made = world.create(
        by_hand(subset("10.9.0.1", unready=("10.9.0.2",)), labels={"team": "a"}, annotations={"note": "n", LAST_APPLIED: "{}"})
    )
    (item,) = mirrored(world)
    metadata = item["metadata"]
    assert metadata["name"].startswith("web-")
    assert metadata["labels"] == {
        "team": "a",
        "kubernetes.io/service-name": "web",
        "endpointslice.kubernetes.io/managed-by": MANAGER,
    }
    assert metadata["annotations"] == {"note": "n"}
    assert metadata["ownerReferences"] == [
        {
            "apiVersion": "v1",
            "kind": "Endpoints",
            "name": "web",
            "uid": made["metadata"]["uid"],
            "controller": True,
            "blockOwnerDeletion": True,
        }
    ]
    assert item["addressType"] == "IPv4"
    assert shown(world) == [([("http", 8080)], {"10.9.0.1": True, "10.9.0.2": False})]


LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


def test_subsets_of_different_ports_are_different_slices_and_those_of_the_same_share_one() -> None:
    world = make()
    other = {"name": "http", "port": 9090}
    world.create(by_hand(subset("10.9.0.1"), subset("10.9.0.2", ports=(other,)), subset("10.9.0.3")))
    assert shown(world) == [
        ([("http", 8080)], {"10.9.0.1": True, "10.9.0.3": True}),
        ([("http", 9090)], {"10.9.0.2": True}),
    ]


def test_node_name_host_name_and_target_of_an_address_are_kept() -> None:
    world = make()
    target = {"kind": "Pod", "name": "p", "namespace": "default"}
    address = {"ip": "10.9.0.1", "nodeName": "node-1", "hostname": "h", "targetRef": target}
    world.create(by_hand({"addresses": [address], "ports": [HTTP]}))
    (endpoint,) = mirrored(world)[0]["endpoints"]
    assert endpoint == {
        "addresses": ["10.9.0.1"],
        "conditions": {"ready": True},
        "nodeName": "node-1",
        "hostname": "h",
        "targetRef": target,
    }


def test_change_of_the_endpoints_changes_the_slice_that_is_there() -> None:
    world = make()
    world.create(by_hand(subset("10.9.0.1")))
    (before,) = mirrored(world)
    world.change("endpoints", "web", {"subsets": [subset("10.9.0.2")]})
    (after,) = mirrored(world)
    assert after["metadata"]["name"] == before["metadata"]["name"]
    assert after["metadata"]["generation"] == 2
    assert shown(world) == [([("http", 8080)], {"10.9.0.2": True})]


def test_slice_of_ports_that_are_gone_goes() -> None:
    world = make()
    world.create(by_hand(subset("10.9.0.1"), subset("10.9.0.2", ports=({"name": "http", "port": 9090},))))
    world.change("endpoints", "web", {"subsets": [subset("10.9.0.1")]})
    assert shown(world) == [([("http", 8080)], {"10.9.0.1": True})]


@pytest.mark.parametrize("plural", ["endpoints", "services"])
def test_slices_go_with_the_endpoints_and_with_the_service(plural: str) -> None:
    world = make()
    world.create(by_hand(subset("10.9.0.1")))
    world.delete(plural, "web")
    assert mirrored(world) == []


def test_endpoints_are_mirrored_once_their_service_comes() -> None:
    world = World()
    world.create(by_hand(subset("10.9.0.1")))
    assert mirrored(world) == []
    world.create(service(selector=None))
    assert len(mirrored(world)) == 1


@pytest.mark.parametrize(
    "metadata",
    [
        {"labels": {"endpointslice.kubernetes.io/skip-mirror": "true"}},
        {"annotations": {"control-plane.alpha.kubernetes.io/leader": "{}"}},
    ],
    ids=["label", "leader"],
)
def test_endpoints_that_want_no_mirror_get_none_and_lose_the_one_they_have(metadata: Object) -> None:
    world = make()
    world.create(by_hand(subset("10.9.0.1"), **metadata))
    assert mirrored(world) == []
    world = make()
    world.create(by_hand(subset("10.9.0.1")))
    world.change("endpoints", "web", {"metadata": metadata})
    assert mirrored(world) == []


def test_service_with_a_selector_has_no_mirrored_slices_and_loses_those_it_had() -> None:
    world = make(selector={"app": "web"})
    assert mirrored(world) == []
    world = make()
    world.create(by_hand(subset("10.9.0.1")))
    world.change("services", "web", {"spec": {"selector": {"app": "web"}}})
    assert mirrored(world) == []


def test_slice_that_somebody_deletes_or_changes_is_restored() -> None:
    world = make()
    world.create(by_hand(subset("10.9.0.1")))
    (item,) = mirrored(world)
    world.change("endpointslices", item["metadata"]["name"], {"endpoints": []})
    assert shown(world) == [([("http", 8080)], {"10.9.0.1": True})]
    world.delete("endpointslices", item["metadata"]["name"])
    assert shown(world) == [([("http", 8080)], {"10.9.0.1": True})]


def test_addresses_beyond_a_thousand_are_left_out_and_told() -> None:
    world = make()
    world.create(by_hand(subset(*(f"10.9.{number >> 8}.{number & 255}" for number in range(1, 1004)))))
    assert [len(item["endpoints"]) for item in mirrored(world)] == [1000]
    said = [item["message"] for item in world.store.items("events") if item["reason"] == "TooManyAddressesToMirror"]
    assert said == ["A max of 1000 addresses can be mirrored to EndpointSlices per Endpoints subset. 3 addresses were skipped"]


def test_endpoints_of_the_api_server_are_not_mirrored() -> None:
    assert mirrored(World()) == []
