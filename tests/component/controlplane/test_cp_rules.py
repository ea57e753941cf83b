"""What the API refuses, in Kubernetes' words: one line for each rule and the causes that it gives."""

from typing import Any

import pytest
from cp_world import World

from controlplane.errors import StatusError
from controlplane.objects import Object


def causes(world: World, raw: Object, **parts: Any) -> list[str]:
    """Every cause of the refusal, as `field: message`; none when it is taken."""
    try:
        world.create({**raw, **parts})
    except StatusError as error:
        if error.code != 422:
            return [f"{error.code} {error.message}"]
        return [f"{cause['field']}: {cause['message']}" for cause in (error.details or {})["causes"]]
    return []


def change_causes(world: World, plural: str, name: str, patch: Object, subresource: str = "") -> list[str]:
    with pytest.raises(StatusError) as caught:
        world.change(plural, name, patch, subresource=subresource)
    return [f"{cause['field']}: {cause['message']}" for cause in (caught.value.details or {})["causes"]]


NOT_AN_ADDRESS = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
SLICE = {
    "apiVersion": "discovery.k8s.io/v1",
    "kind": "EndpointSlice",
    "metadata": {"name": "web-1"},
    "addressType": "IPv4",
    "ports": [{"name": "http", "port": 80}],
}


@pytest.mark.parametrize(
    ("hints", "expected"),
    [
        ({"forZones": [{"name": "a"}], "forNodes": [{"name": "node-1"}]}, []),
        ({"forZones": [{}]}, ['endpoints[0].hints.forZones[0].name: Invalid value: "": name part must be non-empty']),
        (
            {"forZones": [{"name": "a"}, {"name": "a"}]},
            ['endpoints[0].hints.forZones[1].name: Duplicate value: "a"'],
        ),
        ({"forNodes": [{"name": f"node-{number}"} for number in range(9)]}, ["endpoints[0].hints.forNodes: Too many: 9: "]),
    ],
)
def test_hints_name_zones_and_nodes(hints: Object, expected: list[str]) -> None:
    found = causes(World(), SLICE, endpoints=[{"addresses": ["10.0.1.2"], "hints": hints}])
    assert len(found) >= len(expected)
    assert [text[: len(start)] for text, start in zip(found, expected, strict=False)] == expected
    assert bool(found) == bool(expected)


def test_status_tells_addresses_of_a_load_balancer_that_are_addresses() -> None:
    world = World()
    status = {"status": {"loadBalancer": {"ingress": [{"ip": "foo"}, {"hostname": "1.2.3.4"}]}}}
    assert change_causes(world, "services", "kubernetes", status, "status") == [
        f'status.loadBalancer.ingress[0].ip: Invalid value: "foo": {NOT_AN_ADDRESS}',
        'status.loadBalancer.ingress[1].hostname: Invalid value: "1.2.3.4": must be a DNS name, not an IP address',
    ]


def test_node_address_is_an_address() -> None:
    world = World()
    world.add_node("node-1")
    status = {"status": {"addresses": [{"type": "Hostname", "address": "n"}, {"type": "InternalIP", "address": "foo"}]}}
    assert change_causes(world, "nodes", "node-1", status, "status") == [
        f'status.addresses[1].address: Invalid value: "foo": {NOT_AN_ADDRESS}'
    ]
