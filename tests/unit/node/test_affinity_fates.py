"""Session affinity: a client stays with its endpoint, for each service port and on each node by itself; both modes."""

from __future__ import annotations

import pytest
from node_world import (
    AFFINITY,
    ALL_ADDRESSES,
    AT_HERE,
    AT_THERE,
    CLIENT,
    CLUSTER_IP,
    EXTERNAL_IP,
    HERE,
    LOAD_BALANCER_IP,
    MODES,
    NETWORKS,
    NODE,
    NODE_IP,
    NODE_PORT,
    POD,
    PORT,
    THERE,
    World,
    hidden,
    kept,
    service,
    slice_of,
    trace,
)

from nodeagent.proxy.iptables.chains import render_tables
from nodeagent.proxy.services import read_service_ports

BOTH = (AT_HERE, AT_THERE)
BOTH_NAMED = {"http": 8080, "admin": 8080}


@pytest.fixture(params=MODES)
def world(request: pytest.FixtureRequest) -> World:
    return World(request.param)


TWO_PORTS = [{"name": "http", "port": 80, "nodePort": 32213}, {"name": "admin", "port": 81, "nodePort": 32214}]


def memory(mode: str, endpoint: str, number: int) -> str:
    """What holds the clients of an endpoint of that port of the service: a set, or a list of xt_recent."""
    ports = read_service_ports([service(ports=TWO_PORTS, **AFFINITY)], [slice_of(HERE, THERE, ports=BOTH_NAMED)], NODE)
    port = next(item for item in ports if item.port == number)
    used = next(item for item in port.usable.every if item.target == endpoint)
    if mode == "nftables":
        return f"affinity-{port.chain_of(used)}"
    own = render_tables([port], NETWORKS["iptables"]).own
    (name,) = [name for name, rules in own.items() if any(f"--to-destination {endpoint}" in rule for rule in rules)]
    return name


def test_affinity_sends_a_known_client_where_it_has_been_and_others_anywhere(world: World) -> None:
    remembered = {memory(world.mode, AT_THERE, 80): [CLIENT]}
    tracer = world.of([service(**AFFINITY)], [slice_of(HERE, THERE)], remembered)
    assert tracer.packet(CLIENT, NODE_IP, "tcp", NODE_PORT) == hidden(AT_THERE)
    assert tracer.packet(POD, CLUSTER_IP, "tcp", PORT) == kept(*BOTH)


def test_affinity_is_one_for_all_addresses_of_a_service_port_and_another_for_each_port(world: World) -> None:
    remembered = {memory(world.mode, AT_THERE, 80): [CLIENT]}
    services = [service(ports=TWO_PORTS, **AFFINITY, **ALL_ADDRESSES)]
    tracer = world.of(services, [slice_of(HERE, THERE, ports=BOTH_NAMED)], remembered)
    for address, number in ((NODE_IP, 32213), (CLUSTER_IP, 80), (EXTERNAL_IP, 80), (LOAD_BALANCER_IP, 80)):
        assert tracer.packet(CLIENT, address, "tcp", number) == hidden(AT_THERE)
    for address, number in ((NODE_IP, 32214), (CLUSTER_IP, 81), (EXTERNAL_IP, 81), (LOAD_BALANCER_IP, 81)):
        assert tracer.packet(CLIENT, address, "tcp", number) == hidden(*BOTH)


def test_affinity_is_each_nodes_own(world: World) -> None:
    """One node's kernel holds what it has seen; another, with the same rules, has nothing of it."""
    services, slices = [service(**AFFINITY)], [slice_of(HERE, THERE)]
    here = world.of(services, slices, {memory(world.mode, AT_THERE, 80): [CLIENT]})
    elsewhere = trace(world.mode, read_service_ports(services, slices, "node-2"))
    assert here.packet(CLIENT, NODE_IP, "tcp", NODE_PORT) == hidden(AT_THERE)
    assert elsewhere.packet(CLIENT, NODE_IP, "tcp", NODE_PORT) == hidden(*BOTH)


def test_affinity_goes_with_its_endpoint(world: World) -> None:
    remembered = {memory(world.mode, AT_THERE, 80): [CLIENT]}
    tracer = world.of([service(**AFFINITY)], [slice_of(HERE)], remembered)
    assert tracer.packet(CLIENT, NODE_IP, "tcp", NODE_PORT) == hidden(AT_HERE)
