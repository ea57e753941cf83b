"""Services of type LoadBalancer with the real HAProxy: addresses, frontends and checks come, are told, and leave nothing."""

import json
import time
from contextlib import ExitStack

import docker
import pytest

from lb_bench import HOLD, PORT, Bench, make_pki, started_bench

pytestmark = pytest.mark.integration

ADDRESS, OTHER, FURTHER = "198.18.0.128", "198.18.0.129", "198.18.0.192"
SERVED = "ingress-testbed.io/external-ip-served"
OPTIONS = {"inter_ms": 200, "fastinter_ms": 50, "fall": 2, "rise": 2, "connect_timeout_ms": 300, "check_timeout_ms": 200}
ENTRY = {"name": "lb", "service": "default/balanced", "port": "http", "mode": "loadbalancer"}
CHECKED_PORT = 30500

HEALTH = """
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(int(open("/tmp/status").read()))
        self.end_headers()
    def log_message(self, *words):
        pass
HTTPServer((sys.argv[1], int(sys.argv[2])), Handler).serve_forever()
"""
"""Answers health checks with the status that stands in /tmp/status."""
AGENT = """
import socket, sys
listener = socket.create_server(("127.0.1.1", 10257))
while True:
    stream, _ = listener.accept()
    asked = b""
    while not asked.endswith(b",") and (part := stream.recv(100)):
        asked += part
    word = open("/tmp/word").read() if asked == b"default/balanced," else "down #who?"
    stream.sendall(word.encode() + b"\\n")
    stream.close()
"""
"""Answers agent checks of default/balanced with the word that stands in /tmp/word."""


SHOW_SERVERS = """
import socket
stream = socket.socket(socket.AF_UNIX)
stream.connect("/run/testbed/haproxy.sock")
stream.sendall(b"show servers state\\n")
print(stream.makefile().read())
"""


@pytest.fixture(scope="module")
def pki():
    return make_pki()


@pytest.fixture
def make_bench(pki):
    with ExitStack() as stack:
        client = docker.from_env()
        stack.callback(client.close)

        def make(*further: dict[str, object], **haproxy: object) -> Bench:
            static = {
                "name": "nodeport",
                "bind": "127.0.0.1:80",
                "service": "default/service-test",
                "port": "http",
                "mode": "tcp",
            }
            frontends = [{**static, "haproxy": OPTIONS}, {**ENTRY, "haproxy": OPTIONS | haproxy}, *further]
            bench = stack.enter_context(started_bench(client, pki, OPTIONS, frontends=frontends))
            bench.add_node(1)
            bench.wait("server-up", "node-1")
            return bench

        yield make


def addresses(bench: Bench) -> list[str]:
    links = json.loads(bench.container.run("ip", "-json", "-4", "address", "show"))
    return sorted(entry["local"] for link in links for entry in link["addr_info"] if entry["local"].startswith("198.18."))


def balance(bench: Bench, name: str = "balanced", address: str = ADDRESS, **spec: object) -> None:
    bench.tell(op="balancer", name=name, external_ip=address, node_port=PORT, **spec)


def serve(bench: Bench, name: str = "balanced", address: str = ADDRESS, **spec: object) -> None:
    balance(bench, name, address, **spec)
    bench.until(lambda: bench.annotations(name).get(SERVED) == address, f"{name} is not told as served at {address}")


def test_service_is_reachable_at_its_address_as_soon_as_that_is_told(make_bench):
    bench = make_bench()
    serve(bench)
    assert addresses(bench) == [ADDRESS]
    assert bench.connect(50, 0.4, ADDRESS) == {"127.0.1.1": 20}


def test_service_that_no_node_answers_for_is_pending_until_one_does(make_bench):
    bench = make_bench()
    bench.tell(op="close", address="127.0.1.1", port=PORT)
    bench.wait("server-down", "node-1")
    balance(bench)
    bench.container.wait_event("server-added", backend="lb", server="node-1")
    bench.container.wait_event("haproxy-reloaded")
    time.sleep(3 * OPTIONS["inter_ms"] / 1000)
    assert SERVED not in bench.annotations("balanced")
    bench.tell(op="listen", address="127.0.1.1", port=PORT)
    bench.until(lambda: SERVED in bench.annotations("balanced"), "the Service is pending")
    assert bench.connect(50, 0.2, ADDRESS) == {"127.0.1.1": 10}


