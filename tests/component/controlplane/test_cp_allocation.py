"""Node ports and cluster IPs as a real API server gives them: bands, collisions, exhaustion, and its very words."""

from ipaddress import IPv4Address, IPv4Network
from typing import Any

import pytest
from cp_world import World, service

from controlplane.errors import StatusError

IN_RANGE = "provided port is not in the valid range. The range of valid ports is 30000-32767"
TAKEN = "provided port is already allocated"
HEALTH = {"type": "LoadBalancer", "externalTrafficPolicy": "Local"}


def node_port(number: int, **fields: Any) -> list:
    return [{"port": 80, "nodePort": number} | fields]


def ports(count: int) -> list:
    return [{"name": f"p{index}", "port": index + 1} for index in range(count)]


def given(item: dict) -> list[int]:
    return [port["nodePort"] for port in item["spec"]["ports"]]


def refusal(world: World, name: str = "c1", **spec: Any) -> StatusError:
    with pytest.raises(StatusError) as caught:
        world.create(service(name, **spec))
    assert not world.exists("services", name)
    return caught.value


# Node ports


@pytest.mark.parametrize("number", [30000, 30085, 30086, 32767])
def test_any_port_of_the_range_can_be_asked_for(number: int) -> None:
    assert given(World().create(service(type="NodePort", ports=node_port(number)))) == [number]


@pytest.mark.parametrize("number", [80, 29999, 32768, 65535])
def test_port_outside_the_range_is_refused(number: int) -> None:
    error = refusal(World(), type="NodePort", ports=node_port(number))
    assert (error.code, error.reason) == (422, "Invalid")
    assert error.message == f'Service "c1" is invalid: spec.ports[0].nodePort: Invalid value: {number}: {IN_RANGE}'


def test_port_of_another_service_is_refused_whatever_the_protocol() -> None:
    world = World()
    world.create(service("first", type="NodePort", ports=node_port(30080)))
    for protocol in ("TCP", "UDP"):
        error = refusal(world, type="NodePort", ports=node_port(30080, protocol=protocol))
        assert error.message == f'Service "c1" is invalid: spec.ports[0].nodePort: Invalid value: 30080: {TAKEN}'


def test_no_pick_is_from_the_static_band_while_the_rest_has_one() -> None:
    world = World(node_port_range="30000-30127")  # 128 ports: the first 16 are the static band
    first = given(world.create(service("a", type="NodePort", ports=ports(100))))
    assert min(first) >= 30016
    world.create(service("b", type="NodePort", ports=ports(12)))
    assert min(given(world.get("services", "b"))) >= 30016
    last = given(world.create(service("c", type="NodePort", ports=ports(16))))
    assert sorted(last) == list(range(30000, 30016))
    error = refusal(world, type="NodePort")
    assert (error.code, error.reason) == (500, "InternalError")
    assert error.message.endswith("failed to allocate a nodePort: range is full")


def test_every_port_of_the_default_range_is_given_once() -> None:
    world = World()
    numbers: list[int] = []
    for index in range(28):
        item = world.create(service(f"s{index}", type="NodePort", ports=ports(min(100, 2768 - index * 100))), settles=False)
        numbers += given(item)
        assert index > 25 or min(given(item)) >= 30086
    assert sorted(numbers) == list(range(30000, 32768))
    assert refusal(world, type="NodePort").message.endswith("failed to allocate a nodePort: range is full")
    health = refusal(world, ports=[{"port": 80}], allocateLoadBalancerNodePorts=False, **HEALTH)
    assert "range is full" in health.message


def test_deleted_service_gives_its_port_back() -> None:
    world = World(node_port_range="30000-30000")
    world.create(service("a", type="NodePort"))
    assert "range is full" in refusal(world, type="NodePort").message
    world.delete("services", "a")
    assert given(world.create(service("b", type="NodePort"))) == [30000]


def test_port_that_is_asked_for_beside_one_that_is_picked_is_not_picked() -> None:
    world = World(node_port_range="30000-30001")
    both = [{"name": "a", "port": 1}, {"name": "b", "port": 2, "nodePort": 30001}]
    assert given(world.create(service(type="NodePort", ports=both))) == [30000, 30001]


def test_same_port_over_tcp_and_udp_shares_one_number_as_asked_for() -> None:
    both = [{"name": "t", "port": 53, "nodePort": 30053}, {"name": "u", "port": 53, "protocol": "UDP"}]
    assert given(World().create(service(type="NodePort", ports=both))) == [30053, 30053]


