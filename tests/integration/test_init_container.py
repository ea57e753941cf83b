"""testbed-init as PID 1 of real containers: routes, processes, faults and ends, seen from inside and from a peer."""

import json
import time

import docker
import pytest

from role_container import RoleContainer, private_network, render_config, started

pytestmark = pytest.mark.integration

ECHO = """
import socket
server = socket.create_server(("0.0.0.0", 7000), backlog=16)
while True:
    stream, _ = server.accept()
    stream.sendall(b"hello")
    kept = stream  # the last connection stays open
"""

HOLD = """
import socket, sys, time
stream = socket.create_connection((sys.argv[1], 7000), timeout=3)
stream.recv(5)
print("connected", flush=True)
stream.settimeout(float(sys.argv[2]))
try:
    print("closed" if stream.recv(1) == b"" else "data", flush=True)
except ConnectionResetError:
    print("reset", flush=True)
except TimeoutError:
    print("silence", flush=True)
"""

ARM_MANY = """
import json, sys
from testbed_init.ctl import ask
for i in range(30):
    at_mono_ns = int(sys.argv[1]) + i * 50_000_000
    ask(json.dumps({"op": "arm", "id": str(i), "fault": "no-op", "at_mono_ns": at_mono_ns, "ttl_s": 9}).encode())
"""

PROCESSES = [{"name": "echo", "argv": ["python3", "-c", ECHO], "restart": True}]


@pytest.fixture(scope="module")
def engine():
    client = docker.from_env()
    yield client
    client.close()


@pytest.fixture
def network(engine):
    with private_network(engine) as name:
        yield name


@pytest.fixture
def subject(engine, network):
    with started(engine, "base", config=render_config(processes=PROCESSES), network=network) as container:
        container.wait_event("booted")
        yield container


@pytest.fixture
def peer(engine, network):
    # Debian's ping carries CAP_NET_RAW as a file capability and cannot be executed without it.
    capabilities = ("NET_ADMIN", "NET_RAW", "KILL")
    with started(engine, "base", config=render_config(container="peer"), network=network, cap_add=capabilities) as container:
        container.wait_event("booted")
        yield container


def arm(subject: RoleContainer, fault: str, *, delay_s: float = 0.6, ttl_s: float = 60.0, id: str = "step-1") -> int:
    at_mono_ns = time.monotonic_ns() + round(delay_s * 1e9)
    answer = subject.ctl(op="arm", id=id, fault=fault, at_mono_ns=at_mono_ns, ttl_s=ttl_s)
    assert answer == {"ok": True, "state": "armed"}
    return at_mono_ns


def answers_ping(peer: RoleContainer, address: str) -> bool:
    return peer.container.exec_run(["ping", "-c", "1", "-W", "1", address]).exit_code == 0


def greets(peer: RoleContainer, address: str) -> bool:
    code = "import socket,sys; s=socket.create_connection((sys.argv[1], 7000), timeout=0.7); assert s.recv(5) == b'hello'"
    return peer.container.exec_run(["python3", "-c", code, address]).exit_code == 0


def wait_greeting(peer: RoleContainer, address: str) -> None:
    until_s = time.monotonic() + 5
    while not greets(peer, address):
        assert time.monotonic() < until_s, "the subject's server does not answer within 5 s"


def test_routes_are_exactly_those_of_the_configuration(engine, network):
    bridge = engine.networks.get(network).attrs["IPAM"]["Config"][0]["Subnet"]
    gateway = bridge.rsplit(".", 1)[0] + ".250"
    config = render_config(default_via=gateway, routes=[{"to": "10.3.240.0/20", "via": gateway}])
    with started(engine, "base", config=config, network=network) as subject:
        subject.wait_event("booted")
        routes = json.loads(subject.run("ip", "-j", "route"))
        assert [(route["dst"], route.get("gateway")) for route in routes] == [
            ("default", gateway),
            ("10.3.240.0/20", gateway),
            (bridge, None),
        ]


