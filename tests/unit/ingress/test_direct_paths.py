"""Paths to one node's own address: what each plans from Services and pods of the manifests, and what it refuses."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel
from test_routed_paths import CONTEXT

from orchestrator.contracts import IngressPath, PlanContext, ServiceFacts, ServicePortFacts
from orchestrator.errors import ScenarioError
from orchestrator.ingress.hostnetwork import HostNetwork
from orchestrator.ingress.hostport import HostPort
from orchestrator.ingress.nodeport_direct import NodePortDirect
from orchestrator.model.direct import Direct, direct_of
from orchestrator.model.plan import PathPlan
from orchestrator.planner.workloads import read_workloads
from orchestrator.scenario.loading import Manifest

SPREAD = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: %s}
spec:
  replicas: %s
  template: {spec: {%s containers: [{name: web, ports: [%s]}]}}
"""
HOST_PORT = SPREAD % ("web", 3, "", "{name: metrics, containerPort: 9}, {name: http, containerPort: 8080, hostPort: 8000}")
HOST_NETWORK = SPREAD % ("plain", 3, "hostNetwork: true,", "{name: http, containerPort: 8001}")
POD = """
apiVersion: v1
kind: Pod
metadata: {name: single, namespace: other}
spec:
  nodeName: node-2
  containers:
    - name: web
      ports: [{containerPort: 53, hostPort: 53, protocol: UDP}, {containerPort: 80, hostPort: 9000, hostIP: 10.100.0.3}]
"""
WITHOUT = SPREAD % ("without", 3, "", "{containerPort: 80}")


def manifests(*texts: str) -> tuple[Manifest, ...]:
    bodies: Iterable[dict] = (body for text in texts for body in yaml.safe_load_all(text))
    return tuple(Manifest(file=Path("pods.yaml"), index=index, body=body) for index, body in enumerate(bodies))


def context(*texts: str) -> PlanContext:
    return replace(CONTEXT, workloads=read_workloads(manifests(*texts)))


def plan(kind: IngressPath, inside: PlanContext, **options: object) -> PathPlan:
    decoded: BaseModel = kind.options.model_validate(options)
    parts = kind.plan("path", decoded, inside, 0)
    assert (parts.gateway_routes, parts.frontends) == ((), ()), "nothing but the node is in the way"
    return parts.path


def test_host_port_is_called_at_the_nodes_address_and_answered_by_its_own_pod() -> None:
    path = plan(HostPort(), context(WITHOUT, HOST_PORT, HOST_NETWORK), node="node-2")
    assert (path.url, path.service, path.entry_nodes, path.frontend) == (
        "http://10.100.0.3:8000/",
        "default/web",
        ("node-2",),
        None,
    )
    assert direct_of(path) == Direct(node="node-2", is_local=True)


def test_pod_in_the_nodes_network_is_called_where_its_program_listens() -> None:
    path = plan(HostNetwork(), context(HOST_PORT, HOST_NETWORK))
    assert (path.url, path.service, path.entry_nodes) == ("http://10.100.0.2:8001/", "default/plain", ("node-1",))
    assert direct_of(path) == Direct(node="node-1", is_local=True)


@pytest.mark.parametrize("port", [8000, "http"])
def test_port_of_the_node_is_chosen_by_name_or_number(port: int | str) -> None:
    two = SPREAD % ("web", 3, "", "{containerPort: 80, hostPort: 7000}, {name: http, containerPort: 8080, hostPort: 8000}")
    assert plan(HostPort(), context(two)).url == "http://10.100.0.2:7000/"
    assert plan(HostPort(), context(two), port=port).url == "http://10.100.0.2:8000/"


def test_bare_pod_with_an_address_of_its_own_node_is_called_there() -> None:
    path = plan(HostPort(), context(HOST_PORT, POD), workload="single", node="node-2")
    assert (path.url, path.service) == ("http://10.100.0.3:9000/", "other/single")


