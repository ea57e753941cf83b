"""What Endpoints and EndpointSlices may say (core/validation, ValidateEndpoints; discovery/validation, ValidateEndpointSlice)."""

from typing import Any

import pytest
from cp_world import World
from test_cp_rules import NOT_AN_ADDRESS, SLICE, SUBDOMAIN, causes, change_causes

from controlplane.objects import Object

LABEL = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-'"
PLACE = "subsets[0].addresses[0]"


def endpoints(address: Object | None = None, *ports: Object) -> Object:
    subset = {"addresses": [{"ip": "10.0.0.1"} | (address or {})], "ports": list(ports) or [{"port": 80}]}
    return {"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "web"}, "subsets": [subset]}


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (endpoints({"hostname": "a", "nodeName": "node-1.example"}), []),
        (
            endpoints({"ip": "foo"}),
            [f'{PLACE}.ip: Invalid value: "foo": {NOT_AN_ADDRESS}', f'{PLACE}.ip: Invalid value: "foo": must be a valid IP address'],
        ),
        (endpoints({"hostname": "A.B"}), [f'{PLACE}.hostname: Invalid value: "A.B": {LABEL}']),
        (endpoints({"nodeName": "A B"}), [f'{PLACE}.nodeName: Invalid value: "A B": {SUBDOMAIN}']),
        (endpoints({"ip": "169.254.0.1"}), [f'{PLACE}.ip: Invalid value: "169.254.0.1": may not be in the link-local range']),
        (endpoints(None, {"port": 80, "appProtocol": "a b"}), ['subsets[0].ports[0].appProtocol: Invalid value: "a b": name part']),
    ],
)  # fmt: skip
def test_endpoints_say_where_they_are(raw: Object, expected: list[str]) -> None:
    found = causes(World(), raw)
    assert [text[: len(start)] for text, start in zip(found, expected, strict=True)] == expected


def sliced(*endpoints: Object, **fields: Any) -> Object:
    return {**SLICE, "endpoints": list(endpoints), **fields}


MANY = [{"addresses": ["10.0.0.1"]}] * 1001


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (sliced({"addresses": ["a.example.com."]}, addressType="FQDN"), []),
        (sliced({"addresses": ["a"]}, addressType="FQDN"), ['endpoints[0].addresses[0]: Invalid value: "a": should be a domain with at']),
        (sliced({"addresses": ["A.b"]}, addressType="FQDN"), [f'endpoints[0].addresses[0]: Invalid value: "A.b": {SUBDOMAIN}']),
        (sliced(addressType="Foo"), ['addressType: Unsupported value: "Foo": supported values: "FQDN", "IPv4", "IPv6"']),
        (sliced({}), ["endpoints[0].addresses: Required value: must contain at least 1 address"]),
        (sliced({"addresses": ["10.0.0.1"] * 101}), ["endpoints[0].addresses: Too many: 101: must have at most 100 items"]),
        (sliced(*MANY), ["endpoints: Too many: 1001: must have at most 1000 items"]),
        (sliced({"addresses": ["10.0.0.1"], "hostname": "A"}), [f'endpoints[0].hostname: Invalid value: "A": {LABEL}']),
        (sliced({"addresses": ["10.0.0.1"], "deprecatedTopology": {"a b": "c"}}), ['endpoints[0].deprecatedTopology: Invalid value: "a b"']),
        (sliced(ports=[{"name": "a"}, {"name": "a"}]), ['ports[1].name: Duplicate value: "a"']),
        (sliced(ports=[{"protocol": "Foo"}]), ['ports[0].protocol: Unsupported value: "Foo": supported values: "SCTP", "TCP", "UDP"']),
        (sliced(ports=[{"appProtocol": "a b"}]), ['ports[0].appProtocol: Invalid value: "a b": name part must consist of']),
        (sliced(ports=[{"name": "X"}]), [f'ports[0].name: Invalid value: "X": {LABEL}']),
    ],
)  # fmt: skip
def test_slice_says_what_a_proxy_can_follow(raw: Object, expected: list[str]) -> None:
    found = causes(World(), raw)
    assert [text[: len(start)] for text, start in zip(found, expected, strict=True)] == expected


def test_type_of_addresses_stays() -> None:
    world = World()
    world.create(sliced())
    assert change_causes(world, "endpointslices", "web-1", {"addressType": "IPv6"}) == [
        'addressType: Invalid value: "IPv6": field is immutable'
    ]