def test_several_services_share_the_machine_and_not_the_address(make_bench):
    bench = make_bench()
    serve(bench)
    serve(bench, "other", OTHER)
    bench.container.wait_event("server-up", backend="lb", server="node-1")
    bench.container.wait_event("server-up", backend="default:other:80", server="node-1")
    assert addresses(bench) == [ADDRESS, OTHER]
    assert [bench.connect(50, 0.2, address) for address in (ADDRESS, OTHER)] == [{"127.0.1.1": 10}] * 2
    bench.tell(op="delete-service", name="balanced")
    bench.until(lambda: addresses(bench) == [OTHER], "the address is still there")
    assert bench.connect(50, 0.2, OTHER) == {"127.0.1.1": 10}


def test_one_service_is_served_at_two_addresses_with_two_settings(make_bench):
    bench = make_bench({**ENTRY, "name": "blind", "address": FURTHER, "haproxy": OPTIONS | {"checks": False}})
    serve(bench)
    assert addresses(bench) == [ADDRESS, FURTHER]
    assert [bench.connect(50, 0.2, address) for address in (ADDRESS, FURTHER)] == [{"127.0.1.1": 10}] * 2
    bench.add_node(2)
    bench.container.wait_event("server-up", backend="lb", server="node-2")
    bench.tell(op="close", address="127.0.1.1", port=PORT)
    bench.container.wait_event("server-down", backend="lb", server="node-1")
    assert bench.connect(50, 0.2, ADDRESS) == {"127.0.1.2": 10}
    servers = bench.container.run("python3", "-c", SHOW_SERVERS).splitlines()
    states = {tuple(line.split()[i] for i in (1, 3)): line.split()[5] for line in servers if " node-" in line}
    assert states[("lb", "node-1")] == "0"
    assert states[("blind", "node-1")] == "2", "without checks it stays, beside the other"
    bench.tell(op="delete-service", name="balanced")
    bench.until(lambda: addresses(bench) == [], "an address is left")


def test_server_that_is_down_stays_down_over_a_reload_and_one_that_is_up_stays_up(make_bench):
    bench = make_bench()
    serve(bench)
    bench.container.wait_event("server-up", backend="lb", server="node-1")
    bench.add_node(2)
    bench.container.wait_event("server-up", backend="lb", server="node-2")
    bench.tell(op="close", address="127.0.1.1", port=PORT)
    bench.container.wait_event("server-down", backend="lb", server="node-1")
    outcomes = bench.connecting(100, 2.0)
    balance(bench, "other", OTHER)
    bench.container.wait_event("haproxy-reloaded", count=2)
    assert outcomes() == {"127.0.1.2": 200}
    bench.tell(op="listen", address="127.0.1.1", port=PORT)
    bench.container.wait_event("server-up", backend="lb", server="node-1", count=2)


def test_service_that_goes_leaves_no_frontend_no_address_and_no_connection(make_bench):
    bench = make_bench()
    serve(bench)
    bench.container.wait_event("server-up", backend="lb", server="node-1")
    held = bench.container.background("python3", "-c", HOLD.replace("127.0.0.1", ADDRESS))
    assert held.line(1) == "127.0.1.1"
    deleted_ns = bench.tell(op="delete-service", name="balanced")
    assert int(held.line(2)) >= deleted_ns
    bench.until(lambda: addresses(bench) == [], "the address is still there")
    assert " lb" not in bench.container.run("grep", "-E", "frontend|backend", "/run/testbed/haproxy.cfg")
    assert bench.connect(50, 0.2) == {"127.0.1.1": 10}


def test_new_service_costs_connections_of_others_nothing(make_bench):
    bench = make_bench()
    held = bench.container.background("python3", "-c", HOLD)
    assert held.line(1) == "127.0.1.1"
    outcomes = bench.connecting(200, 3.0)
    serve(bench)
    balance(bench, "other", OTHER)
    bench.container.wait_event("haproxy-reloaded", count=2)
    bench.tell(op="delete-service", name="balanced")
    bench.container.wait_event("haproxy-reloaded", count=3)
    assert outcomes() == {"127.0.1.1": 600}
    assert bench.container.run("cat", held.output) == "127.0.1.1\n", "the one that was there before goes on"


def test_nodes_come_and_go_without_a_reload(make_bench):
    bench = make_bench()
    serve(bench)
    pid = bench.haproxy_pid()
    bench.add_node(2)
    bench.container.wait_event("server-up", backend="lb", server="node-2")
    bench.tell(op="delete-node", name="node-1")
    bench.container.wait_event("server-removed", backend="lb", server="node-1")
    assert bench.haproxy_pid() == pid