@pytest.mark.parametrize(
    ("kind", "texts", "options", "words"),
    [
        (HostPort(), [WITHOUT, HOST_NETWORK], {}, r"workload: no manifest has a pod with a hostPort; allowed"),
        (HostNetwork(), [HOST_PORT], {}, r"workload: no manifest has a pod with hostNetwork and a containerPort; allowed"),
        (HostPort(), [HOST_PORT, POD], {}, r"workload: is required, since 2 have a hostPort; allowed: web, single"),
        (HostPort(), [HOST_PORT], {"workload": "plain"}, r"workload: no Deployment or pod with a hostPort is named 'plain'"),
        (HostPort(), [HOST_PORT, HOST_PORT], {"workload": "web"}, r"workload: more than one Deployment or pod"),
        (HostPort(), [HOST_PORT], {"port": "dns"}, r"port: default/web has no port 'dns' on its node; allowed: http \(8000\)"),
        (HostPort(), [HOST_PORT], {"node": "node-9"}, r"node: no such node 'node-9'"),
        (HostPort(), [POD], {"port": 53}, r"port: other/single has no port 53 on its node; allowed: 9000"),
        (HostPort(), [POD], {}, r"node: host port 9000 of other/single is at 10\.100\.0\.3 only, and node-1 is 10\.100\.0\.2"),
        (
            HostPort(),
            [SPREAD % ("web", 2, "", "{containerPort: 80, hostPort: 80}")],
            {},
            r"workload: default/web has 2 pods for 3 nodes, and nothing says that node-1 gets one; allowed: 3 replicas or more, or",
        ),
        (
            HostNetwork(),
            [SPREAD % ("web", 1, "hostNetwork: true, nodeSelector: {kubernetes.io/hostname: node-2},", "{containerPort: 80}")],
            {},
            r"node: pods of default/web are on node-2 only; allowed: that node",
        ),
    ],
)
def test_path_without_a_pod_behind_it_is_refused_with_what_is_allowed(
    kind: IngressPath, texts: list[str], options: dict[str, object], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        plan(kind, context(*texts), **options)


def test_pods_pinned_to_the_node_need_not_be_on_every_one() -> None:
    pinned = SPREAD % ("web", 1, "nodeSelector: {kubernetes.io/hostname: node-3},", "{containerPort: 80, hostPort: 80}")
    assert plan(HostPort(), context(pinned), node="node-3").url == "http://10.100.0.4:80/"


def test_manifest_that_is_no_workload_at_all_is_named() -> None:
    with pytest.raises(ScenarioError, match=r"pods\.yaml"):
        read_workloads(manifests("{kind: Deployment, metadata: {name: web}, spec: {replicas: many}}"))


def node_port(
    *, service_type: str = "NodePort", number: int | None = 32213, protocol: str = "TCP", is_local: bool = False
) -> PlanContext:
    port = ServicePortFacts(name="http", port=80, node_port=number, protocol=protocol)
    service = ServiceFacts(
        name="web", namespace="default", service_type=service_type, cluster_ip=None, ports=(port,), is_local=is_local
    )
    return replace(CONTEXT, services={"web": service})


@pytest.mark.parametrize("is_local", [False, True])
def test_node_port_is_called_at_one_node_without_a_load_balancer(is_local: bool) -> None:
    path = plan(NodePortDirect(), node_port(is_local=is_local), node="node-3")
    assert (path.url, path.service, path.entry_nodes) == ("http://10.100.0.4:32213/", "default/web", ("node-3",))
    assert direct_of(path) == Direct(node="node-3", is_local=is_local)


@pytest.mark.parametrize(
    ("inside", "words"),
    [
        (node_port(service_type="ClusterIP"), "service: default/web has type ClusterIP; allowed: NodePort, LoadBalancer"),
        (node_port(number=None), "port: port http of Service default/web has no fixed nodePort"),
        (node_port(protocol="UDP"), "port: port http of Service default/web is UDP; allowed: TCP"),
    ],
)
def test_node_port_that_a_client_cannot_know_or_ask_is_refused(inside: PlanContext, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        plan(NodePortDirect(), inside)


def test_direct_paths_are_no_next_hops_of_a_route() -> None:
    """`target: next-hop` means nodes that a router leads to."""
    assert "next_hop" not in plan(HostPort(), context(HOST_PORT)).settings


def test_addresses_of_another_family_are_left_to_the_control_plane() -> None:
    ports = "{containerPort: 80, hostPort: 80, hostIP: '::1'}, {containerPort: 80, hostPort: 81, hostIP: 0.0.0.0}"
    odd = SPREAD % ("web", 3, "", ports)
    (facts,) = read_workloads(manifests(odd))
    assert [port.address for port in facts.host_ports] == [None, None]
