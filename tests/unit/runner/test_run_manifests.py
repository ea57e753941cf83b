"""What the run must know of the manifests."""

from typing import Any

import pytest

from orchestrator.runner.manifests import selects, wanted_endpoints
from tests.unit.testbed.scripted_cluster import node_kill_plan


def deployment(name: str = "d", replicas: int | None = 3, namespace: str = "default", **labels: str) -> dict[str, Any]:
    spec: dict[str, Any] = {"template": {"metadata": {"labels": labels or {"app": "a"}}}}
    if replicas is not None:
        spec["replicas"] = replicas
    return {"kind": "Deployment", "metadata": {"name": name, "namespace": namespace}, "spec": spec}


def service(*ports: dict[str, Any], namespace: str = "default", **selector: str) -> dict[str, Any]:
    spec = {"selector": selector, "ports": list(ports) or [{"port": 80, "targetPort": "http"}]}
    return {"kind": "Service", "metadata": {"name": "s", "namespace": namespace}, "spec": spec}


@pytest.mark.parametrize(
    ("objects", "count"),
    [
        ([service(app="a"), deployment()], 3),
        ([service(app="a"), deployment(replicas=None)], 1),
        ([service(app="b"), deployment()], 0),
        ([service(app="a"), deployment("d"), deployment("e", 2)], 5),
        ([service(app="a"), deployment(namespace="other")], 0),
        ([service(app="a"), deployment(app="a", tier="web")], 3),
        ([service({"port": 80, "targetPort": "http"}, {"port": 443, "targetPort": "tls"}, app="a"), deployment()], 6),
        ([service({"port": 80, "targetPort": 8080}, {"port": 81, "targetPort": 8080}, app="a"), deployment()], 3),
    ],
)
def test_a_service_wants_an_endpoint_for_each_pod_and_port_that_it_selects(objects: list[dict[str, Any]], count: int) -> None:
    assert wanted_endpoints(objects) == {"default/s": count}


def test_a_service_without_a_selector_wants_nothing() -> None:
    assert wanted_endpoints([service(), deployment()]) == {}


def test_a_rescale_changes_what_is_wanted() -> None:
    assert wanted_endpoints([service(app="a"), deployment()], {"default/d": 10}) == {"default/s": 10}


def test_the_manifests_of_the_default_scenario_want_six() -> None:
    assert wanted_endpoints(node_kill_plan().objects) == {"default/service-test": 6}


def test_a_selector_needs_every_label() -> None:
    assert not selects(service(app="a", tier="web"), deployment())
