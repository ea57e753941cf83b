"""From an EndpointSlice's PATCH to the committed rules, beside a bare `nft -f` or `iptables-restore` of the same change.

Targets on a quiet machine, as the real kube-proxy does it: an isolated change in 15 ms with nftables and 30 ms with iptables
(medians); with 1,000 services of 10 endpoints each the first full sync within 2 s and one endpoint's change within 50 ms.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

import docker
import pytest

from cluster_lab import SLICES, ClusterLab, cluster, endpoint, endpoint_slice, service
from nodeagent.settings import MODES

CHANGES = 30
REPETITIONS = 3
SPACING_S = 0.15
MIN_SYNC_PERIOD_S = 0.05
SERVICES, ENDPOINTS = 1000, 10

# One chain that spreads connections over endpoints, rewritten as often as there are changes; prints milliseconds.
BARE = """
import json, subprocess, sys, time
mode, changes = sys.argv[1], int(sys.argv[2])
def nftables(number):
    targets = ", ".join(f"{i} : 10.0.{number % 2}.{i + 2} . 8080" for i in range(2))
    rule = f"meta l4proto tcp dnat ip addr . port to numgen random mod 2 map {{ {targets} }}"
    return f"flush chain ip bench service\\nadd rule ip bench service {rule}\\n"
def iptables(number):
    rules = [f"-A BENCH-SVC -m statistic --mode random --probability {1 / (2 - i):.10f} -j BENCH-SEP-{i}" for i in range(2)]
    rules += [f"-A BENCH-SEP-{i} -p tcp -j DNAT --to-destination 10.0.{number % 2}.{i + 2}:8080" for i in range(2)]
    return "\\n".join(["*nat", ":BENCH-SVC - [0:0]", ":BENCH-SEP-0 - [0:0]", ":BENCH-SEP-1 - [0:0]", *rules, "COMMIT", ""])
render, argv = {"nftables": (nftables, ["nft", "-f", "-"]), "iptables": (iptables, ["iptables-restore", "--noflush"])}[mode]
if mode == "nftables":
    subprocess.run(["nft", "add table ip bench; add chain ip bench service"], check=True)
took_ms = []
for number in range(changes):
    began = time.monotonic()
    subprocess.run(argv, input=render(number).encode(), check=True)
    took_ms.append((time.monotonic() - began) * 1e3)
print(json.dumps(took_ms))
"""


@pytest.fixture
def engine() -> Iterator[docker.DockerClient]:
    client = docker.from_env()
    yield client
    client.close()


def kube_proxy(mode: str) -> dict[str, Any]:
    return {"mode": mode, "min_sync_period_s": MIN_SYNC_PERIOD_S}


def addresses(name_number: int, count: int, change: int) -> list[dict[str, Any]]:
    """Endpoints of a service; each change replaces the last."""
    ips = [f"10.0.{1 + (name_number * count + index) // 250}.{1 + (name_number * count + index) % 250}" for index in range(count)]
    return [endpoint(ip, node="node-2") for ip in (*ips[:-1], f"10.0.{100 + change % 2}.9")]


def changes_ms(lab: ClusterLab, name: str, name_number: int, count: int) -> list[float]:
    """Each alone: the one before it is committed, and the minimum sync period is over. Nobody looks while it goes on: reading the
    node's log costs a core."""
    sent_ns: dict[int, int] = {}
    for change in range(CHANGES):
        began_ns = time.monotonic_ns()
        item = lab.patch(f"{SLICES}/{name}-x", {"endpoints": addresses(name_number, count, change)})
        revision = int(item["metadata"]["resourceVersion"])
        sent_ns[revision] = began_ns
        time.sleep(SPACING_S)
        lab.node.wait_event("rules-committed", revision=revision)
    committed = {event["fields"]["revision"]: event["t_mono_ns"] for event in lab.node.events("rules-committed")}
    return [(committed[revision] - began_ns) / 1e6 for revision, began_ns in sent_ns.items() if revision in committed]


def bare_ms(lab: ClusterLab, mode: str) -> list[float]:
    took: list[float] = json.loads(lab.node.run("python3", "-c", BARE, mode, str(CHANGES)))
    return took


def summary(values_ms: Sequence[float]) -> str:
    return f"min {min(values_ms):.1f}, median {statistics.median(values_ms):.1f}, max {max(values_ms):.1f} ms"


