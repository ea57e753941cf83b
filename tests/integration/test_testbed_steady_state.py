"""The whole: real control plane, nodes, load balancer and client reach a steady state, and what is written about it is true."""

import base64
import datetime
import json
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
import yaml

from orchestrator.loadgen.probe import probe_paths
from orchestrator.model.plan import Plan, Role
from orchestrator.planner import plan_run
from orchestrator.registry import KINDS
from orchestrator.runner.manifests import wanted_endpoints
from orchestrator.scenario.loading import load_manifests, load_scenario
from orchestrator.testbed.bring_up import bring_up
from orchestrator.testbed.world import Testbed
from tests.integration.ingress_pki import Authority
from tests.integration.testbed_lab import lab_claim
from tests.integration.testbed_traces import differences, read_traces

pytestmark = pytest.mark.integration


SCENARIO = Path(__file__).parents[2] / "loadtests" / "scenarios" / "node-kill.yaml"
PASSING = """
apiVersion: v1
kind: Service
metadata: {name: passing}
spec:
  type: LoadBalancer
  selector: {app: service-test-pod}
  ports: [{name: http, port: 81, targetPort: http}]
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: passing}
spec:
  tls: [{hosts: [passing.example.org], secretName: passing-tls}]
  rules:
    - host: passing.example.org
      http:
        paths:
          - {path: /, pathType: Prefix, backend: {service: {name: passing, port: {name: http}}}}
"""


def plan_with_ingress(slot: int) -> Plan:
    """The default scenario's plan, and an Ingress."""
    changes = {"manifests": ["service-test.yaml", "ingress-test.yaml"], "paths.ingress": {}, "load.rate": "20/s"}
    scenario = load_scenario(SCENARIO, changes)
    return plan_run(scenario, load_manifests(SCENARIO, scenario.manifests), KINDS, file=SCENARIO, slot=slot)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("run")


@pytest.fixture(scope="module")
def testbed(directory: Path) -> Iterator[Testbed]:
    with lab_claim(directory, bare=False) as claim:
        plan = plan_with_ingress(claim.slot)
        with bring_up(plan, claim, now=datetime.datetime.now(datetime.UTC)) as testbed:
            yield testbed


def test_every_path_answers_as_the_plan_says(testbed: Testbed) -> None:
    probe_paths(testbed)
    probed = {event.fields["path"]: event.fields["outcome"] for event in testbed.history().select("path-probed")}
    assert probed == {"static-route": "ok", "nodeport": "ok", "service-port-on-node": "refused", "ingress": "ok", "control": "ok"}


def test_every_node_is_ready_and_every_pod_is_spread(testbed: Testbed) -> None:
    nodes = {item.name for item in testbed.plan.of_role(Role.NODE) if item.at_bring_up}
    assert {str(node["metadata"]["name"]) for node in testbed.kube.list("nodes")} == nodes  # type: ignore[index]
    pods = testbed.kube.list("pods", namespace="default")
    placed = [str(pod["spec"]["nodeName"]) for pod in pods]  # type: ignore[index]
    assert {node: placed.count(node) for node in placed} == dict.fromkeys(nodes, 2)


def test_every_kubelet_has_told_of_its_node_and_its_containers(testbed: Testbed) -> None:
    nodes = {item.name for item in testbed.plan.of_role(Role.NODE) if item.at_bring_up}
    told: dict[str, set[str]] = {name: set() for name in nodes}
    for event in testbed.kube.list("events", namespace="default"):
        source = event["source"]
        if source.get("component") == "kubelet":  # type: ignore[attr-defined]
            told[str(source["host"])].add(str(event["reason"]))  # type: ignore[index]
    assert all(
        {"Starting", "NodeHasNoDiskPressure", "NodeReady", "Created", "Started"} <= reasons for reasons in told.values()
    ), told


def test_the_endpoints_that_the_api_has_are_those_that_were_waited_for(testbed: Testbed) -> None:
    slices = testbed.kube.list("endpointslices", namespace="default", label_selector="kubernetes.io/service-name=service-test")
    ready = [item for found in slices for item in found["endpoints"] if item["conditions"]["ready"]]  # type: ignore[attr-defined]
    assert len(ready) == wanted_endpoints(testbed.plan.objects)["default/service-test"]


def test_the_kubeconfig_opens_the_api_and_nothing_else_does(testbed: Testbed, directory: Path) -> None:
    config = yaml.safe_load((directory / "kubeconfig").read_text())
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    authority = ssl.create_default_context(cadata=_decoded(cluster["certificate-authority-data"]))
    url = f"{cluster['server']}/api/v1/nodes"
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {user['token']}"})
    with urllib.request.urlopen(request, context=authority, timeout=5) as answer:
        assert json.load(answer)["kind"] == "NodeList"
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(urllib.request.Request(url), context=authority, timeout=5)


def test_the_bring_up_is_told_from_the_guard_to_the_last_server(testbed: Testbed) -> None:
    history = testbed.history()
    guard, launched, steady = (history.first(name) for name in ("guard-written", "booted", "server-up"))
    assert guard is not None
    assert launched is not None
    assert steady is not None
    assert guard.t_mono_ns < launched.t_mono_ns < steady.t_mono_ns
    assert [event.fields["name"] for event in history.select("phase")] == ["bring-up", "steady-state"]


def test_service_and_ingress_that_are_deleted_leave_nothing_anywhere(testbed: Testbed) -> None:
    before = read_traces(testbed)
    secret = Authority().secret("passing-tls", "passing.example.org")
    created = [*yaml.safe_load_all(PASSING), {"apiVersion": "v1", "kind": "Secret", **secret}]
    for manifest in created:
        testbed.kube.apply(manifest)
    shown = {"services", "ingresses"}
    until(lambda: all(_is_shown(testbed.kube.get(resource, "passing", namespace="default")) for resource in shown), "both served")
    touched = differences(before, read_traces(testbed))
    nodes = [item.name for item in testbed.plan.of_role(Role.NODE) if item.at_bring_up]
    assert {f"{node} nft" for node in nodes} <= touched.keys(), touched
    assert {f"loadbalancer {what}" for what in ("addresses", "haproxy.cfg", "files", "memory")} <= touched.keys(), touched

    held = testbed.kube.get("services", "passing", namespace="default")
    assert held is not None
    assert held["metadata"]["finalizers"] == ["service.kubernetes.io/load-balancer-cleanup"]  # type: ignore[index]
    for manifest in created:
        resource = {"Service": "services", "Ingress": "ingresses", "Secret": "secrets"}[manifest["kind"]]
        testbed.kube.delete(resource, manifest["metadata"]["name"], namespace="default")
    until(lambda: testbed.kube.get("services", "passing", namespace="default") is None, "the Service is let go of")
    assert "loadbalancer addresses" not in differences(before, read_traces(testbed)), "it was held until its address was gone"
    # A chain that nothing leads to any more is deleted a second later, as kube-proxy does it.
    until(lambda: not differences(before, read_traces(testbed)), lambda: f"left: {differences(before, read_traces(testbed))}")


def _is_shown(item: Mapping[str, object] | None) -> bool:
    return bool(item and item.get("status", {}).get("loadBalancer", {}).get("ingress"))  # type: ignore[attr-defined]


def until(holds: Callable[[], bool], what: str | Callable[[], str], deadline_s: float = 20.0) -> None:
    until_s = time.monotonic() + deadline_s
    while not holds():
        assert time.monotonic() < until_s, what if isinstance(what, str) else what()
        time.sleep(0.2)


def _decoded(data: str) -> str:

    return base64.b64decode(data).decode("ascii")
