"""A node whose rules a kube-proxy of the user's own writes: the program by init, the API by our control plane, rules in the kernel.

The program is a stand-in that holds a real kube-proxy's conversation; everything else is what a run has. With KUBE_PROXY_BINARY
that kube-proxy runs too, in each mode of KUBE_PROXY_MODES (`nftables iptables`) and with the flags of KUBE_PROXY_ARGS.
"""

import datetime
import json
import os
import shlex
import uuid
from collections.abc import Iterator
from ipaddress import IPv4Address
from pathlib import Path

import docker
import pytest

from orchestrator.model.plan import Role
from orchestrator.planner.kube_proxy import KUBECONFIG, PROGRAM, kube_proxy_argv
from orchestrator.render.kubeconfig import render_kubeconfig
from orchestrator.scenario.schema import KubeProxy
from orchestrator.testbed.archive import pack
from orchestrator.testbed.labels import labels_for_test
from orchestrator.testbed.pki import make_secrets
from tests.integration.kube_proxy_standin import LOG, render_standin
from tests.integration.role_container import RoleContainer, find_image
from tests.unit.testbed.scripted_cluster import compose_file

pytestmark = pytest.mark.integration

HERE = Path(__file__).parent
IMAGES = HERE.parents[1] / "images"
SOURCES = ("node/nodeagent", "controlplane/controlplane", "base/testbed_init", "base/testbed_kube")
API = "https://127.0.0.1:6443"
SERVE = """
import sys
from pathlib import Path
from controlplane.__main__ import main
sys.exit(main(Path("/lab/api.json"), Path("/lab/pki"), Path("/lab/state")))
"""
ASK = """
import json, ssl, sys, time, urllib.error, urllib.request
method, path, body = sys.argv[1:4]
settings = json.load(open("/etc/testbed/config.json"))["settings"]
headers = {"Authorization": "Bearer " + settings["token"]}
headers["Content-Type"] = "application/merge-patch+json" if method == "PATCH" else "application/json"
request = urllib.request.Request(settings["api_url"] + path, method=method, headers=headers, data=body.encode() or None)
tls = ssl.create_default_context(cafile="/etc/testbed/pki/ca.crt")
until_s = time.monotonic() + 60
while True:
    try:
        sys.stdout.write(urllib.request.urlopen(request, context=tls, timeout=5).read().decode())
        break
    except urllib.error.HTTPError:
        raise
    except OSError:  # it is just being started
        if time.monotonic() > until_s:
            raise
        time.sleep(0.1)
"""
LIFE_S = 600
SERVICES = "/api/v1/namespaces/default/services"
ENDPOINTS = "/api/v1/namespaces/default/endpoints"
REAL = os.environ.get("KUBE_PROXY_BINARY")
MODES = os.environ.get("KUBE_PROXY_MODES", "nftables iptables").split()
ARGS = shlex.split(os.environ.get("KUBE_PROXY_ARGS", ""))
WRITERS = {mode: (mode, None) for mode in ("nftables", "iptables")} | (
    {f"real-{mode}": (mode, REAL) for mode in MODES} if REAL else {}
)


SPEC = {"ports": [{"name": "http", "port": 80, "targetPort": 8080}]}


def render_endpoints(*addresses: str) -> dict:
    """By hand, as a Service without a selector has them: a kube-proxy before 1.21 reads these, any other the mirrored slice."""
    return {"subsets": [{"addresses": [{"ip": ip} for ip in addresses], "ports": [{"name": "http", "port": 8080}]}]}


class Node:
    def __init__(self, container: RoleContainer, *, is_real: bool) -> None:
        self.container = container
        self.is_real = is_real

    def tell(self, method: str, path: str, body: object = None) -> None:
        """The command's status says that it was done."""
        self.container.run("python3", "-c", ASK, method, path, "" if body is None else json.dumps(body))

    def ask(self, path: str) -> dict:
        return json.loads(self.container.run("python3", "-c", ASK, "GET", path, ""))

    def become(self, *addresses: str) -> None:
        """The endpoints of `web`."""
        self.tell("PATCH", f"{ENDPOINTS}/web", render_endpoints(*addresses))

    def kill(self, process: str) -> None:
        self.container.run("testbed-ctl", json.dumps({"op": "signal", "process": process, "signal": "KILL"}))
        self.container.wait_event("process-exited", process=process, status=-9)

    def requests(self, resource: str) -> list[str]:
        if self.is_real:
            pytest.skip("only the stand-in writes down what it asks")
        lines = [json.loads(line) for line in self.container.run("cat", str(LOG)).splitlines()]
        return [line["request"] for line in lines if line["resource"] == resource]

    def streams(self) -> int:
        """How often it has listed the services; not known of a real one."""
        return 0 if self.is_real else self.requests("services").count("stream")

    def committed(self, **endpoints: list[str]) -> dict:
        """The event of a commit after which the ports of `web` had these endpoints."""
        found = self.container.wait_event(
            "rules-committed", endpoints={f"default/web:{port}": items for port, items in endpoints.items()}
        )
        return found["fields"]


