"""What Nodes and their Leases may say (core/validation, ValidateNode; coordination/validation, ValidateLeaseSpec)."""

from typing import Any

import pytest
from cp_world import World
from test_cp_rules import causes, change_causes

from controlplane.objects import Object


def node(**spec: Any) -> Object:
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}, "spec": spec}


def lease(**spec: Any) -> Object:
    return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "l"}, "spec": spec}


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (node(taints=[{"key": "a"}]), ["metadata.taints[0].effect: Required value"]),
        (
            node(taints=[{"key": "a", "effect": "Foo"}]),
            [
                'metadata.taints[0].effect: Unsupported value: "Foo": supported values: "NoSchedule", "PreferNoSchedule", "NoExecute"'
            ],
        ),
        (
            node(taints=[{"key": "a", "effect": "NoSchedule"}, {"key": "a", "effect": "NoSchedule", "value": "x"}]),
            [
                'metadata.taints[1]: Duplicate value: {"Key":"a","Value":"x","Effect":"NoSchedule","TimeAdded":null}: taints must be'
            ],
        ),
        (node(podCIDR="foo"), ['spec.podCIDRs[0]: Invalid value: "foo": must be a valid CIDR value']),
        (
            node(podCIDRs=["10.0.9.0/24", "10.0.8.0/24"]),
            ['spec.podCIDRs: Invalid value: ["10.0.9.0/24","10.0.8.0/24"]: may specify no more than one CIDR for each IP family'],
        ),
        (lease(leaseDurationSeconds=0), ["spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0"]),
        (lease(leaseTransitions=-1), ["spec.leaseTransitions: Invalid value: -1: must be greater than or equal to 0"]),
        (lease(strategy="Foo"), ['spec.strategy.strategy: Unsupported value: "Foo": supported values: "OldestEmulationVersion"']),
        (lease(strategy="example.com/own", preferredHolder="a"), []),
        (lease(preferredHolder="a"), ["spec.preferredHolder: Forbidden: may only be specified if `strategy` is defined"]),
    ],
)
def test_node_and_lease_say_what_can_be_followed(raw: Object, expected: list[str]) -> None:
    found = causes(World(), raw)
    assert [text[: len(start)] for text, start in zip(found, expected, strict=True)] == expected


@pytest.mark.parametrize(
    ("time", "why"),
    [
        ("2020-01-01T00:00:00.000000Z", None),
        ("2020-01-01T00:00:00.000000+01:00", None),
        ("2020-01-01T00:00:00Z", 'cannot parse "Z" as ".000000"'),
        ("2020-01-01T00:00:00.5Z", 'cannot parse ".5Z" as ".000000"'),
        ("foo", 'cannot parse "foo" as "2006"'),
    ],
)
def test_lease_is_renewed_to_the_microsecond(time: str, why: str | None) -> None:
    layout = "2006-01-02T15:04:05.000000Z07:00"
    prefix = 'Lease in version "v1" cannot be handled as a Lease: '
    expected = [] if why is None else [f'400 {prefix}parsing time "{time}" as "{layout}": {why}']
    assert causes(World(), lease(renewTime=time)) == expected


@pytest.mark.parametrize(
    ("patch", "expected"),
    [
        ({"podCIDR": "10.0.200.0/24"}, ['spec.podCIDRs: Forbidden: node updates may not change podCIDR except from "" to valid']),
        ({"providerID": "y"}, ['spec.providerID: Forbidden: node updates may not change providerID except from "" to valid']),
        ({"externalID": "y"}, ["spec.externalID: Forbidden: may not be updated"]),
    ],
)
def test_node_stays_the_machine_that_it_is(patch: Object, expected: list[str]) -> None:
    world = World()
    world.create(node(providerID="x"))
    assert change_causes(world, "nodes", "n", {"spec": patch}) == expected


def test_first_network_of_a_node_is_its_network_by_either_name() -> None:
    world = World()
    assert world.create(node(podCIDRs=["10.0.9.0/24"]))["spec"]["podCIDR"] == "10.0.9.0/24"
    assert world.get("nodes", "n")["spec"]["podCIDRs"] == ["10.0.9.0/24"]


def test_what_a_node_has_is_counted_and_can_be_asked_for_unless_reserved() -> None:
    world = World()
    world.create(node())
    status = {"capacity": {"pods": "110", "cpu": "1500m"}}
    assert world.change("nodes", "n", {"status": status}, subresource="status")["status"]["allocatable"] == status["capacity"]
    bad = {"capacity": {"pods": "-1"}, "allocatable": {"pods": "1500m"}}
    assert change_causes(world, "nodes", "n", {"status": bad}, "status") == [
        'status.capacity.pods: Invalid value: "-1": must be greater than or equal to 0',
        'status.allocatable.pods: Invalid value: "1500m": must be an integer',
    ]


def test_node_has_an_address_once() -> None:
    world = World()
    world.create(node())
    address = {"type": "InternalIP", "address": "10.1.1.1"}
    assert change_causes(world, "nodes", "n", {"status": {"addresses": [address, address]}}, "status") == [
        'status.addresses[1]: Duplicate value: {"Type":"InternalIP","Address":"10.1.1.1"}'
    ]
