"""Manifests that could only fail once everything runs are refused before anything does."""

from pathlib import Path

import pytest

from controlplane.kinds.registry import RESOURCES
from orchestrator.errors import ScenarioError
from orchestrator.model.kubernetes import KINDS
from orchestrator.planner.manifests import check_manifests
from orchestrator.scenario.loading import Manifest

FILE = Path("service.yaml")


def pods(kind: str = "Deployment", **spec: object) -> dict[str, object]:
    container = {"name": "web", "image": "nginx", "ports": [{"name": "http", "containerPort": 8080}]}
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [container]}}
    version = "apps/v1" if kind in ("Deployment", "ReplicaSet") else "v1"
    return {"apiVersion": version, "kind": kind, "metadata": {"name": "web"}, "spec": {"template": template, **spec}}


def service(target: object, **spec: object) -> dict[str, object]:
    ports = [{"port": 80, "targetPort": target}]
    body = {"selector": {"app": "web"}, "ports": ports, **spec}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": body}


def check(*bodies: dict[str, object], nodes: int = 3) -> None:
    check_manifests([Manifest(file=FILE, index=place, body=body) for place, body in enumerate(bodies)], nodes=nodes)


def test_every_kind_of_the_control_plane_may_stand_in_a_manifest_in_each_of_its_versions() -> None:
    resources = [resource for resource in RESOURCES if "create" in resource.verbs]
    served: dict[str, set[str]] = {}
    for resource in resources:
        served.setdefault(resource.kind, set()).add(resource.group_version)
    assert {kind: set(item.api_versions) for kind, item in KINDS.items()} == served
    assert {item.plural for item in KINDS.values()} == {resource.plural for resource in resources}
    assert {(item.kind, item.is_namespaced) for item in resources} == {(name, kind.is_namespaced) for name, kind in KINDS.items()}


@pytest.mark.parametrize("target", ["http", 8080, "8080"])
def test_ports_that_pods_have_or_that_are_numbers_are_fine(target: object) -> None:
    check(pods(replicas=0), service(target))


def test_a_service_of_pods_that_no_manifest_makes_is_nobodys_business() -> None:
    check(service("anything"))
    check(pods(), service("anything", selector={"app": "other"}))
    check(pods(), service("anything", selector={}))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({**service(80), "kind": "Srvice"}, r"document 1\.kind: is not served by the control plane \(did you mean 'Service'\?\)"),
        (
            {**pods(), "apiVersion": "apps/v1beta1"},
            r"document 1\.apiVersion: is not served for Deployment; found 'apps/v1beta1'; allowed: apps/v1",
        ),
        (
            pods(replicas=-1),
            r"document 1\.spec\.replicas: is not a number of pods that there can be; found -1; allowed: 0 to 330",
        ),
        (pods(replicas=331), "found 331"),
        (pods(replicas=True), "found True"),
        (pods(replicas="3"), "found '3'"),
        (
            service("htpp"),
            r"document 1\.spec\.ports\[0\]\.targetPort: no container of the pods that it selects names this port; found 'htpp'; allowed: http",
        ),
    ],
)
def test_what_cannot_be_is_named_with_its_document_and_key(body: dict[str, object], message: str) -> None:
    with pytest.raises(ScenarioError, match=rf"^service\.yaml: .*{message}"):
        check(pods(), body)
