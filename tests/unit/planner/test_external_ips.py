"""External addresses in the plan: the manifest's own, or the lowest that is left, and none twice."""

import json
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from lbagent.settings import decode_settings
from orchestrator.addresses import slot_addresses
from orchestrator.errors import ScenarioError
from orchestrator.model.plan import Plan
from orchestrator.planner import plan_run
from orchestrator.planner.external_ips import PoolFullError, assign_external_ips
from orchestrator.registry import KINDS
from orchestrator.scenario.loading import load_manifests, load_scenario

POOL = IPv4Network("198.18.0.128/30")
SCENARIO = """\
name: balanced
question: Where?
manifests: [services.yaml]
paths: {%s}
duration: 20s
"""
SERVICE = """\
---
apiVersion: v1
kind: Service
metadata: {name: %s}
spec: {type: LoadBalancer, selector: {app: web}, ports: [{name: http, port: 80}]%s}
"""


def plan_services(tmp_path: Path, paths: str, *services: tuple[str, str], slot: int = 0) -> Plan:
    file = tmp_path / "balanced.yaml"
    file.write_text(SCENARIO % paths, encoding="utf-8")
    (tmp_path / "services.yaml").write_text("".join(SERVICE % item for item in services), encoding="utf-8")
    scenario = load_scenario(file, {})
    return plan_run(scenario, load_manifests(file, scenario.manifests), KINDS, file=file, slot=slot)


def test_lowest_addresses_that_no_manifest_asks_for_are_given_in_order() -> None:
    wanted = {"a": None, "b": IPv4Address("198.18.0.128"), "c": None}
    assert {name: str(address) for name, address in assign_external_ips(wanted, POOL).items()} == {
        "a": "198.18.0.129",
        "b": "198.18.0.128",
        "c": "198.18.0.130",
    }


def test_more_services_than_addresses_are_refused() -> None:
    with pytest.raises(PoolFullError, match=r"5 Services of type LoadBalancer; allowed: 4, all of 198\.18\.0\.128/30"):
        assign_external_ips(dict.fromkeys("abcde"), POOL)


@pytest.mark.parametrize(("slot", "address"), [(0, "198.18.0.128"), (3, "198.18.3.128")])
def test_plan_asks_for_the_address_that_its_url_names(tmp_path: Path, slot: int, address: str) -> None:
    plan = plan_services(
        tmp_path, "loadbalancer: {service: a}", ("a", ""), ("b", ", loadBalancerClass: example.com/own"), slot=slot
    )
    assert plan.path("loadbalancer").url == f"http://{address}:80/"
    asked = [item["spec"].get("loadBalancerIP") for item in plan.objects if isinstance(item["spec"], dict)]
    assert asked == [address, None]


@pytest.mark.parametrize(
    ("services", "message"),
    [
        ([("a", ", loadBalancerIP: 192.0.2.1")], "spec.loadBalancerIP: outside the external pool"),
        (
            [("a", ", loadBalancerIP: 198.18.0.130"), ("b", ", loadBalancerIP: 198.18.0.130")],
            "spec.loadBalancerIP: already taken by Service default/a",
        ),
    ],
)
def test_address_that_cannot_be_had_is_refused(tmp_path: Path, services: list[tuple[str, str]], message: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        plan_services(tmp_path, "loadbalancer: {service: a}", *services)
    assert message in str(caught.value)


def test_further_paths_of_one_service_have_an_address_each_that_no_service_gets(tmp_path: Path) -> None:
    paths = ", ".join(f"{name}: {{kind: loadbalancer, service: {service}}}" for name, service in zip("wxyz", "aaba", strict=True))
    plan = plan_services(tmp_path, paths, ("a", ""), ("b", ""), slot=3)
    assert [path.url for path in plan.paths] == [
        "http://198.18.3.128:80/",
        "http://198.18.3.192:80/",
        "http://198.18.3.129:80/",
        "http://198.18.3.193:80/",
    ]
    (balancer,) = (item for item in plan.containers if item.name == "loadbalancer")
    settings = balancer.config["settings"]
    assert isinstance(settings, dict)
    assert [entry.get("address") for entry in settings["frontends"]] == [None, "198.18.3.192", None, "198.18.3.193"]
    served = decode_settings(json.dumps({"container": "loadbalancer", "settings": settings | {"token": "t"}})).services
    assert [str(entry.address) for entry in served] == ["None", "198.18.3.192", "None", "198.18.3.193"]
    slots = slot_addresses(3, client_pool=IPv4Network("198.18.0.0/16"), node_pool=IPv4Network("10.100.0.0/16"))
    assert not set(slots.further_external) & {*slots.external_pool, slots.client, slots.loadbalancer, slots.clients[254]}


def test_more_paths_of_one_service_than_addresses_are_refused(tmp_path: Path) -> None:
    paths = ", ".join(f"p{number}: {{kind: loadbalancer, service: a}}" for number in range(34))
    with pytest.raises(
        ScenarioError, match=r"paths\.p33\.service: no address is left for another path to default/a; allowed: 32"
    ):
        plan_services(tmp_path, paths, ("a", ""))


def test_services_share_the_machine_and_not_the_address(tmp_path: Path) -> None:
    plan = plan_services(
        tmp_path, "one: {kind: loadbalancer, service: a}, two: {kind: loadbalancer, service: b}", ("a", ""), ("b", "")
    )
    assert [path.url for path in plan.paths] == ["http://198.18.0.128:80/", "http://198.18.0.129:80/"]