def test_source_ranges_are_enforced(make_bench):
    bench = make_bench()
    serve(bench, loadBalancerSourceRanges=["192.0.2.0/24"])
    bench.container.wait_event("server-up", backend="lb", server="node-1")
    assert "127.0.1.1" not in bench.connect(50, 0.2, ADDRESS)
    balance(bench, loadBalancerSourceRanges=["192.0.2.0/24", "198.18.0.0/16"])
    # Within the container, the source of a connection to an own address is that address.
    bench.until(lambda: bench.connect(50, 0.2, ADDRESS) == {"127.0.1.1": 10}, "still refused")


def test_service_that_haproxy_refuses_is_told_so_and_others_are_served(make_bench):
    bench = make_bench()
    # More words than a line of HAProxy's may have (64; configuration manual, section 2.2).
    balance(bench, loadBalancerSourceRanges=[f"192.0.2.{number}/32" for number in range(100)])
    bench.until(lambda: bench.told("balanced")["events"] == ["SyncLoadBalancerFailed"], "nothing is said of it")
    balance(bench, "other", OTHER)
    bench.container.wait_event("server-up", backend="default:other:80", server="node-1")
    assert bench.connect(50, 0.2, OTHER) == {"127.0.1.1": 10}
    assert addresses(bench) == [OTHER]
    serve(bench, loadBalancerSourceRanges=["198.18.0.0/16"])


def test_policy_local_sends_only_where_the_health_check_node_port_is_good(make_bench):
    bench = make_bench()
    bench.container.run("sh", "-c", "echo 503 > /tmp/status")
    bench.container.background("python3", "-c", HEALTH, "127.0.1.1", str(CHECKED_PORT))
    balance(bench, externalTrafficPolicy="Local", healthCheckNodePort=CHECKED_PORT)
    bench.container.wait_event("server-added", backend="lb", server="node-1")
    assert bench.connect(50, 0.4, ADDRESS) == {"closed": 20}, "its node port answers, its health check does not"
    assert SERVED not in bench.annotations("balanced")
    bench.container.run("sh", "-c", "echo 200 > /tmp/status")
    up = bench.container.wait_event("server-up", backend="lb", server="node-1")
    assert up["fields"]["reason"].startswith("Layer7 check passed, code: 200")
    assert bench.connect(50, 0.4, ADDRESS) == {"127.0.1.1": 20}
    bench.container.run("sh", "-c", "echo 503 > /tmp/status")
    down = bench.container.wait_event("server-down", backend="lb", server="node-1")
    assert "503" in down["fields"]["reason"]


def test_node_s_agent_takes_its_server_out_and_back(make_bench):
    bench = make_bench(check="agent", agent_inter_ms=100)
    bench.container.run("sh", "-c", "printf up > /tmp/word")
    bench.container.background("python3", "-c", AGENT)
    serve(bench)
    bench.container.wait_event("server-up", backend="lb", server="node-1")
    bench.container.run("sh", "-c", "printf 'down #rules are stale' > /tmp/word")
    down = bench.container.wait_event("server-down", backend="lb", server="node-1")
    assert "rules are stale" in down["fields"]["reason"]
    bench.container.run("sh", "-c", "printf up > /tmp/word")
    bench.container.wait_event("server-up", backend="lb", server="node-1", count=2)
    assert bench.connect(50, 0.2, ADDRESS) == {"127.0.1.1": 10}


def test_observed_errors_take_a_server_out_before_its_next_check(make_bench):
    bench = make_bench(inter_ms=30000, observe="layer4", error_limit=2, on_error="mark-down", starts_down=False)
    serve(bench)
    bench.container.wait_event("server-up", backend="lb", server="node-1")
    bench.connect(20, 0.2, ADDRESS)
    bench.tell(op="close", address="127.0.1.1", port=PORT)
    bench.connect(20, 0.5, ADDRESS)
    down = bench.container.wait_event("server-down", backend="lb", server="node-1")
    assert "Health analyze" in down["fields"]["reason"]


def test_killed_agent_s_successor_serves_on_without_a_reload(make_bench):
    bench = make_bench()
    serve(bench)
    bench.container.wait_event("server-up", backend="lb", server="node-1")
    pid = bench.haproxy_pid()
    bench.container.ctl(op="signal", process="lb", signal="KILL")
    bench.container.wait_event("haproxy-adopted")
    bench.add_node(2)
    bench.container.wait_event("server-up", backend="lb", server="node-2")
    assert (bench.haproxy_pid(), addresses(bench)) == (pid, [ADDRESS])
    assert bench.connect(50, 0.4, ADDRESS) == {"127.0.1.1": 10, "127.0.1.2": 10}
