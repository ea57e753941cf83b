"""The real kubectl against the control plane over TLS: the sessions of every day, and what they print."""

import json
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.integration.cp_server import Server
from tests.integration.kubectl_programs import NEWEST, find_kubectl

pytestmark = pytest.mark.integration

FIDELITY = Path(__file__).resolve().parents[2] / "docs" / "fidelity.md"

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


LEGACY_INGRESS = """
apiVersion: extensions/v1beta1
kind: Ingress
metadata: {name: test-ingress}
spec:
  tls: [{secretName: testsecret-tls}]
  rules:
    - http:
        paths:
          - {path: /, backend: {serviceName: service-test, servicePort: 80}}
"""
BUDGET = """
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: service-test}
spec:
  minAvailable: %d
  selector: {matchLabels: {app: service-test-pod}}
"""
SLICE = """
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: by-hand}
addressType: IPv4
endpoints: [{addresses: [192.0.2.1], conditions: {ready: true}}]
ports: [{name: http, port: 80, protocol: TCP}]
"""
ENDPOINTS = """
apiVersion: v1
kind: Endpoints
metadata: {name: by-hand}
subsets: [{addresses: [{ip: 192.0.2.1}], ports: [{port: 80, protocol: TCP}]}]
"""
SECRET = "{apiVersion: v1, kind: Secret, metadata: {name: by-hand}, data: {a: Yg==}}"
EVENT = """
apiVersion: v1
kind: Event
metadata: {name: by-hand}
involvedObject: {kind: Service, name: service-test, namespace: default}
reason: Tested
message: by hand
type: Normal
"""
CONFIG_MAP = "{apiVersion: v1, kind: ConfigMap, metadata: {name: c}, data: {a: b}}"
POD = "{apiVersion: v1, kind: Pod, metadata: {name: by-hand}, spec: {containers: [{name: web, image: nginx}]}}"
EVERY_DAY = (
    "node/node-3",
    "pod/by-hand",
    "deployment/service-test",
    "service/service-test",
    "endpointslice/by-hand",
    "endpoints/by-hand",
    "ingress/test-ingress",
    "secret/by-hand",
    "event/by-hand",
    "poddisruptionbudget/service-test",
)
"""One object of each kind that people handle; those that are made by hand are changed by no controller."""


PROGRAMS = ("distribution", "newest")


@contextmanager
def serving(directory: Path, program: str) -> Iterator[Server]:
    """A control plane with three nodes, spoken to through that kubectl."""
    kubectl = find_kubectl(program)
    with Server(directory) as running:
        running.kubectl_program = kubectl
        for number in (1, 2, 3):
            running.add_node(f"node-{number}")
        yield running


@pytest.fixture(params=PROGRAMS)
def server(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Server]:
    with serving(tmp_path, request.param) as running:
        yield running


@pytest.fixture(scope="module", params=PROGRAMS)
def furnished(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Server]:
    """One for all that only look, with an object of every kind."""
    with serving(tmp_path_factory.mktemp("furnished"), request.param) as running:
        texts = (DEPLOYMENT, SERVICE % ("LoadBalancer", ""), INGRESS, BUDGET % 1, SECRET, CONFIG_MAP)
        running.kubectl("apply", "-f", "-", text="\n---\n".join(texts))
        running.kubectl("rollout", "status", "deploy/service-test", "--timeout=10s")
        yield running


def columns(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()]


def ageless(text: str) -> str:
    """What was printed, with every age as AGE: nothing else of it depends on when it was printed."""
    return re.sub(r"\b\d+(ms|s)$", "AGE", text, flags=re.MULTILINE)


def placeless(text: str) -> str:
    """What was printed of deletions: since 1.34 kubectl says where from."""
    return re.sub(r" deleted from \S+ namespace$", " deleted", text, flags=re.MULTILINE)


def is_newest(server: Server) -> bool:
    return server.kubectl_program == NEWEST


def await_field(server: Server, path: str, value: object, *names: str) -> None:
    """`kubectl wait --for=jsonpath`, which is not in 1.20."""
    if is_newest(server):
        server.kubectl("wait", f"--for=jsonpath={path}={value}", *names, "--timeout=10s")
        return
    ends = time.monotonic() + 10
    while {server.kubectl("get", name, "-o", f"jsonpath={path}") for name in names} != {str(value)}:
        assert time.monotonic() < ends, f"{path} of {names} is not {value}"


