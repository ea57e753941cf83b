"""The whole: real control plane, nodes, load balancer and client reach a steady state, and what is written about it is true."""

import base64
import datetime
import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from orchestrator.loadgen.probe import probe_paths
from orchestrator.model.plan import Role
from orchestrator.runner.manifests import wanted_endpoints
from orchestrator.testbed.bring_up import bring_up
from orchestrator.testbed.world import Testbed
from tests.integration.testbed_lab import lab_claim
from tests.unit.testbed.scripted_cluster import node_kill_plan

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("run")


@pytest.fixture(scope="module")
def testbed(directory: Path) -> Iterator[Testbed]:
    with lab_claim(directory, bare=False) as claim:
        plan = node_kill_plan(slot=claim.slot)
        with bring_up(plan, claim, now=datetime.datetime.now(datetime.UTC)) as testbed:
            yield testbed


def test_every_path_answers_as_the_plan_says(testbed: Testbed) -> None:
    probe_paths(testbed)
    probed = {event.fields["path"]: event.fields["outcome"] for event in testbed.history().select("path-probed")}
    assert probed == {"static-route": "ok", "nodeport": "ok", "service-port-on-node": "refused", "control": "ok"}


def test_every_node_is_ready_and_every_pod_is_spread(testbed: Testbed) -> None:
    nodes = {item.name for item in testbed.plan.of_role(Role.NODE) if item.at_bring_up}
    assert {str(node["metadata"]["name"]) for node in testbed.kube.list("nodes")} == nodes  # type: ignore[index]
    pods = testbed.kube.list("pods", namespace="default")
    placed = [str(pod["spec"]["nodeName"]) for pod in pods]  # type: ignore[index]
    assert {node: placed.count(node) for node in placed} == dict.fromkeys(nodes, 2)


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


def _decoded(data: str) -> str:

    return base64.b64decode(data).decode("ascii")
