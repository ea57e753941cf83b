"""One request followed through the kernels' own words."""

import json
from collections.abc import Sequence
from dataclasses import replace

import pytest

from orchestrator.errors import CommandError
from orchestrator.testbed.fake_world import FakeWorld
from orchestrator.tracing import parse_flows, trace_path
from tests.unit.testbed.scripted_cluster import node_kill_plan

FLOWS = """\
tcp      6 119 TIME_WAIT src=198.18.0.2 dst=10.3.241.152 sport=24586 dport=80 src=10.0.3.2 dst=10.100.0.2 sport=8080 dport=5555 [ASSURED] mark=0 use=1
tcp      6 9 CLOSE src=198.18.0.2 dst=10.3.241.152 sport=24000 dport=80 src=10.0.1.2 dst=10.100.0.2 sport=8080 dport=5556 mark=0 use=1
"""


def test_a_flow_has_what_was_asked_for_and_who_answers() -> None:
    first, second = parse_flows(FLOWS + "conntrack v1.4.7: 2 flow entries have been shown.\n")
    assert (first.source, first.source_port, first.destination, first.destination_port) == (
        "198.18.0.2",
        24586,
        "10.3.241.152",
        80,
    )
    assert (first.answers, first.answers_port, first.left_s) == ("10.0.3.2", 8080, 119)
    assert second.left_s == 9


def test_a_request_by_the_static_route_is_followed_to_the_rule_the_flow_and_the_pod() -> None:
    world = FakeWorld(node_kill_plan(), kube=OnePod())

    def answer(container: str, argv: Sequence[str]) -> str:
        if "loadtests.probe" in argv:
            return json.dumps({"local_port": 24586, "outcome": "ok", "pod": "web-1", "node": "node-3", "client": "10.100.0.2"})
        if argv[:3] == ["ip", "route", "get"]:
            return f"{argv[3]} via 10.100.0.2 dev eth1\n    cache\n"
        if "conntrack" in argv[-1]:
            return FLOWS if container == "node-1" else ""
        if argv[:2] == ["nft", "get"]:
            if argv[5] != "service-ips":
                raise CommandError(argv, 1, "no such element", where=container)
            return (
                "table ip kube-proxy {\n\tmap service-ips {\n\t\telements = { 10.3.241.152 . tcp . 80 : goto service-X }\n\t}\n}"
            )
        raise AssertionError(argv)

    world.on_execute = answer
    hops = [(hop.where, hop.what, hop.found) for hop in trace_path(world, world.plan.path("static-route"))]
    assert hops == [
        ("client", "request", "http://10.3.241.152:80/ from port 24586: ok"),
        ("client", "route", "10.3.241.152 via 10.100.0.2 dev eth1"),
        ("gateway", "route", "10.3.241.152 via 10.100.0.2 dev eth1"),
        ("node-1", "rule", "map service-ips: 10.3.241.152 . tcp . 80 : goto service-X"),
        ("node-1", "connection tracking", "198.18.0.2:24586 to 10.3.241.152:80 is answered by 10.0.3.2:8080"),
        ("node-3", "endpoint", "web-1 on node-3, which saw the client as 10.100.0.2"),
    ]


class OnePod:
    """The part of the API that is asked."""

    def get(self, resource: str, name: str, *, namespace: str | None = None) -> dict[str, object] | None:
        return {"status": {"podIP": "10.0.3.2"}} if (resource, name) == ("pods", "web-1") else None


HOST_PORT_RULES = """\
table ip cni_hostport {
	chain hostports {
		tcp dport 80 dnat to 10.0.3.2:8080 comment "a"
		tcp dport 8000 dnat to 10.0.1.7:8080 comment "b"
	}
}
"""


def test_rule_of_a_host_port_is_told_where_kube_proxy_has_none() -> None:
    world = FakeWorld(node_kill_plan(), kube=OnePod())

    def answer(container: str, argv: Sequence[str]) -> str:
        if "loadtests.probe" in argv:
            return json.dumps({"local_port": 24586, "outcome": "ok", "pod": "web-1", "node": "node-1", "client": "198.18.0.2"})
        if argv[:3] == ["ip", "route", "get"]:
            return f"{argv[3]} via 10.100.0.2 dev eth1\n"
        if "conntrack" in argv[-1]:
            return FLOWS if container == "node-1" else ""
        if argv[:2] == ["nft", "get"]:
            raise CommandError(argv, 1, "no such element", where=container)
        return HOST_PORT_RULES if "cni_hostport" in argv[-1] else ""

    world.on_execute = answer
    rules = [hop.found for hop in trace_path(world, world.plan.path("static-route")) if hop.what == "rule"]
    assert rules == ['tcp dport 80 dnat to 10.0.3.2:8080 comment "a"']


class TwoPorts(OnePod):
    """A Service whose second port is the one that HAProxy leads to."""

    def get(self, resource: str, name: str, *, namespace: str | None = None) -> dict[str, object] | None:
        if resource != "services":
            return super().get(resource, name, namespace=namespace)
        ports = [{"name": "admin", "port": 81, "nodePort": 30081}, {"name": "http", "port": 80, "nodePort": 30080}]
        return {"spec": {"ports": ports}}


@pytest.mark.parametrize("frontend", ["nodeport", "edge:default:service-test:80"], ids=["tcp", "ingress"])
def test_node_port_is_that_of_the_port_that_the_path_leads_to(frontend: str) -> None:
    plan = node_kill_plan()
    path = replace(plan.path("nodeport"), frontend=frontend)
    world = FakeWorld(plan, kube=TwoPorts())
    node = str(plan.container("node-2").address)

    def answer(container: str, argv: Sequence[str]) -> str:
        if "loadtests.probe" in argv:
            return json.dumps({"local_port": 24586, "outcome": "ok", "pod": "web-1", "node": "node-3", "client": "10.0.1.1"})
        if argv[:3] == ["ip", "route", "get"]:
            return f"{argv[3]} via 10.100.0.1 dev eth1\n"
        if "haproxy-connections" in argv[-1]:
            return json.dumps({"client_port": 24586, "backend": frontend, "server": "node-2"})
        if "conntrack" in argv[-1]:
            found = f"src=198.18.0.3 dst={node} sport=40000 dport=30080 src=10.0.3.2 dst={node} sport=8080 dport=5555"
            return f"tcp 6 119 ESTABLISHED {found} use=1\n" if f"{node} --orig-port-dst 30080 " in argv[-1] else ""
        if argv[:2] == ["nft", "get"] and argv[5] == "service-nodeports":
            return "elements = { tcp . 30080 : goto external-X }"
        raise CommandError(argv, 1, "no such element", where=container)

    world.on_execute = answer
    found = {hop.what: hop.found for hop in trace_path(world, path)}
    assert found["rule"] == "map service-nodeports: tcp . 30080 : goto external-X"
    assert found["connection tracking"] == f"198.18.0.3:40000 to {node}:30080 is answered by 10.0.3.2:8080"