@pytest.mark.parametrize("mode", MODES["agent"])
def test_isolated_change_against_bare_commands(engine: docker.DockerClient, mode: str) -> None:
    objects = [service("web"), endpoint_slice("web", *addresses(0, 2, 1))]
    with cluster(engine, objects=objects, kube_proxy=kube_proxy(mode)) as lab:
        ours, bare = changes_ms(lab, "web", 0, 2), bare_ms(lab, mode)
    ratio = statistics.median(ours) / statistics.median(bare)
    sys.stdout.write(f"\n{mode}: PATCH to rules-committed {summary(ours)}; bare {summary(bare)}; ratio of medians {ratio:.1f}\n")
    assert len(ours) == CHANGES


@pytest.mark.parametrize("mode", MODES["agent"])
def test_a_thousand_services(engine: docker.DockerClient, mode: str) -> None:
    objects: list[dict[str, Any]] = []
    for number in range(SERVICES):
        objects += [service(f"web-{number}"), endpoint_slice(f"web-{number}", *addresses(number, ENDPOINTS, 1))]
    with cluster(engine, objects=objects, kube_proxy=kube_proxy(mode)) as lab:
        first = lab.node.events("rules-committed")[0]
        started_ms = (first["t_mono_ns"] - lab.node.events("booted")[0]["t_mono_ns"]) / 1e6
        ours, bare = changes_ms(lab, "web-500", 500, ENDPOINTS), bare_ms(lab, mode)
    ratio = statistics.median(ours) / statistics.median(bare)
    sys.stdout.write(
        f"\n{mode}, {SERVICES} services of {ENDPOINTS} endpoints: first full sync {first['fields']['duration_ms']:.0f} ms, "
        f"{started_ms:.0f} ms after the node's boot; "
        f"one endpoint's change {summary(ours)}; bare command {summary(bare)}; ratio of medians {ratio:.1f}\n"
    )
    assert first["fields"]["changed_services"] >= SERVICES
    assert len(ours) == CHANGES


# UDP flows of the node's own to a service, from as many ports.
SEND = """
import socket, sys
address, first, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
for port in range(first, first + count):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as flow:
        flow.bind(("", port))
        flow.sendto(b"?", (address, 80))
"""


@pytest.mark.parametrize("flows", [1, 10_000])
def test_stale_flows_against_the_conntrack_tool(engine: docker.DockerClient, flows: int) -> None:
    """Beside the tool that deletes all flows to the service by its address, without looking where each leads."""
    udp = {"ports": [{"name": "http", "port": 80, "protocol": "UDP"}]}
    slice_ = {**endpoint_slice("echo", endpoint("10.0.0.9")), "ports": [{"name": "http", "port": 8080, "protocol": "UDP"}]}
    took_ms: list[float] = []
    with cluster(engine, objects=[service("echo", **udp), slice_], kube_proxy=kube_proxy("nftables")) as lab:
        address = lab.api.get("/api/v1/namespaces/default/services/echo").json()["spec"]["clusterIP"]
        lab.node.run("ip", "route", "add", "default", "via", lab.controlplane.address)  # looked up before the translation
        for change in range(REPETITIONS):
            lab.node.run("python3", "-c", SEND, address, "20000", str(flows))
            item = lab.patch(f"{SLICES}/echo-x", {"endpoints": [endpoint(f"10.0.0.{10 + change}")]})
            deleted = lab.node.wait_event("flows-deleted", count=change + 1)
            committed = lab.node.wait_event("rules-committed", revision=int(item["metadata"]["resourceVersion"]))
            assert deleted["fields"]["flows"] == flows
            took_ms.append((deleted["t_mono_ns"] - committed["t_mono_ns"]) / 1e6)
        lab.node.run("python3", "-c", SEND, address, "20000", str(flows))
        began = time.monotonic()
        lab.node.run("conntrack", "-D", "-p", "udp", "-d", address)
        tool_ms = (time.monotonic() - began) * 1e3
    ratio = statistics.median(took_ms) / tool_ms
    sys.stdout.write(
        f"\n{flows} stale flows: gone {summary(took_ms)} after the commit; conntrack -D {tool_ms:.0f} ms; ratio {ratio:.2f}\n"
    )
    assert len(took_ms) == REPETITIONS