def test_number_of_a_service_cannot_serve_tcp_twice() -> None:
    twice = [{"name": "a", "port": 1, "nodePort": 30002}, {"name": "b", "port": 2, "nodePort": 30002}]
    error = refusal(World(), type="NodePort", ports=twice)
    assert error.message == 'Service "c1" is invalid: spec.ports[1].nodePort: Duplicate value: 30002'


def test_node_port_of_a_cluster_ip_service_is_forbidden() -> None:
    error = refusal(World(), ports=node_port(30080))
    assert error.message == (
        "Service \"c1\" is invalid: spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'"
    )


def test_port_changes_hands_within_one_update_and_the_old_one_is_free() -> None:
    world = World()
    world.create(service(type="NodePort", ports=node_port(30080)))
    world.change("services", "web", {"spec": {"ports": node_port(30081)}})
    assert given(world.create(service("next", type="NodePort", ports=node_port(30080)))) == [30080]


# Health check node ports


def test_health_check_port_comes_from_the_range_of_node_ports() -> None:
    world = World(node_port_range="30000-30001")
    spec = world.create(service(**HEALTH))["spec"]
    assert {spec["healthCheckNodePort"], *given({"spec": spec})} == {30000, 30001}


@pytest.mark.parametrize(("number", "why"), [(30080, TAKEN), (80, IN_RANGE)])
def test_health_check_port_that_cannot_be_had_is_an_internal_error(number: int, why: str) -> None:
    world = World()
    world.create(service("first", type="NodePort", ports=node_port(30080)))
    error = refusal(world, healthCheckNodePort=number, **HEALTH)
    assert (error.code, error.reason) == (500, "InternalError")
    assert error.message == f"Internal error occurred: failed to allocate requested HealthCheck NodePort {number}: {why}"


def test_health_check_port_may_not_be_the_services_own_node_port() -> None:
    error = refusal(World(), ports=node_port(30080), healthCheckNodePort=30080, **HEALTH)
    assert error.message.endswith(f"failed to allocate requested HealthCheck NodePort 30080: {TAKEN}")


def test_health_check_port_is_taken_for_node_ports_too() -> None:
    world = World()
    world.create(service("first", healthCheckNodePort=30099, **HEALTH))
    assert TAKEN in refusal(world, type="NodePort", ports=node_port(30099)).message


@pytest.mark.parametrize(
    "spec",
    [
        {"type": "NodePort", "externalTrafficPolicy": "Local"},
        {"type": "LoadBalancer", "externalTrafficPolicy": "Cluster"},
        {"type": "ClusterIP"},
    ],
)
def test_health_check_port_is_only_for_local_load_balancers(spec: dict) -> None:
    error = refusal(World(), healthCheckNodePort=30099, **spec)
    assert error.code == 422
    assert (
        "spec.healthCheckNodePort: Invalid value: 30099: may only be set when `type` is 'LoadBalancer' and "
        "`externalTrafficPolicy` is 'Local'"
    ) in error.message
    assert "healthCheckNodePort" not in World().create(service(**spec))["spec"]


def test_health_check_port_is_immutable_while_it_is_needed() -> None:
    world = World()
    world.create(service(healthCheckNodePort=30099, **HEALTH))
    with pytest.raises(StatusError) as caught:
        world.change("services", "web", {"spec": {"healthCheckNodePort": 30100}})
    assert caught.value.message == 'Service "web" is invalid: spec.healthCheckNodePort: Forbidden: field is immutable'
    assert world.get("services", "web")["spec"]["healthCheckNodePort"] == 30099
    world.change("services", "web", {"spec": {"healthCheckNodePort": None}})
    assert world.get("services", "web")["spec"]["healthCheckNodePort"] == 30099


def test_health_check_port_is_free_once_the_policy_is_cluster() -> None:
    world = World()
    world.create(service(healthCheckNodePort=30099, **HEALTH))
    world.change("services", "web", {"spec": {"externalTrafficPolicy": "Cluster"}})
    assert given(world.create(service("next", type="NodePort", ports=node_port(30099)))) == [30099]


def test_health_check_port_comes_with_the_policy() -> None:
    world = World()
    world.create(service(type="LoadBalancer"))
    spec = world.change("services", "web", {"spec": {"externalTrafficPolicy": "Local"}})["spec"]
    assert 30086 <= spec["healthCheckNodePort"] <= 32767


# Cluster IPs


def test_picks_of_a_16_network_begin_257_above_its_base() -> None:
    world = World(service_cidr="10.96.0.0/16")
    for index in range(50):
        address = IPv4Address(world.create(service(f"s{index}"), settles=False)["spec"]["clusterIP"])
        assert IPv4Address("10.96.1.1") <= address <= IPv4Address("10.96.255.254")
    assert world.get("services", "kubernetes")["spec"]["clusterIP"] == "10.96.0.1"


