"""Hints of EndpointSlices: followed where every ready endpoint has one and one is meant for this node or zone."""

from __future__ import annotations

from typing import Any

import pytest
from node_world import NODE, service

from nodeagent.proxy.services import read_service_ports

ZONE = "a"


def endpoint(
    ip: str, *, zones: tuple[str, ...] = (), nodes: tuple[str, ...] = (), node: str = "node-2", **conditions: bool
) -> Any:
    hints = {"forZones": [{"name": name} for name in zones], "forNodes": [{"name": name} for name in nodes]}
    return {
        "addresses": [ip],
        "nodeName": node,
        "conditions": conditions,
        "hints": {key: value for key, value in hints.items() if value},
    }


def used(*endpoints: Any, zone: str = ZONE, **spec: Any) -> tuple[list[str], list[str]]:
    """Of the cluster's list, and of the node's own."""
    labels = {"kubernetes.io/service-name": "web"}
    metadata = {"name": "web-x", "namespace": "default", "labels": labels, "resourceVersion": "1"}
    slices = [
        {"metadata": metadata, "addressType": "IPv4", "ports": [{"name": "http", "port": 8080}], "endpoints": list(endpoints)}
    ]
    (port,) = read_service_ports([service(**spec)], slices, NODE, zone)
    return [item.ip for item in port.usable.cluster], [item.ip for item in port.usable.local]


def test_endpoints_of_the_own_zone_are_used_alone() -> None:
    assert used(endpoint("10.0.1.1", zones=("a",)), endpoint("10.0.2.1", zones=("b",)))[0] == ["10.0.1.1"]


def test_an_endpoint_may_be_meant_for_several_zones() -> None:
    assert used(endpoint("10.0.1.1", zones=("a", "b")), endpoint("10.0.2.1", zones=("b",)), zone="b")[0] == [
        "10.0.1.1",
        "10.0.2.1",
    ]


@pytest.mark.parametrize(
    ("endpoints", "zone"),
    [
        ((endpoint("10.0.1.1", zones=("a",)), endpoint("10.0.2.1")), "a"),
        ((endpoint("10.0.1.1", zones=("b",)), endpoint("10.0.2.1", zones=("c",))), "a"),
        ((endpoint("10.0.1.1", zones=("a",)), endpoint("10.0.2.1", zones=("b",))), ""),
    ],
    ids=["one has no hint", "none is meant for the zone", "the node has no zone"],
)
def test_hints_are_ignored_where_they_cannot_be_followed(endpoints: Any, zone: str) -> None:
    assert used(*endpoints, zone=zone)[0] == ["10.0.1.1", "10.0.2.1"]


def test_hints_by_node_come_before_those_by_zone() -> None:
    here = endpoint("10.0.1.1", zones=("b",), nodes=(NODE,))
    there = endpoint("10.0.2.1", zones=("a",), nodes=("node-2",))
    assert used(here, there)[0] == ["10.0.1.1"]


def test_zones_are_followed_where_no_hint_names_the_node() -> None:
    ours = endpoint("10.0.1.1", zones=("a",), nodes=("node-3",))
    theirs = endpoint("10.0.2.1", zones=("b",), nodes=("node-2",))
    assert used(ours, theirs)[0] == ["10.0.1.1"]


def test_an_endpoint_that_is_not_ready_needs_no_hint() -> None:
    leaving = endpoint("10.0.2.1", ready=False, serving=True, terminating=True)
    assert used(endpoint("10.0.1.1", zones=("a",)), leaving)[0] == ["10.0.1.1"]


def test_without_a_ready_endpoint_those_that_leave_are_used_whatever_their_hints() -> None:
    leaving = {"ready": False, "serving": True, "terminating": True}
    assert used(endpoint("10.0.2.1", zones=("b",), **leaving), endpoint("10.0.3.1", **leaving))[0] == ["10.0.2.1", "10.0.3.1"]


def test_the_nodes_own_list_knows_no_hints() -> None:
    ours = endpoint("10.0.1.1", zones=("b",), node=NODE)
    assert used(ours, endpoint("10.0.2.1", zones=("a",)), externalTrafficPolicy="Local") == (["10.0.2.1"], ["10.0.1.1"])