def drain(server: Server, node: str) -> None:
    printed = server.kubectl("drain", node, "--timeout=20s")
    assert printed.endswith(f"node/{node} {'drained' if is_newest(server) else 'evicted'}\n")


def test_session_of_the_article_prints_what_people_know(server: Server) -> None:
    kubectl = server.kubectl
    kubectl("apply", "-f", "-", text=DEPLOYMENT)

    assert kubectl("apply", "-f", "-", text=SERVICE % ("ClusterIP", "")) == "service/service-test created\n"
    assert ageless(kubectl("get", "svc", "service-test")) == (
        "NAME           TYPE        CLUSTER-IP     EXTERNAL-IP   PORT(S)   AGE\n"
        "service-test   ClusterIP   10.3.241.152   <none>        80/TCP    AGE\n"
    )
    assert kubectl("apply", "-f", "-", text=SERVICE % ("NodePort", ", nodePort: 32213")) == "service/service-test configured\n"
    assert ageless(kubectl("get", "svc", "service-test")) == (
        "NAME           TYPE       CLUSTER-IP     EXTERNAL-IP   PORT(S)        AGE\n"
        "service-test   NodePort   10.3.241.152   <none>        80:32213/TCP   AGE\n"
    )
    assert kubectl("apply", "-f", "-", text=SERVICE % ("LoadBalancer", "")) == "service/service-test configured\n"
    assert ageless(kubectl("get", "svc", "service-test")) == (
        "NAME           TYPE           CLUSTER-IP     EXTERNAL-IP   PORT(S)        AGE\n"
        "service-test   LoadBalancer   10.3.241.152   <pending>     80:32213/TCP   AGE\n"
    )
    kubectl("annotate", "svc", "service-test", "ingress-testbed.io/external-ip-served=198.18.0.128")
    assert ageless(kubectl("get", "svc", "service-test")) == (
        "NAME           TYPE           CLUSTER-IP     EXTERNAL-IP    PORT(S)        AGE\n"
        "service-test   LoadBalancer   10.3.241.152   198.18.0.128   80:32213/TCP   AGE\n"
    )
    assert kubectl("apply", "-f", "-", text=LEGACY_INGRESS) == "ingress.extensions/test-ingress created\n"
    assert ageless(kubectl("get", "ingress")) == (
        "NAME           CLASS    HOSTS   ADDRESS   PORTS     AGE\ntest-ingress   <none>   *                 80, 443   AGE\n"
    )
    assert ageless(kubectl("get", "svc")) == (
        "NAME           TYPE           CLUSTER-IP     EXTERNAL-IP    PORT(S)        AGE\n"
        "kubernetes     ClusterIP      10.3.240.1     <none>         443/TCP        AGE\n"
        "service-test   LoadBalancer   10.3.241.152   198.18.0.128   80:32213/TCP   AGE\n"
    )