@pytest.fixture(scope="module", params=WRITERS.values(), ids=WRITERS.keys())
def node(request: pytest.FixtureRequest) -> Iterator[Node]:
    mode, binary = request.param
    now = datetime.datetime.now(datetime.UTC)
    secrets = make_secrets(addresses=[IPv4Address("127.0.0.1")], now=now, lifetime=datetime.timedelta(hours=1))
    networks = {"token": secrets.token, "cluster_cidr": "10.0.0.0/16", "service_cidr": "10.3.240.0/20"}
    common = {"run_id": "test", "default_via": None}
    api = {**common, "container": "controlplane", "settings": {"bind": "127.0.0.1:6443", **networks}}
    timings = {"min_sync_period_s": 0.0, "sync_period_s": 3.0}
    settings = {
        **networks,
        "node": "node-1",
        "internal_ip": "10.100.0.2",
        "api_url": API,
        "kube_proxy": {"mode": mode, "writer": "kube-proxy", **timings},
        # Kubernetes' own: however slow the machine is, none of these tests lasts until a node counts as lost.
        "kubelet": {"lease_renew_s": 10.0, "lease_duration_s": 40, "status_update_s": 10.0},
    }
    argv = kube_proxy_argv(
        node="node-1", spec=KubeProxy(mode=mode, args=ARGS if binary else ()), cluster_cidr="10.0.0.0/16", timings=timings
    )
    processes = [
        {"name": "api", "argv": ["python3", "-c", SERVE], "restart": True},
        {"name": "agent", "argv": ["python3", "-m", "nodeagent"], "restart": True},
        {"name": "kube-proxy", "argv": argv, "restart": True},
    ]
    config = {**common, "container": "node-1", "role": "node", "expires_in_s": LIFE_S, "routes": [], "processes": processes}
    files = {
        f"/lab/{Path(name).name}/{file.relative_to(IMAGES / name)}": file.read_bytes()
        for name in SOURCES
        for file in (IMAGES / name).rglob("*.py")
    }
    files |= {
        "/lab/api.json": json.dumps(api).encode(),
        "/lab/pki/server.crt": secrets.server_pem,
        "/lab/pki/server.key": secrets.server_key_pem,
        "/etc/testbed/pki/ca.crt": secrets.ca_pem,
        "/etc/testbed/config.json": json.dumps({**config, "settings": settings}).encode(),
        KUBECONFIG: render_kubeconfig(run_id="test", server=API, ca_pem=secrets.ca_pem, token=secrets.token).encode(),
    }
    program = Path(binary).read_bytes() if binary else render_standin()
    client = docker.from_env()
    compose = compose_file().services[Role.NODE]
    container = client.containers.create(
        find_image(client, "node"),
        name=f"itb-test-{uuid.uuid4().hex[:12]}",
        network="none",
        cap_drop=list(compose.cap_drop),
        cap_add=list(compose.cap_add),
        sysctls=dict(compose.sysctls),
        security_opt=list(compose.security_opt),
        environment={"PYTHONPATH": "/lab"},
        labels=dict(labels_for_test()),
    )
    try:
        container.put_archive("/", pack(files, programs={PROGRAM: program}))
        container.start()
        made = Node(RoleContainer(container), is_real=binary is not None)
        made.container.wait_event("node-ready", node="node-1")
        made.tell("POST", SERVICES, {"metadata": {"name": "web"}, "spec": SPEC})
        made.tell("POST", ENDPOINTS, {"metadata": {"name": "web"}, **render_endpoints("10.0.1.2", "10.0.2.2")})
        yield made
    finally:
        container.remove(force=True)
        client.close()


def test_own_kube_proxy_makes_its_node_ready_and_its_commits_are_told_from_the_kernel(node: Node) -> None:
    told = node.committed(http=["10.0.1.2:8080", "10.0.2.2:8080"])
    assert (told["writer"], told["revision"], told["duration_ms"]) == ("kube-proxy", None, None)
    node.become("10.0.2.2")
    node.committed(http=["10.0.2.2:8080"])


def test_own_kube_proxy_asks_for_its_node_first_then_streams(node: Node) -> None:
    for resource in ("services", "endpointslices", "servicecidrs", "nodes"):
        asked = node.requests(resource)
        assert next(item for item in asked if item != "get") == "stream"
        assert "list" not in asked
    assert node.requests("nodes")[0] == "get"
    told = node.ask("/apis/events.k8s.io/v1/namespaces/default/events")["items"]
    assert "kube-proxy" in {event.get("reportingController") for event in told}


def test_api_that_was_killed_is_not_noticed_and_watches_go_on_where_they_were(node: Node) -> None:
    streams = node.streams()
    node.kill("api")
    node.become("10.0.1.7")
    node.committed(http=["10.0.1.7:8080"])
    assert node.streams() == streams
    assert node.container.events("node-not-ready") == []


def test_own_kube_proxy_that_was_killed_comes_back_and_lists_anew(node: Node) -> None:
    streams = node.streams()
    node.kill("kube-proxy")
    node.become("10.0.1.9")
    node.committed(http=["10.0.1.9:8080"])
    assert node.is_real or node.streams() == streams + 1
    assert node.container.events("node-not-ready") == []


def test_service_that_is_gone_has_no_endpoints_in_the_kernel(node: Node) -> None:
    node.tell("POST", SERVICES, {"metadata": {"name": "short"}, "spec": SPEC})
    node.tell("POST", ENDPOINTS, {"metadata": {"name": "short"}, **render_endpoints("10.0.1.2")})
    node.container.wait_event("rules-committed", endpoints={"default/short:http": ["10.0.1.2:8080"]})
    node.tell("DELETE", f"{SERVICES}/short")
    node.container.wait_event("rules-committed", endpoints={"default/short:http": []})
