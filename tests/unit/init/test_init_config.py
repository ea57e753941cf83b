"""The configuration of a container: decoded strictly, routes rendered exactly."""

import json
from ipaddress import IPv4Address, IPv4Network

import pytest

from testbed_init.config import ConfigError, ProcessConfig, Route, decode_config
from testbed_init.routes import render_routes

DOCUMENT = {
    "run_id": "a1b2c3d4",
    "container": "node-1",
    "role": "node",
    "expires_in_s": 1800,
    "default_via": "10.100.0.1",
    "routes": [{"to": "10.3.240.0/20", "via": "10.100.0.2"}],
    "processes": [{"name": "agent", "argv": ["python3", "-m", "nodeagent"], "restart": True}],
    "settings": {"anything": ["of", "the", "role"]},
}


def decode(**changes: object):
    return decode_config(json.dumps(DOCUMENT | changes))


def test_the_contract_s_example_is_decoded():
    config = decode()
    assert (config.container, config.role, config.expires_in_s) == ("node-1", "node", 1800.0)
    assert config.default_via == IPv4Address("10.100.0.1")
    assert config.routes == (Route(to=IPv4Network("10.3.240.0/20"), next_hops=(IPv4Address("10.100.0.2"),)),)
    assert config.processes == (ProcessConfig(name="agent", argv=("python3", "-m", "nodeagent"), restart=True),)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"expires_in_s": 0}, "config.expires_in_s: must be a number above 0, got 0"),
        ({"expires_in_s": True}, "config.expires_in_s: must be a number above 0, got True"),
        ({"container": ""}, "config.container: must be a non-empty string, got ''"),
        ({"default_via": "10.100.0"}, "default_via: Expected 4 octets in '10.100.0'"),
        ({"default_via": 7}, "default_via: Expected 4 octets in '7'"),
        ({"routes": [{"to": "10.3.240.1/20", "via": "10.0.0.1"}]}, "routes[0].to: 10.3.240.1/20 has host bits set"),
        ({"routes": [{"to": "10.3.240.0/20"}]}, "routes[0]: needs either via or nexthops, got ['to']"),
        ({"routes": [{"to": "10.3.240.0/20", "via": None}]}, "routes[0].via: Expected 4 octets in 'None'"),
        ({"routes": [{"to": "10.3.240.0/20", "nexthops": []}]}, "routes[0].nexthops: must be addresses, each once, got []"),
        ({"routes": [{"to": "10.3.240.0/20", "nexthops": ["x"]}]}, "routes[0].nexthops[0]: Expected 4 octets in 'x'"),
        ({"routes": [{"to": "10.3.240.0/20", "nexthops": ["10.0.0.1"] * 2}]}, "routes[0].nexthops: must be addresses, each once"),
        ({"routes": {}}, "routes: must be a list, got {}"),
        ({"processes": [{"name": "a", "argv": []}]}, "processes[0].argv: must be a list of at least one string, got []"),
        ({"processes": [{"name": "a", "argv": ["x"], "restart": 1}]}, "processes[0].restart: must be true or false"),
        ({"processes": [{"name": "a", "argv": ["x"]}] * 2}, "processes: names must be unique, got ['a', 'a']"),
        ({"surprise": 1}, "config: unknown keys ['surprise']"),
    ],
)
def test_a_wrong_value_is_refused_with_its_key(changes, message):
    with pytest.raises(ConfigError) as caught:
        decode(**changes)
    assert message in str(caught.value)


def test_text_that_is_not_json_is_refused():
    with pytest.raises(ConfigError, match="not JSON"):
        decode_config("{")


def test_routes_are_one_idempotent_batch():
    assert render_routes(decode()) == (
        "route flush exact 0.0.0.0/0\nroute replace default via 10.100.0.1\nroute replace 10.3.240.0/20 via 10.100.0.2\n"
    )


def test_a_route_with_several_next_hops_is_one_multipath_route():
    routes = [{"to": "10.3.241.153/32", "nexthops": ["10.100.0.2", "10.100.0.3"]}]
    assert render_routes(decode(routes=routes)).splitlines()[-1] == (
        "route replace 10.3.241.153/32 nexthop via 10.100.0.2 nexthop via 10.100.0.3"
    )


def test_without_a_default_gateway_the_default_route_is_only_removed():
    assert render_routes(decode(default_via=None, routes=[])) == "route flush exact 0.0.0.0/0\n"