def test_ingress_of_either_version_is_the_same_object(server: Server) -> None:
    kubectl = server.kubectl
    kubectl("apply", "-f", "-", text=LEGACY_INGRESS)
    # Not `unchanged`, as on any cluster: a path's type was filled in, which the manifest does not have.
    assert kubectl("apply", "-f", "-", text=LEGACY_INGRESS) == "ingress.extensions/test-ingress configured\n"
    assert kubectl("get", "ingress", "test-ingress", "-o", "jsonpath={.metadata.generation}") == "1"
    assert "test-ingress" in kubectl("get", "ing", "--warnings-as-errors")
    backend = "{.spec.rules[0].http.paths[0].backend.service.port.number}"
    assert kubectl("get", "ingress", "test-ingress", "-o", f"jsonpath={backend}") == "80"
    old = kubectl("get", "ingresses.v1beta1.extensions", "test-ingress", "-o", "jsonpath={.spec.rules[0].http.paths[0].backend}")
    assert json.loads(old) == {"serviceName": "service-test", "servicePort": 80}
    assert "service-test:80" in kubectl("describe", "ingress", "test-ingress")
    assert kubectl("apply", "-f", "-", text=INGRESS) == "ingress.networking.k8s.io/test-ingress configured\n"
    assert kubectl("get", "ingress", "test-ingress", "-o", "jsonpath={.spec.rules[0].host}") == "example.com"
    assert placeless(kubectl("delete", "-f", "-", text=LEGACY_INGRESS)) == 'ingress.extensions "test-ingress" deleted\n'
    assert kubectl("get", "ingress") == ""


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
    unknown = DEPLOYMENT.replace("Deployment", "StatefulSet")
    assert 'no matches for kind "StatefulSet" in version "apps/v1"' in kubectl("apply", "-f", "-", text=unknown, status=1)
    patch = '[{"op": "test", "path": "/spec/type", "value": "NodePort"}]'
    refused = kubectl("patch", "svc", "service-test", "--type=json", "-p", patch, status=1)
    told = ": the server rejected our request due to an error in our request" if is_newest(server) else ""
    assert refused.startswith(f"The request is invalid{told}")
    misspelt = "---\n{apiVersion: v1, kind: ConfigMap, metadata: {name: x}, foo: 1}"
    if is_newest(server):  # which asks for it; an older one is only warned
        assert 'strict decoding error: unknown field "foo"' in kubectl("create", "-f", "-", text=misspelt, status=1)
    assert "(Unauthorized)" in kubectl("get", "pods", "--token=wrong", status=1).replace(
        "You must be logged in", "(Unauthorized)"
    )


def test_deployment_is_scaled_rolled_out_and_rolled_back(server: Server) -> None:
    kubectl = server.kubectl
    kubectl("apply", "-f", "-", text=DEPLOYMENT)
    assert "successfully rolled out" in kubectl("rollout", "status", "deploy/service-test", "--timeout=10s")
    assert kubectl("scale", "deploy/service-test", "--replicas=6") == "deployment.apps/service-test scaled\n"
    await_field(server, "{.status.readyReplicas}", 6, "deploy/service-test")
    assert columns(kubectl("get", "deploy"))[1][:4] == ["service-test", "6/6", "6", "6"]
    if is_newest(server):  # 1.20 gets no subresources
        scale = columns(kubectl("get", "deploy", "service-test", "--subresource=scale"))
        assert (scale[0][:3], scale[1][:3]) == (["NAME", "DESIRED", "AVAILABLE"], ["service-test", "6", "6"])
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
    drain(server, "node-1")
    kubectl("rollout", "status", "deploy/service-test", "--timeout=10s")
    assert "node-1" not in kubectl("get", "pods", "-o", "wide")
    assert kubectl("uncordon", "node-1") == "node/node-1 uncordoned\n"
    assert kubectl("taint", "node", "node-2", "a=b:NoSchedule") == "node/node-2 tainted\n"
    assert kubectl("label", "node", "node-2", "zone=x") == "node/node-2 labeled\n"
    described = kubectl("describe", "node", "node-2")
    assert "Taints:             a=b:NoSchedule" in described
    assert "PodCIDR:                      10.0.2.0/24" in described
    assert "service-test-" in described


