"""Health check node ports, healthz and metrics of a real node that follows a real control plane (`cluster_lab.py`)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from ipaddress import IPv4Network
from typing import TypeVar

import docker
import httpx
import pytest

from cluster_lab import NODE, SERVICES, SLICES, ClusterLab, cluster, endpoint, endpoint_slice, service

pytestmark = pytest.mark.integration

NODE_PATH = f"/api/v1/nodes/{NODE}"
LOCAL = {"type": "LoadBalancer", "externalTrafficPolicy": "Local"}
HERE = "10.0.0.5"
LEAVING = {"ready": False, "serving": True, "terminating": True}
LISTENING = "0A"
"""In /proc/net/tcp (proc(5))."""
REFUSED = "refused"
CUT = "cut"
Seen = TypeVar("Seen")

ASK_INSIDE = """
import sys, urllib.error, urllib.request
try:
    with urllib.request.urlopen(sys.argv[1], timeout=2) as answer:
        print(answer.status, answer.read().decode())
except urllib.error.URLError as error:
    print(type(error.reason).__name__)
"""

# A table that belongs to a process: nobody else may write it, and it goes with the process (nft(8), flag owner).
OWN_THE_TABLE = """
import nftables, time
library = nftables.Nftables()
for command in ("delete table ip kube-proxy", "add table ip kube-proxy { flags owner; }"):
    assert library.cmd(command)[0] == 0