def test_every_address_of_a_network_is_given_but_its_first_and_its_last() -> None:
    world = World(service_cidr="10.3.240.0/26")  # 62 usable, of which the first 16 are the static band
    addresses = [world.create(service(f"s{index}"), settles=False)["spec"]["clusterIP"] for index in range(61)]
    offsets = [int(IPv4Address(address)) - int(IPv4Address("10.3.240.0")) for address in addresses]
    assert sorted(offsets[:46]) == list(range(17, 63))
    assert sorted(offsets[46:]) == list(range(2, 17))
    error = refusal(world)
    assert (error.code, error.message) == (500, "Internal error occurred: failed to allocate a serviceIP: range is full")


@pytest.mark.parametrize("address", ["10.3.240.0", "10.3.255.255", "10.4.0.1", "192.0.2.1"])
def test_address_outside_the_usable_network_is_refused(address: str) -> None:
    error = refusal(World(), clusterIP=address)
    assert (error.code, error.reason) == (422, "Invalid")
    assert error.message == (
        f'Service "c1" is invalid: spec.clusterIPs: Invalid value: ["{address}"]: failed to allocate IP {address}: '
        "the provided network does not match the current range"
    )


def test_address_of_another_service_is_refused() -> None:
    world = World()
    world.create(service("first", clusterIP="10.3.240.80"))
    error = refusal(world, clusterIP="10.3.240.80")
    assert error.message == (
        'Service "c1" is invalid: spec.clusterIPs: Invalid value: ["10.3.240.80"]: failed to allocate IP 10.3.240.80: '
        "provided IP is already allocated"
    )


def test_address_of_the_api_itself_is_taken() -> None:
    assert "provided IP is already allocated" in refusal(World(), clusterIP="10.3.240.1").message


def test_allocations_are_known_again_after_a_restart() -> None:
    world = World()
    world.create(service("first", type="NodePort", clusterIP="10.3.240.80", ports=node_port(30080)))
    again = World(journal=world.journal)
    assert TAKEN in refusal(again, type="NodePort", ports=node_port(30080)).message
    assert "provided IP is already allocated" in refusal(again, clusterIP="10.3.240.80").message
    assert IPv4Address(again.create(service("next"))["spec"]["clusterIP"]) in IPv4Network("10.3.240.0/20")


# Policies, affinity, defaults


def test_external_policy_is_for_what_is_reached_from_outside() -> None:
    error = refusal(World(), externalTrafficPolicy="Local")
    assert error.message == (
        'Service "c1" is invalid: spec.externalTrafficPolicy: Invalid value: "Local": '
        "may only be set for externally-accessible services"
    )
    spec = World().create(service(externalIPs=["198.18.0.200"], externalTrafficPolicy="Local"))["spec"]
    assert spec["externalTrafficPolicy"] == "Local"


@pytest.mark.parametrize("seconds", [1, 86_400])
def test_affinity_lasts_from_a_second_to_a_day(seconds: int) -> None:
    config = {"clientIP": {"timeoutSeconds": seconds}}
    spec = World().create(service(sessionAffinity="ClientIP", sessionAffinityConfig=config))["spec"]
    assert spec["sessionAffinityConfig"] == config


@pytest.mark.parametrize("seconds", [-1, 0, 86_401])
def test_affinity_beyond_its_bounds_is_refused(seconds: int) -> None:
    config = {"clientIP": {"timeoutSeconds": seconds}}
    error = refusal(World(), sessionAffinity="ClientIP", sessionAffinityConfig=config)
    assert error.message.endswith(f"Invalid value: {seconds}: must be greater than 0 and less than 86400")


@pytest.mark.parametrize(
    ("spec", "defaults"),
    [
        ({}, {"type": "ClusterIP", "internalTrafficPolicy": "Cluster", "sessionAffinity": "None"}),
        ({"type": "NodePort"}, {"externalTrafficPolicy": "Cluster", "internalTrafficPolicy": "Cluster"}),
        ({"type": "LoadBalancer"}, {"externalTrafficPolicy": "Cluster", "allocateLoadBalancerNodePorts": True}),
        ({"externalIPs": ["198.18.0.200"]}, {"externalTrafficPolicy": "Cluster"}),
        ({"sessionAffinity": "ClientIP"}, {"sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 10_800}}}),
        ({"clusterIP": "None"}, {"clusterIPs": ["None"], "internalTrafficPolicy": "Cluster"}),
    ],
)
def test_what_was_left_out_is_filled_in(spec: dict, defaults: dict) -> None:
    created = World().create(service(ports=[{"port": 80}], **spec))["spec"]
    assert {name: created.get(name) for name in defaults} == defaults
    assert created["ports"][0]["targetPort"] == 80