def test_drain_keeps_to_the_disruption_budget(server: Server) -> None:
    kubectl = server.kubectl
    kubectl("apply", "-f", "-", text=DEPLOYMENT + "---" + BUDGET % 4)
    kubectl("rollout", "status", "deploy/service-test", "--timeout=10s")
    await_field(server, "{.status.currentHealthy}", 4, "pdb/service-test")
    assert ageless(kubectl("get", "pdb")) == (
        "NAME           MIN AVAILABLE   MAX UNAVAILABLE   ALLOWED DISRUPTIONS   AGE\n"
        "service-test   4               N/A               0                     AGE\n"
    )
    if is_newest(server):  # 1.20 describes by policy/v1beta1
        assert "Allowed disruptions:  0" in kubectl("describe", "pdb", "service-test")
    # What drain asks for each pod, without its five seconds between two attempts.
    pod = kubectl("get", "pods", "-o", "jsonpath={.items[0].metadata.name}")
    eviction = json.dumps({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": "default"}})
    refused = kubectl("create", "-f", "-", f"--raw=/api/v1/namespaces/default/pods/{pod}/eviction", text=eviction, status=1)
    assert "Cannot evict pod as it would violate the pod's disruption budget." in refused
    assert kubectl("get", "pod", pod, "-o", "jsonpath={.metadata.deletionTimestamp}") == ""
    kubectl("apply", "-f", "-", text=BUDGET % 2)
    await_field(server, "{.status.disruptionsAllowed}", 2, "pdb/service-test")
    drain(server, "node-1")
    assert "node-1" not in kubectl("get", "pods", "-o", "wide")


def test_every_kind_is_applied_labelled_annotated_patched_three_ways_waited_for_and_deleted(server: Server) -> None:
    kubectl = server.kubectl
    parts = (DEPLOYMENT, SERVICE % ("NodePort", ""), INGRESS, BUDGET % 1, SLICE, ENDPOINTS, SECRET, EVENT, POD)
    text = "\n---\n".join(parts)
    assert kubectl("apply", "-f", "-", text=text).count(" created\n") == len(parts)
    again = kubectl("apply", "-f", "-", text=text).splitlines()
    # kubectl replaces a budget's selector whole (its patch strategy), also by the same one, if it knows that kind's version.
    changed = ["poddisruptionbudget.policy/service-test configured"] if is_newest(server) else []
    assert [line for line in again if not line.endswith(" unchanged")] == changed
    kubectl("rollout", "status", "deploy/service-test", "--timeout=10s")
    assert kubectl("label", *EVERY_DAY, "by=label").count(" labeled\n") == len(EVERY_DAY)
    assert kubectl("annotate", *EVERY_DAY, "by=annotate").count(" annotated\n") == len(EVERY_DAY)

    def patch(name: str) -> None:
        for kind, body in (
            ("strategic", '{"metadata":{"labels":{"strategic":"yes"}}}'),
            ("merge", '{"metadata":{"labels":{"merge":"yes","by":null}}}'),
            ("json", '[{"op":"add","path":"/metadata/labels/json","value":"yes"}]'),
        ):
            assert kubectl("patch", name, f"--type={kind}", "-p", body).endswith(" patched\n")

    with ThreadPoolExecutor(max_workers=4) as pool:
        list(pool.map(patch, EVERY_DAY))
    told = json.loads(kubectl("get", *EVERY_DAY, "-o", "json"))["items"]
    for item in told:
        labels, annotations = item["metadata"]["labels"], item["metadata"]["annotations"]
        assert {"strategic", "merge", "json"} <= labels.keys()
        assert "by" not in labels
        assert annotations["by"] == "annotate"
    assert len(told) == len(EVERY_DAY)
    await_field(server, "{.metadata.labels.json}", "yes", *EVERY_DAY)
    deleted = placeless(kubectl("delete", *EVERY_DAY, "--timeout=10s"))
    assert deleted.count(" deleted\n") == len(EVERY_DAY)


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
    assert placeless(kubectl("delete", "pod", "p1", "--timeout=10s")) == 'pod "p1" deleted\n'
    kubectl("apply", "-f", "-", text=DEPLOYMENT + "---" + SERVICE % ("ClusterIP", ""))
    kubectl("rollout", "status", "deploy/service-test", "--timeout=10s")
    kubectl("delete", "-f", "-", "--timeout=10s", text=DEPLOYMENT + "---" + SERVICE % ("ClusterIP", ""))
    if is_newest(server):  # to an older one, nothing left to wait for is an error
        kubectl("wait", "--for=delete", "pod", "-l", "app=service-test-pod", "--timeout=10s")
    assert columns(kubectl("get", "all"))[1][:3] == ["service/kubernetes", "ClusterIP", "10.3.240.1"]
    assert "Killing" not in kubectl("get", "events")


@pytest.mark.parametrize(
    "resource",
    ["nodes", "pods", "deployments", "replicasets", "services", "endpointslices", "endpoints", "ingresses", "secrets", "configmaps",
     "events", "leases", "namespaces", "servicecidrs", "ipaddresses", "poddisruptionbudgets"],
)  # fmt: skip
def test_every_resource_is_got_in_every_form_and_described(furnished: Server, resource: str) -> None:
    for form in ("wide", "name", "json", "yaml"):
        assert furnished.kubectl("get", resource, "-A", "-o", form)
    # 1.20 describes these by v1beta1, which clusters of today do not serve any more.
    if resource != "events" and (is_newest(furnished) or resource not in ("endpointslices", "poddisruptionbudgets")):
        assert furnished.kubectl("describe", resource, "-A")


CREATED = (
    (("deployment", "web", "--image=nginx", "--replicas=0", "--port=8080"), "deployment.apps/web"),
    (("service", "nodeport", "web", "--tcp=80:8080", "--node-port=30100"), "service/web"),
    (("service", "externalname", "far", "--external-name=example.com"), "service/far"),
    (("secret", "generic", "key", "--from-literal=a=b"), "secret/key"),
    (("configmap", "words", "--from-literal=a=b"), "configmap/words"),
    (("namespace", "other"), "namespace/other"),
    (("ingress", "way", "--class=c", "--default-backend=web:80", "--rule=example.com/*=web:http,tls=key"), "ingress.networking.k8s.io/way"),
    (("pdb", "few", "--selector=app=web", "--min-available=50%"), "poddisruptionbudget.policy/few"),
)  # fmt: skip


def test_everything_that_kubectl_makes_of_its_command_line_is_created(server: Server) -> None:
    """Since 1.32 it sends protocol buffers for that."""
    kubectl = server.kubectl
    for arguments, name in CREATED:
        if is_newest(server) or arguments[0] != "pdb":  # 1.20 makes one of policy/v1beta1
            assert kubectl("create", *arguments) == f"{name} created\n"

    def got(name: str) -> Any:
        item = json.loads(kubectl("get", name, "-o", "json"))
        return item["spec"] if "spec" in item else item["data"]

    deployment = got("deploy/web")
    assert (deployment["replicas"], deployment["selector"]) == (0, {"matchLabels": {"app": "web"}})
    (container,) = deployment["template"]["spec"]["containers"]
    assert (container["image"], container["ports"]) == ("nginx", [{"containerPort": 8080, "protocol": "TCP"}])
    assert got("svc/web")["ports"] == [{"name": "80-8080", "port": 80, "protocol": "TCP", "targetPort": 8080, "nodePort": 30100}]
    assert got("svc/far")["externalName"] == "example.com"
    assert (got("secret/key"), got("cm/words")) == ({"a": "Yg=="}, {"a": "b"})
    ingress = got("ing/way")
    assert (ingress["ingressClassName"], ingress["tls"]) == ("c", [{"hosts": ["example.com"], "secretName": "key"}])
    assert ingress["defaultBackend"] == {"service": {"name": "web", "port": {"number": 80}}}
    path = {"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "web", "port": {"name": "http"}}}}
    assert ingress["rules"] == [{"host": "example.com", "http": {"paths": [path]}}]
    if is_newest(server):
        assert got("pdb/few") == {"minAvailable": "50%", "selector": {"matchLabels": {"app": "web"}}}


def test_a_dry_run_on_the_server_is_offered_and_changes_nothing(server: Server) -> None:
    """kubectl looks for `dryRun` in the server's OpenAPI document first, in version 2 or 3."""
    kubectl = server.kubectl
    for command in ("apply", "create"):
        printed = kubectl(command, "--dry-run=server", "-f", "-", text=DEPLOYMENT)
        assert printed == "deployment.apps/service-test created (server dry run)\n"
    assert kubectl("get", "deploy") == ""


@pytest.mark.parametrize(
    ("command", "rest"),
    [
        ("logs", ["deploy/service-test"]),
        ("exec", ["deploy/service-test", "--", "true"]),
        ("attach", ["deploy/service-test"]),
        ("port-forward", ["svc/service-test", "0:80"]),
        ("top", ["nodes"]),
        ("auth can-i", ["get", "pods"]),
        ("certificate", ["approve", "x"]),
        ("autoscale", ["deploy/service-test", "--max=3"]),
        ("create", ["serviceaccount", "x"]),
    ],
)
def test_command_that_is_not_served_fails_at_once_and_is_named_where_it_is_looked_for(
    furnished: Server, command: str, rest: list[str]
) -> None:
    assert f"`{command}`" in FIDELITY.read_text(encoding="utf-8")
    said = furnished.kubectl(*command.split(), *rest, status=1)
    assert re.search(
        "could not find the requested resource|doesn't have a resource type|not available|not found|no matches|failed to create",
        said,
    )