def test_without_a_default_gateway_the_engine_s_default_route_is_removed(engine):
    with started(engine, "base", config=render_config(), network="bridge") as subject:
        subject.wait_event("booted")
        assert [route["dst"] for route in json.loads(subject.run("ip", "-j", "route"))] != []
        assert "default" not in subject.run("ip", "route")


def test_a_killed_process_is_reported_and_restarted(subject):
    first = subject.ctl(op="status")["processes"][0]["pid"]
    assert subject.ctl(op="signal", process="echo", signal="KILL") == {"ok": True, "sent": True}
    subject.wait_event("process-exited", process="echo", status=-9)
    until_s = time.monotonic() + 5
    while (process := subject.ctl(op="status")["processes"][0])["pid"] in (None, first):
        assert time.monotonic() < until_s, process
    assert process["running"] is True


def test_orphans_are_reaped(subject):
    subject.run("sh", "-c", "(sleep 0.1 & exec true) & wait")
    time.sleep(0.5)
    assert "Z" not in subject.run("ps", "-A", "-o", "state=")


def test_sigterm_ends_the_container_with_its_processes_at_once(subject, peer):
    wait_greeting(peer, subject.address)
    started_s = time.monotonic()
    subject.container.stop(timeout=9)
    assert time.monotonic() - started_s < 3
    assert subject.wait_exit() == 0
    assert subject.events("process-exited")[-1]["fields"]["status"] == -15


def test_the_container_ends_by_itself_when_it_expires(engine):
    with started(engine, "base", config=render_config(expires_in_s=1.0)) as subject:
        assert subject.wait_exit(10) == 98


def test_a_bad_configuration_is_one_clear_error(engine):
    with started(engine, "base", config=render_config(expires_in_s=-1)) as subject:
        assert subject.wait_exit() == 78
        log = subject.container.logs().decode()
    assert log == "testbed-init: /etc/testbed/config.json: config.expires_in_s: must be a number above 0, got -1\n"


def test_a_route_that_cannot_be_is_one_clear_error(engine):
    with started(engine, "base", config=render_config(default_via="192.0.2.1")) as subject:
        assert subject.wait_exit() == 71
        assert "`ip -batch -` gave 1: Error: Nexthop has invalid gateway" in subject.container.logs().decode()


def test_resources_are_reported_every_second(subject):
    events = [subject.wait_event("resources", count=count) for count in (1, 2, 3)]
    fields = [event["fields"] for event in events]
    assert fields[0]["cpu_usage_ns"] < fields[1]["cpu_usage_ns"] < fields[2]["cpu_usage_ns"]
    assert all(values["memory_bytes"] > 1_000_000 for values in fields)
    assert 1.8e9 < events[2]["t_mono_ns"] - events[0]["t_mono_ns"] < 6e9


def test_power_off_leaves_an_established_connection_in_silence(subject, peer):
    wait_greeting(peer, subject.address)
    held = peer.background("python3", "-c", HOLD, subject.address, "2.5")
    assert held.line(1) == "connected"
    at_mono_ns = arm(subject, "power-off")
    assert subject.wait_exit() == 99
    assert held.line(2) == "silence"
    effective = subject.events("fault-effective")[0]
    assert effective["fields"]["evidence"] == "eth0 down"
    assert effective["t_mono_ns"] >= at_mono_ns  # how soon after it is for the bench: a busy machine is late


def test_a_container_that_was_powered_off_comes_back_clean(subject, peer):
    subject.run("touch", "/run/testbed/left-over")
    arm(subject, "power-off")
    assert subject.wait_exit() == 99
    subject.container.start()
    subject.wait_event("booted", count=2)
    wait_greeting(peer, subject.address)
    assert subject.run("ls", "/run/testbed").split() == ["init.sock"]
    assert subject.ctl(op="status")["faults"] == []


