"""The real kubectl against the control plane over TLS: the sessions of every day, and what they print."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.cp_server import KUBECTL, Server

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not Path(KUBECTL).exists(), reason=f"{KUBECTL} is not installed"),
]

DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: service-test}
spec:
  replicas: 4
  selector: {matchLabels: {app: service-test-pod}}
  template:
    metadata: {labels: {app: service-test-pod}}
    spec:
      containers:
        - {name: web, image: nginx, ports: [{name: http, containerPort: 8080}]}
"""
SERVICE = """
apiVersion: v1
kind: Service
metadata: {name: service-test}
spec:
  type: %s
  clusterIP: 10.3.241.152
  selector: {app: service-test-pod}
  ports:
    - {port: 80, targetPort: http%s}
"""
INGRESS = """
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: test-ingress}
spec:
  tls: [{secretName: testsecret-tls, hosts: [example.com]}]
  rules:
    - host: example.com
      http:
        paths:
          - {path: /, pathType: Prefix, backend: {service: {name: service-test, port: {number: 80}}}}
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with Server(tmp_path) as running:
        for number in (1, 2, 3):
            running.add_node(f"node-{number}")
        yield running


def columns(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()]


def test_session_of_the_article_prints_what_people_know(server: Server) -> None:
    kubectl = server.kubectl
    kubectl("apply", "-f", "-", text=DEPLOYMENT)
    assert kubectl("apply", "-f", "-", text=SERVICE % ("ClusterIP", "")) == "service/service-test created\n"
    table = columns(kubectl("get", "svc", "service-test"))
    assert table[0] == ["NAME", "TYPE", "CLUSTER-IP", "EXTERNAL-IP", "PORT(S)", "AGE"]
    assert table[1][:5] == ["service-test", "ClusterIP", "10.3.241.152", "<none>", "80/TCP"]
    assert kubectl("apply", "-f", "-", text=SERVICE % ("NodePort", ", nodePort: 32213")) == "service/service-test configured\n"
    assert columns(kubectl("get", "svc", "service-test"))[1][:5] == [
        "service-test", "NodePort", "10.3.241.152", "<none>", "80:32213/TCP",
    ]  # fmt: skip
    kubectl("apply", "-f", "-", text=SERVICE % ("LoadBalancer", ", nodePort: 32213"))
    assert columns(kubectl("get", "svc", "service-test"))[1][3] == "<pending>"
    kubectl("annotate", "svc", "service-test", "ingress-testbed.io/external-ip-served=198.18.0.128")
    assert columns(kubectl("get", "svc", "service-test"))[1][:5] == [
        "service-test", "LoadBalancer", "10.3.241.152", "198.18.0.128", "80:32213/TCP",
    ]  # fmt: skip
    kubectl("apply", "-f", "-", text=INGRESS)
    assert columns(kubectl("get", "ingress"))[1] == ["test-ingress", "<none>", "example.com", "80,", "443", "0s"]
    assert kubectl("apply", "-f", "-", text=INGRESS) == "ingress.networking.k8s.io/test-ingress unchanged\n"


def test_refusals_read_as_those_of_a_real_cluster(server: Server) -> None:
    kubectl = server.kubectl
    text = (SERVICE % ("NodePort", ", nodePort: 80")).replace("service-test", "c1")
    assert kubectl("apply", "-f", "-", text=text, status=1) == (
        'The Service "c1" is invalid: spec.ports[0].nodePort: Invalid value: 80: provided port is not in the valid range. '
        "The range of valid ports is 30000-32767\n"
    )
    kubectl("apply", "-f", "-", text=SERVICE % ("ClusterIP", ""))
    assert "failed to allocate IP 10.3.241.152: provided IP is already allocated" in kubectl(
        "apply", "-f", "-", text=(SERVICE % ("ClusterIP", "")).replace("service-test", "c2"), status=1
    )
    assert kubectl("get", "pod", "nope", status=1) == 'Error from server (NotFound): pods "nope" not found\n'
    assert kubectl("get", "foo", status=1) == 'error: the server doesn\'t have a resource type "foo"\n'
    unknown = 'strict decoding error: unknown field "foo"'
    assert unknown in kubectl(
        "create", "-f", "-", text="---\n{apiVersion: v1, kind: ConfigMap, metadata: {name: x}, foo: 1}", status=1
    )
    assert "(Unauthorized)" in kubectl("get", "pods", "--token=wrong", status=1).replace(
        "You must be logged in", "(Unauthorized)"
    )


def test_deployment_is_scaled_rolled_out_and_rolled_back(server: Server) -> None:
    kubectl = server.kubectl
    kubectl("apply", "-f", "-", text=DEPLOYMENT)
    assert "successfully rolled out" in kubectl("rollout", "status", "deploy/service-test", "--timeout=10s")
    assert kubectl("scale", "deploy/service-test", "--replicas=6") == "deployment.apps/service-test scaled\n"
    kubectl("wait", "--for=jsonpath={.status.readyReplicas}=6", "deploy/service-test", "--timeout=10s")
    assert columns(kubectl("get", "deploy"))[1][:4] == ["service-test", "6/6", "6", "6"]
    kubectl("set", "image", "deploy/service-test", "web=nginx:1.27")
    kubectl("rollout", "status", "deploy/service-test", "--timeout=10s")
    assert set(kubectl("get", "pods", "-o", "jsonpath={.items[*].spec.containers[0].image}").split()) == {"nginx:1.27"}
    assert kubectl("rollout", "undo", "deploy/service-test") == "deployment.apps/service-test rolled back\n"
    kubectl("rollout", "status", "deploy/service-test", "--timeout=10s")
    history = columns(kubectl("rollout", "history", "deploy/service-test"))
    assert [line[0] for line in history if line and line[0].isdecimal()] == ["2", "3"]
    assert kubectl("rollout", "restart", "deploy/service-test") == "deployment.apps/service-test restarted\n"
    kubectl("rollout", "status", "deploy/service-test", "--timeout=10s")
    described = kubectl("describe", "deploy", "service-test")
    assert "6 desired | 6 updated | 6 total | 6 available | 0 unavailable" in described
    assert "ScalingReplicaSet" in described


def test_node_is_cordoned_drained_and_taken_back(server: Server) -> None:
    kubectl = server.kubectl
    kubectl("apply", "-f", "-", text=DEPLOYMENT)
    kubectl("rollout", "status", "deploy/service-test", "--timeout=10s")
    assert kubectl("cordon", "node-1") == "node/node-1 cordoned\n"
    assert columns(kubectl("get", "nodes"))[1][:2] == ["node-1", "Ready,SchedulingDisabled"]
    assert kubectl("drain", "node-1", "--timeout=20s").endswith("node/node-1 drained\n")
    kubectl("rollout", "status", "deploy/service-test", "--timeout=10s")
    assert "node-1" not in kubectl("get", "pods", "-o", "wide")
    assert kubectl("uncordon", "node-1") == "node/node-1 uncordoned\n"
    assert kubectl("taint", "node", "node-2", "a=b:NoSchedule") == "node/node-2 tainted\n"
    assert kubectl("label", "node", "node-2", "zone=x") == "node/node-2 labeled\n"
    described = kubectl("describe", "node", "node-2")
    assert "Taints:             a=b:NoSchedule" in described
    assert "PodCIDR:                      10.0.2.0/24" in described
    assert "service-test-" in described


def test_patches_of_all_three_kinds(server: Server) -> None:
    kubectl = server.kubectl
    kubectl("apply", "-f", "-", text=SERVICE % ("NodePort", ""))
    port = kubectl("get", "svc", "service-test", "-o", "jsonpath={.spec.ports[0].nodePort}")
    kubectl("patch", "svc", "service-test", "-p", '{"spec":{"ports":[{"port":80,"targetPort":8081}]}}')
    kubectl("patch", "svc", "service-test", "--type=merge", "-p", '{"metadata":{"labels":{"a":"b"}}}')
    kubectl(
        "patch",
        "svc",
        "service-test",
        "--type=json",
        "-p",
        '[{"op":"replace","path":"/spec/sessionAffinity","value":"ClientIP"}]',
    )
    item = json.loads(kubectl("get", "svc", "service-test", "-o", "json"))
    assert item["spec"]["ports"] == [{"port": 80, "protocol": "TCP", "targetPort": 8081, "nodePort": int(port)}]
    assert item["metadata"]["labels"] == {"a": "b"}
    assert item["spec"]["sessionAffinityConfig"] == {"clientIP": {"timeoutSeconds": 10800}}


def test_server_side_apply_knows_its_managers(server: Server) -> None:
    kubectl = server.kubectl
    text = "---\n{apiVersion: v1, kind: ConfigMap, metadata: {name: cm}, data: {a: %s}}"
    assert kubectl("apply", "--server-side", "-f", "-", text=text % "b") == "configmap/cm serverside-applied\n"
    other = ("apply", "--server-side", "--field-manager=other", "-f", "-")
    assert 'Apply failed with 1 conflict: conflict with "kubectl": .data.a' in kubectl(*other, text=text % "c", status=1)
    kubectl(*other, "--force-conflicts", text=text % "c")
    assert kubectl("get", "cm", "cm", "-o", "jsonpath={.data.a}") == "c"


def test_objects_are_watched_waited_for_and_deleted(server: Server) -> None:
    kubectl = server.kubectl
    kubectl("run", "p1", "--image=nginx", "--restart=Never")
    assert kubectl("wait", "--for=condition=Ready", "pod/p1", "--timeout=10s") == "pod/p1 condition met\n"
    assert kubectl("delete", "pod", "p1", "--timeout=10s") == 'pod "p1" deleted\n'
    kubectl("apply", "-f", "-", text=DEPLOYMENT + "---" + SERVICE % ("ClusterIP", ""))
    kubectl("rollout", "status", "deploy/service-test", "--timeout=10s")
    kubectl("delete", "-f", "-", "--timeout=10s", text=DEPLOYMENT + "---" + SERVICE % ("ClusterIP", ""))
    kubectl("wait", "--for=delete", "pod", "-l", "app=service-test-pod", "--timeout=10s")
    assert columns(kubectl("get", "all"))[1][:3] == ["service/kubernetes", "ClusterIP", "10.3.240.1"]
    assert "Killing" not in kubectl("get", "events")


@pytest.mark.parametrize(
    "resource",
    ["nodes", "pods", "deployments", "replicasets", "services", "endpointslices", "endpoints", "ingresses", "secrets", "configmaps",
     "events", "leases", "namespaces", "servicecidrs"],
)  # fmt: skip
def test_every_resource_is_got_in_every_form_and_described(server: Server, resource: str) -> None:
    server.kubectl("apply", "-f", "-", text=DEPLOYMENT + "---" + SERVICE % ("LoadBalancer", "") + "---" + INGRESS)
    server.kubectl("apply", "-f", "-", text="---\n{apiVersion: v1, kind: Secret, metadata: {name: s}, stringData: {a: b}}")
    server.kubectl("apply", "-f", "-", text="---\n{apiVersion: v1, kind: ConfigMap, metadata: {name: c}, data: {a: b}}")
    server.kubectl("rollout", "status", "deploy/service-test", "--timeout=10s")
    for form in ("wide", "name", "json", "yaml"):
        assert server.kubectl("get", resource, "-A", "-o", form)
    # kubectl 1.32 describes ServiceCIDRs by v1beta1, which clusters of today do not serve any more.
    if resource not in ("events", "servicecidrs"):
        assert server.kubectl("describe", resource, "-A")
