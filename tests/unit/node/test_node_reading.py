"""What a node makes of objects that are not what they should be: each is known for what it is before anything follows from it."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from typing import Any

import pytest
from node_world import HERE, service, slice_of

from nodeagent.kubelet.routes import read_route, read_routes
from nodeagent.proxy.endpoints import read_slice
from nodeagent.proxy.services import read_service
from testbed_kube.watch import UNREADABLE


def node(name: str, address: str | None, cidr: str | None) -> dict[str, Any]:
    addresses: list[dict[str, str]] = [{}, {"type": "Hostname", "address": name}]
    if address is not None:
        addresses.append({"type": "InternalIP", "address": address})
    return {"metadata": {"name": name}, "spec": {"podCIDR": cidr}, "status": {"addresses": addresses}}


def test_routes_lead_to_the_pods_of_every_other_node_that_has_both() -> None:
    nodes = [
        node("node-1", "10.100.0.2", "10.0.1.0/24"),
        node("node-2", "10.100.0.3", "10.0.2.0/24"),
        node("node-3", None, "10.0.3.0/24"),
        node("node-4", "10.100.0.5", None),
    ]
    assert read_routes(nodes, own="node-1") == {IPv4Network("10.0.2.0/24"): IPv4Address("10.100.0.3")}


def test_node_whose_address_is_none_cannot_be_read() -> None:
    with pytest.raises(UNREADABLE):
        read_route(node("node-2", "foo", "10.0.2.0/24"))


def test_service_whose_load_balancer_address_is_none_cannot_be_read() -> None:
    assert len(read_service(service())) == 1
    with pytest.raises(UNREADABLE):
        read_service(service(status={"loadBalancer": {"ingress": [{"ip": "foo"}]}}))


def test_slice_with_hints_that_name_nobody_can_be_read() -> None:
    item = slice_of(HERE)
    item["endpoints"][0]["hints"] = {"forZones": [{}], "forNodes": [{}]}
    assert [endpoint.for_zones for endpoint in read_slice(item)] == [("",)]


def test_slice_whose_endpoints_are_none_cannot_be_read() -> None:
    with pytest.raises(UNREADABLE):
        read_slice({**slice_of(HERE), "endpoints": ["foo"]})