def test_a_plain_kill_tells_the_peer_which_power_off_does_not(subject, peer):
    """The control of the test above: without the fault, the kernel closes the connection."""
    wait_greeting(peer, subject.address)
    held = peer.background("python3", "-c", HOLD, subject.address, "2.5")
    assert held.line(1) == "connected"
    subject.ctl(op="stop", process="echo")
    assert held.line(2) in ("closed", "reset")


def test_link_down_cuts_off_and_heal_brings_back_every_route(subject, peer):
    subject.run("ip", "route", "add", "10.0.9.0/24", "via", peer.address)
    before = subject.run("ip", "route") + subject.run("ip", "-d", "address")
    arm(subject, "link-down")
    assert subject.wait_event("fault-effective")["fields"]["evidence"] == "eth0 down"
    assert not answers_ping(peer, subject.address)
    assert subject.ctl(op="heal", id="step-1") == {"ok": True, "state": "healed"}
    assert subject.ctl(op="heal", id="step-1") == {"ok": True, "state": "healed"}
    assert subject.run("ip", "route") + subject.run("ip", "-d", "address") == before
    assert answers_ping(peer, subject.address)


def test_pause_freezes_processes_while_the_kernel_answers(subject, peer):
    wait_greeting(peer, subject.address)
    arm(subject, "pause")
    subject.wait_event("fault-effective")
    assert answers_ping(peer, subject.address)
    assert not greets(peer, subject.address)
    subject.ctl(op="heal", id="step-1")
    assert greets(peer, subject.address)


def test_nothing_is_restarted_during_a_pause(subject):
    arm(subject, "pause")
    subject.wait_event("fault-effective")
    subject.ctl(op="signal", process="echo", signal="KILL")
    subject.wait_event("process-exited")
    time.sleep(0.5)
    assert subject.ctl(op="status")["processes"][0]["running"] is False
    subject.ctl(op="heal", id="step-1")
    assert subject.ctl(op="status")["processes"][0]["running"] is True


def test_a_fault_that_nobody_heals_expires(subject, peer):
    arm(subject, "link-down", ttl_s=1.0)
    effective = subject.wait_event("fault-effective")
    expired = subject.wait_event("fault-expired")
    assert expired["t_mono_ns"] - effective["t_mono_ns"] > 0.99e9
    assert answers_ping(peer, subject.address)


def test_no_op_changes_nothing(subject):
    before = [subject.run("ip", "address"), subject.run("ip", "route"), subject.run("ps", "-A", "-o", "comm=")]
    arm(subject, "no-op")
    subject.wait_event("fault-effective")
    assert [subject.run("ip", "address"), subject.run("ip", "route"), subject.run("ps", "-A", "-o", "comm=")] == before


def test_no_fault_strikes_before_its_instant_and_every_one_strikes(subject):
    """How late they are is a matter of the machine: see tests/bench/bench_instants.py."""
    start_ns = time.monotonic_ns() + 3_000_000_000
    subject.run("python3", "-c", ARM_MANY, str(start_ns))
    subject.wait_event("fault-effective", count=30)
    late_ns = [event["t_mono_ns"] - event["fields"]["at_mono_ns"] for event in subject.events("fault-effective")]
    assert len(late_ns) == 30
    assert min(late_ns) >= 0


def test_a_request_outside_the_contract_is_refused(subject):
    assert subject.ctl(op="dance")["ok"] is False
    assert subject.ctl(op="arm", id="a", fault="meteor", at_mono_ns=0, ttl_s=1)["error"].startswith("unknown fault 'meteor'")


def test_a_container_without_net_admin_refuses_power_off(engine):
    with started(engine, "base", config=render_config(), cap_add=()) as subject:
        subject.wait_event("booted")
        answer = subject.ctl(op="arm", id="step-1", fault="power-off", at_mono_ns=time.monotonic_ns(), ttl_s=9)
    assert answer["ok"] is False
    assert "lacks CAP_NET_ADMIN" in answer["error"]