print("on", flush=True)
time.sleep(3)
"""


@pytest.fixture(scope="module")
def lab() -> Iterator[ClusterLab]:
    client = docker.from_env()
    with cluster(client) as made:
        yield made
    client.close()


def until(ask: Callable[[], Seen], expected: Seen, *, deadline_s: float = 30.0) -> None:
    """Ask until it is so."""
    end_s = time.monotonic() + deadline_s
    while (seen := ask()) != expected:
        assert time.monotonic() < end_s, f"still {seen!r} after {deadline_s:g} s; expected {expected!r}"
        time.sleep(0.02)


def status(lab: ClusterLab, port: int, path: str = "/") -> int | str:
    try:
        return httpx.get(f"http://{lab.node_ip}:{port}{path}", trust_env=False, timeout=2.0).status_code
    except httpx.ConnectError:
        return REFUSED
    except (httpx.ReadError, httpx.RemoteProtocolError):  # the port was closed between the handshake and the answer
        return CUT


def make_service(lab: ClusterLab, name: str) -> int:
    """With an endpoint on the node; its health check node port."""
    port: int = lab.create(SERVICES, service(name, **LOCAL))["spec"]["healthCheckNodePort"]
    lab.create(SLICES, endpoint_slice(name, endpoint(HERE)))
    until(lambda: status(lab, port), 200)
    return port


def test_node_with_a_ready_pod_is_good_on_any_path_and_says_how_many(lab: ClusterLab) -> None:
    port = make_service(lab, "several")
    lab.patch(f"{SLICES}/several-x", {"endpoints": [endpoint(HERE), endpoint("10.0.0.6"), endpoint("10.0.1.7", node="node-2")]})
    url = f"http://{lab.node_ip}:{port}/any/path?at=all"
    until(lambda: httpx.get(url, trust_env=False).headers["X-Load-Balancing-Endpoint-Weight"], "2")
    answer = httpx.get(url, trust_env=False)
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.json() == {
        "service": {"namespace": "default", "name": "several"},
        "localEndpoints": 2,
        "serviceProxyHealthy": True,
    }
    assert '\n\t\t"name": "several"\n\t},' in answer.text


def test_node_without_ready_pods_is_bad_also_while_one_that_leaves_still_serves(lab: ClusterLab) -> None:
    port = make_service(lab, "leaving")
    leaving = "10.0.0.99"
    lab.patch(f"{SLICES}/leaving-x", {"endpoints": [endpoint(leaving, **LEAVING)]})
    until(lambda: status(lab, port), 503)
    assert f"{leaving} . 8080" in lab.node.run("nft", "list", "table", "ip", "kube-proxy")
    lab.patch(f"{SLICES}/leaving-x", {"endpoints": [endpoint("10.0.1.7", node="node-2")]})
    until(lambda: httpx.get(f"http://{lab.node_ip}:{port}/", trust_env=False).json()["localEndpoints"], 0)
    assert status(lab, port) == 503


def test_port_is_closed_with_policy_cluster_and_opened_with_policy_local(lab: ClusterLab) -> None:
    port = make_service(lab, "policy")
    lab.patch(f"{SERVICES}/policy", {"spec": {"externalTrafficPolicy": "Cluster"}})
    until(lambda: status(lab, port), REFUSED)
    again = lab.patch(f"{SERVICES}/policy", {"spec": {"externalTrafficPolicy": "Local"}})["spec"]["healthCheckNodePort"]
    until(lambda: status(lab, again), 200)


def test_port_is_closed_with_its_open_connections_when_the_service_goes(lab: ClusterLab) -> None:
    port = make_service(lab, "deleted")
    with httpx.Client(base_url=f"http://{lab.node_ip}:{port}", trust_env=False) as kept:
        assert kept.get("/").status_code == 200
        lab.delete(f"{SERVICES}/deleted")

        def is_cut() -> bool:
            try:
                kept.get("/")
            except httpx.TransportError:
                return True
            return False

        until(is_cut, True)
        assert status(lab, port) == REFUSED


def bridge_ip(lab: ClusterLab) -> str:
    return str(IPv4Network(lab.api.get(NODE_PATH).json()["spec"]["podCIDR"])[1])


def asked_inside(lab: ClusterLab, port: int) -> dict[str, str]:
    """By address of the node: the status, or how it failed."""
    places = {"node": lab.node_ip, "bridge": bridge_ip(lab), "loopback": "127.0.0.1"}
    answers = {name: lab.node.run("python3", "-c", ASK_INSIDE, f"http://{at}:{port}/") for name, at in places.items()}
    return {name: answer.split()[0] for name, answer in answers.items()}


def test_port_is_open_at_the_nodes_address_only(lab: ClusterLab) -> None:
    port = make_service(lab, "address")
    refused = "ConnectionRefusedError"
    assert asked_inside(lab, port) == {"node": "200", "bridge": refused, "loopback": refused}


def test_in_iptables_mode_port_is_open_at_every_address_and_let_in() -> None:
    client = docker.from_env()
    with cluster(client, kube_proxy={"mode": "iptables"}) as lab:
        port = make_service(lab, "everywhere")
        assert asked_inside(lab, port) == {"node": "200", "bridge": "200", "loopback": "200"}
        (accepted,) = [
            line for line in lab.node.run("iptables", "-S", "KUBE-NODEPORTS").splitlines() if f"--dport {port} " in line
        ]
        assert accepted.endswith("-j ACCEPT")
        assert lab.node.run("python3", "-c", ASK_INSIDE, "http://127.0.0.1:10249/proxyMode") == "200 iptables\n"
    client.close()


def test_port_is_open_at_the_addresses_in_named_networks_only() -> None:
    client = docker.from_env()
    with cluster(client, kube_proxy={"node_port_addresses": ["10.0.0.0/16"]}) as lab:
        port = lab.create(SERVICES, service("networks", **LOCAL))["spec"]["healthCheckNodePort"]
        lab.create(SLICES, endpoint_slice("networks", endpoint(HERE)))
        refused = "ConnectionRefusedError"
        until(lambda: asked_inside(lab, port), {"node": refused, "bridge": "200", "loopback": refused})
        assert f"nodeport-ips {{\n\t\ttype ipv4_addr\n\t\telements = {{ {bridge_ip(lab)} }}" in lab.node.run(
            "nft", "list", "table", "ip", "kube-proxy"
        )
    client.close()


def test_node_port_is_a_rule_and_no_socket(lab: ClusterLab) -> None:
    node_port = lab.create(SERVICES, service("rules-only", type="NodePort"))["spec"]["ports"][0]["nodePort"]
    lab.create(SLICES, endpoint_slice("rules-only", endpoint(HERE)))
    lab.node.wait_event("rules-committed", endpoints={"default/rules-only:http": [f"{HERE}:8080"]})
    sockets = [line.split() for line in lab.node.run("cat", "/proc/net/tcp").splitlines()[1:]]
    listening = {int(fields[1].rpartition(":")[2], 16) for fields in sockets if fields[3] == LISTENING}
    assert 10256 in listening
    assert node_port not in listening


def test_port_that_a_program_has_is_reported_and_opened_at_the_next_commit_that_finds_it_free(lab: ClusterLab) -> None:
    taken = 31999
    hold = f"import socket, time; s = socket.socket(); s.bind(({lab.node_ip!r}, {taken})); print('on', flush=True); time.sleep(1)"
    lab.node.background("python3", "-c", hold).line(1)
    lab.create(SERVICES, service("taken", healthCheckNodePort=taken, **LOCAL))
    failed = lab.node.wait_event("health-check-failed", service="default/taken", port=taken)
    assert "address already in use" in failed["fields"]["error"]

    def change_and_ask() -> int | str:
        lab.patch(f"{SERVICES}/taken", {"metadata": {"annotations": {"at": str(time.monotonic_ns())}}})
        return status(lab, taken)

    until(change_and_ask, 503)


def test_healthz_says_that_the_node_is_leaving_and_livez_and_health_checks_do_not(lab: ClusterLab) -> None:
    port = make_service(lab, "drained")
    assert [status(lab, 10256, path) for path in ("/healthz", "/livez", "/other")] == [200, 200, 404]
    lab.patch(NODE_PATH, {"spec": {"taints": [{"key": "ToBeDeletedByClusterAutoscaler", "effect": "NoSchedule"}]}})
    until(lambda: status(lab, 10256, "/healthz"), 503)
    answer = httpx.get(f"http://{lab.node_ip}:10256/healthz", trust_env=False).json()
    assert (answer["nodeEligible"], answer["healthy"], answer["status"]["IPv4"]["healthy"]) == (False, True, True)
    assert status(lab, 10256, "/livez") == 200
    assert status(lab, port) == 200
    lab.patch(NODE_PATH, {"spec": {"taints": None}})
    until(lambda: status(lab, 10256, "/healthz"), 200)


def test_proxy_that_cannot_write_its_rules_is_unhealthy_until_it_can() -> None:
    client = docker.from_env()
    with cluster(client, kube_proxy={"sync_period_s": 0.25}) as lab:
        port = make_service(lab, "stuck")
        lab.node.background("python3", "-c", OWN_THE_TABLE).line(1)
        lab.patch(f"{SLICES}/stuck-x", {"endpoints": [endpoint("10.0.0.6")]})
        lab.node.wait_event("rules-failed")
        for asked, path in ((10256, "/healthz"), (10256, "/livez"), (port, "/")):
            until(lambda asked=asked, path=path: status(lab, asked, path), 503)
        assert httpx.get(f"http://{lab.node_ip}:{port}/", trust_env=False).json()["serviceProxyHealthy"] is False
        lab.node.wait_event("rules-committed", endpoints={"default/stuck:http": ["10.0.0.6:8080"]})
        until(lambda: status(lab, port), 200)
        assert status(lab, 10256, "/healthz") == 200
    client.close()


def test_mode_and_metrics_are_told_on_the_node_only(lab: ClusterLab) -> None:
    assert lab.node.run("python3", "-c", ASK_INSIDE, "http://127.0.0.1:10249/proxyMode") == "200 nftables\n"
    assert lab.node.run("python3", "-c", ASK_INSIDE, "http://127.0.0.1:10249/healthz") == "200 ok\n"
    metrics = lab.node.run("python3", "-c", ASK_INSIDE, "http://127.0.0.1:10249/metrics")
    committed = len(lab.node.events("rules-committed"))
    assert f"\nkubeproxy_sync_proxy_rules_duration_seconds_count {committed}\n" in metrics
    assert status(lab, 10249) == REFUSED


def test_connection_tracking_keeps_idle_connections_as_long_as_kube_proxy_asks(lab: ClusterLab) -> None:
    names = ("established", "close_wait")
    files = [f"/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_{name}" for name in names]
    assert lab.node.run("cat", *files).split() == ["86400", "3600"]


def test_ports_die_with_the_agent_and_rules_stay(lab: ClusterLab) -> None:
    port = make_service(lab, "orphaned")
    rules = lab.node.run("nft", "list", "table", "ip", "kube-proxy")
    lab.node.ctl(op="stop", process="agent")
    until(lambda: status(lab, port), REFUSED)
    assert status(lab, 10256, "/healthz") == REFUSED
    assert lab.node.run("nft", "list", "table", "ip", "kube-proxy") == rules
    lab.node.ctl(op="start", process="agent")
    until(lambda: status(lab, port), 200)
