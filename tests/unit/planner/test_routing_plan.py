"""What the paths of the scenario `routes` put into its containers."""

from functools import cache
from pathlib import Path

import pytest

from orchestrator.errors import ScenarioError
from orchestrator.model.plan import ContainerPlan, Plan, Role
from orchestrator.planner import plan_run
from orchestrator.registry import KINDS
from orchestrator.scenario.loading import load_manifests, load_scenario

ROUTES = Path(__file__).resolve().parents[3] / "loadtests" / "scenarios" / "routes.yaml"


def plan(slot: int = 0, **overrides: object) -> Plan:
    scenario = load_scenario(ROUTES, {key.replace("__", "."): value for key, value in overrides.items()})
    return plan_run(scenario, load_manifests(ROUTES, scenario.manifests), KINDS, file=ROUTES, slot=slot)


default_plan = cache(plan)


def processes(container: ContainerPlan) -> list[str]:
    found = container.config["processes"]
    assert isinstance(found, list)
    return [item["name"] for item in found]


def test_gateway_routes_each_service_by_a_route_of_its_own() -> None:
    gateway = default_plan().container("gateway")
    nodes = ["10.100.0.2", "10.100.0.3", "10.100.0.4"]
    assert gateway.config["routes"] == [
        {"to": "10.3.240.0/20", "via": "10.100.0.2"},
        {"to": "10.3.241.153/32", "nexthops": nodes},
    ]
    assert gateway.sysctls == {"net.ipv4.fib_multipath_hash_policy": "1"}
    assert processes(gateway) == ["routes", "bird"]
    assert list(gateway.files) == ["/etc/testbed/bird.conf"]


def test_every_node_has_the_daemons_and_who_tells_them_what_to_announce() -> None:
    for node in default_plan().of_role(Role.NODE):
        assert processes(node) == ["agent", "routes", "keepalived", "bird", "speaker"]
        assert f"router id {node.address};" in node.files["/etc/testbed/bird.conf"]
        assert f"unicast_src_ip {node.address}\n" in node.files["/etc/testbed/keepalived.conf"]


def test_speaker_knows_service_and_address_of_each_announcement() -> None:
    settings = default_plan().container("node-1").config["settings"]
    assert isinstance(settings, dict)
    assert settings["routing"]["announcements"] == [
        {"path": "bgp", "service": "default/service-bgp", "address": "10.3.241.154", "by": "bgp"},
        {"path": "bgp-bfd", "service": "default/service-bgp-bfd", "address": "198.51.100.10", "by": "bgp"},
        {"path": "vip", "service": "default/service-vip", "address": "10.100.0.251", "by": "vrrp"},
    ]


def test_virtual_address_joins_its_service_s_external_ips_and_follows_the_slot() -> None:
    for slot, address in ((0, "10.100.0.251"), (3, "10.100.3.251")):
        made = plan(slot)
        services = {item["metadata"]["name"]: item["spec"] for item in made.objects if item["kind"] == "Service"}  # type: ignore[index]
        assert services["service-vip"]["externalIPs"] == [address]
        assert services["service-bgp-bfd"]["externalIPs"] == ["198.51.100.10"]
        assert "externalIPs" not in services["service-bgp"]


def test_nodes_that_the_timeline_adds_are_neighbours_from_the_start() -> None:
    made = plan(timeline=[{"at": "5s", "scale": {"nodes": 4}}], slo={})
    assert "neighbor 10.100.0.5 port 179" in made.container("gateway").files["/etc/testbed/bird.conf"]
    assert "        10.100.0.5\n" in made.container("node-1").files["/etc/testbed/keepalived.conf"]
    assert "priority 251\n" in made.container("node-4").files["/etc/testbed/keepalived.conf"]


@pytest.mark.parametrize(
    ("path", "service", "message"),
    [
        ("bgp", "service-ecmp", "path 'static-ecmp' leads to 10.3.241.153 by another route"),
        ("static-ecmp", "service-test", "path 'static-route' leads to 10.3.241.152 by another route"),
    ],
)
def test_two_ways_to_one_address_are_a_problem_of_the_scenario(path: str, service: str, message: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        plan(**{f"paths__{path}__service": service})
    assert message in str(caught.value)
    assert f"paths.{path}" in str(caught.value)
