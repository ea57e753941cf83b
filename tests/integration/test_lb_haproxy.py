"""lbagent with the real HAProxy in its container: servers follow the cluster without a reload and without a lost connection.

API server and node ports are small servers on loopback inside the same container (`lb_lab.py`).
"""

import json
import time
from contextlib import ExitStack
from pathlib import Path

import docker
import pytest

from lb_bench import HOLD, PORT, Bench, make_pki, started_bench
from lbagent.runtime_contract import CONVERSATION, STATES
from lbagent.servers import parse_servers
from role_container import render_config, started

pytestmark = pytest.mark.integration

HERE = Path(__file__).parent
EXCLUDE = "node.kubernetes.io/exclude-from-external-load-balancers"
CHECK_CONNECT_MS = 200
"""A check's connection times out after the smaller of `timeout connect` and `inter` (configuration manual, `timeout check`)."""
OPTIONS = {"inter_ms": 200, "fastinter_ms": 50, "fall": 2, "rise": 2, "connect_timeout_ms": 300, "check_timeout_ms": 200}


@pytest.fixture(scope="module")
def engine():
    client = docker.from_env()
    yield client
    client.close()


@pytest.fixture(scope="module")
def pki() -> dict[str, bytes]:
    return make_pki()


@pytest.fixture
def make_bench(engine, pki):
    """Start a load balancer whose service exists already; `settings` and `haproxy` override."""
    with ExitStack() as stack:

        def make(haproxy: dict[str, object] | None = None, **settings: object) -> Bench:
            return stack.enter_context(started_bench(engine, pki, OPTIONS | (haproxy or {}), **settings))

        yield make


def test_frontends_exist_before_any_node_does(make_bench):
    bench = make_bench()
    assert bench.connect(20, 0.2) == {"closed": 4}


def test_a_ready_node_becomes_a_server_after_its_first_passed_check(make_bench):
    bench = make_bench()
    bench.tell(op="node", name="node-1", address="127.0.1.1")
    added = bench.wait("server-added", "node-1")
    assert bench.connect(20, 0.5) == {"closed": 10}
    bench.tell(op="listen", address="127.0.1.1", port=PORT)
    up = bench.wait("server-up", "node-1")
    assert up["t_mono_ns"] > added["t_mono_ns"]
    assert up["fields"]["reason"] == "Layer4 check passed"
    assert bench.connect(50, 0.4) == {"127.0.1.1": 20}


def test_a_node_that_was_never_ready_is_no_server(make_bench):
    bench = make_bench()
    bench.add_node(1, ready=False)
    bench.add_node(2)
    bench.wait("server-up", "node-2")
    assert bench.connect(50, 0.4) == {"127.0.1.2": 20}
    bench.tell(op="node", name="node-1", address="127.0.1.1")
    bench.wait("server-up", "node-1")
    assert bench.connect(50, 0.4) == {"127.0.1.1": 10, "127.0.1.2": 10}


def test_no_connection_is_lost_while_servers_come_are_drained_and_go(make_bench):
    bench = make_bench()
    for number in (1, 2):
        bench.add_node(number)
        bench.wait("server-up", f"node-{number}")
    outcomes = bench.connecting(200, 8.0)
    for number in (3, 4):
        bench.add_node(number)
        bench.wait("server-up", f"node-{number}")
    bench.tell(
        op="node",
        name="node-1",
        address="127.0.1.1",
        labels={EXCLUDE: ""},
    )
    bench.wait("server-drain", "node-1")
    bench.tell(
        op="node",
        name="node-2",
        address="127.0.1.2",
        taints=[{"key": "ToBeDeletedByClusterAutoscaler", "effect": "NoSchedule"}],
    )
    bench.wait("server-drain", "node-2")
    time.sleep(0.2)
    for number in (1, 2):
        bench.tell(op="delete-node", name=f"node-{number}")
        bench.wait("server-removed", f"node-{number}")
    counts = outcomes()
    assert sum(counts.values()) == 1600
    assert set(counts) == {f"127.0.1.{number}" for number in (1, 2, 3, 4)}


def test_a_closed_node_port_is_detected_and_connections_go_elsewhere(make_bench):
    bench = make_bench()
    for number in (1, 2):
        bench.add_node(number)
        bench.wait("server-up", f"node-{number}")
    outcomes = bench.connecting(100, 4.0)
    bench.tell(op="close", address="127.0.1.1", port=PORT)
    down = bench.wait("server-down", "node-1")
    assert down["fields"]["reason"] == 'Layer4 connection problem, info: "Connection refused"'
    bench.tell(op="listen", address="127.0.1.1", port=PORT)
    bench.wait("server-up", "node-1", count=2)
    counts = outcomes()
    # Refused connections are redispatched at once: the client loses none.
    assert set(counts) == {"127.0.1.1", "127.0.1.2"}
    assert sum(counts.values()) == 400
    assert bench.container.wait_event("retries", server="node-1")["fields"]["redispatches"] > 0


def test_a_silent_node_is_detected_within_the_time_of_its_checks(make_bench):
    """The next check begins within `inter` and times out; each further one of `fall` follows after `fastinter`."""
    bench = make_bench()
    bench.add_node(1)
    bench.wait("server-up", "node-1")
    silent_ns = bench.tell(op="silence", address="127.0.1.1", port=PORT)
    down = bench.wait("server-down", "node-1")
    assert down["fields"]["reason"] == "Layer4 timeout"
    bound_ms = OPTIONS["inter_ms"] + OPTIONS["fall"] * CHECK_CONNECT_MS + (OPTIONS["fall"] - 1) * OPTIONS["fastinter_ms"]
    assert CHECK_CONNECT_MS < (down["t_mono_ns"] - silent_ns) / 1e6 < bound_ms + 100


def test_without_checks_a_dead_node_port_stays_a_server(make_bench):
    bench = make_bench(haproxy={"checks": False, "redispatch": 0, "retries": 0})
    for number in (1, 2):
        bench.add_node(number)
        assert bench.wait("server-up", f"node-{number}")["fields"]["reason"] == "no checks"
    bench.tell(op="close", address="127.0.1.1", port=PORT)
    assert bench.connect(50, 2.0) == {"127.0.1.2": 50, "closed": 50}
    assert bench.container.events("server-down") == []


def at(name: str, address: str, **haproxy: object) -> dict[str, object]:
    """A frontend of its own for the same Service."""
    ports = {"service": "default/service-test", "port": "http", "mode": "tcp"}
    return {"name": name, "bind": f"{address}:80", "haproxy": {**OPTIONS, **haproxy}, **ports}


def test_connections_to_a_server_that_is_marked_down_are_cut_where_it_is_asked_for_and_go_on_elsewhere(make_bench):
    cutting, keeping = at("cutting", "127.0.0.2", shutdown_sessions_on_down=True), at("keeping", "127.0.0.3")
    bench = make_bench(frontends=[cutting, keeping])
    bench.add_node(1)
    for name in ("cutting", "keeping"):
        bench.container.wait_event("server-up", backend=name, server="node-1")
    cut, kept = (bench.container.background("python3", "-c", HOLD.replace("127.0.0.1", f"127.0.0.{end}")) for end in (2, 3))
    assert cut.line(1) == kept.line(1) == "127.0.1.1"
    # The port refuses, so that checks fail; what is connected goes on.
    bench.tell(op="close", address="127.0.1.1", port=PORT)
    down, _ = (bench.container.wait_event("server-down", backend=name) for name in ("cutting", "keeping"))
    assert abs(int(cut.line(2)) - down["t_mono_ns"]) < 500e6
    assert bench.container.run("cat", kept.output) == "127.0.1.1\n"


def test_balance_algorithm_chooses_the_servers(make_bench):
    names = ("roundrobin", "leastconn", "first", "random", "source")
    addresses = {name: f"127.0.0.{place}" for place, name in enumerate(names, 2)}
    bench = make_bench(frontends=[at(name, address, balance=name) for name, address in addresses.items()])
    for number in (1, 2):
        bench.add_node(number)
        for name in names:
            bench.container.wait_event("server-up", backend=name, server=f"node-{number}")
    servers = {"127.0.1.1", "127.0.1.2"}
    assert bench.connect(50, 0.4, addresses["roundrobin"]) == dict.fromkeys(servers, 10)
    assert bench.connect(200, 0.4, addresses["random"]).keys() == servers
    for name in ("first", "source"):
        (chosen,) = bench.connect(50, 0.4, addresses[name])
        assert chosen in servers, "none is free of connections for long: the same one gets all of them"
    held = bench.container.background("python3", "-c", HOLD.replace("127.0.0.1", addresses["leastconn"]))
    busy = held.line(1)
    idle = bench.connect(20, 0.5, addresses["leastconn"])
    assert idle.get(busy, 0) <= 2, "who holds a connection gets the next only when the other has one too"
    assert sum(idle.values()) == 10
    # Where the first is gone, it is the other one's turn.
    bench.tell(op="close", address="127.0.1.1", port=PORT)
    for name in ("first", "source"):
        bench.container.wait_event("server-down", backend=name, server="node-1")
        assert bench.connect(50, 0.2, addresses[name]) == {"127.0.1.2": 10}


def test_drain_keeps_established_connections_and_deletion_cuts_them(make_bench):
    bench = make_bench()
    bench.add_node(1)
    bench.wait("server-up", "node-1")
    held = bench.container.background("python3", "-c", HOLD)
    assert held.line(1) == "127.0.1.1"
    bench.tell(op="node", name="node-1", address="127.0.1.1", labels={EXCLUDE: ""})
    bench.wait("server-drain", "node-1")
    assert bench.connect(20, 0.5) == {"closed": 10}
    deleted_ns = bench.tell(op="delete-node", name="node-1")
    bench.wait("server-removed", "node-1")
    assert int(held.line(2)) >= deleted_ns


def test_a_drained_node_takes_connections_again_when_it_is_no_longer_excluded(make_bench):
    bench = make_bench()
    bench.add_node(1, labels={EXCLUDE: ""})
    bench.wait("server-drain", "node-1")
    assert bench.connect(20, 0.5) == {"closed": 10}
    # Its checks go on while it is drained; only a healthy server comes up when it leaves the drain.
    time.sleep(0.5)
    bench.tell(op="node", name="node-1", address="127.0.1.1")
    bench.wait("server-undrain", "node-1")
    bench.container.wait_event("server-up", server="node-1", reason="leaving forced drain")
    assert bench.connect(20, 0.5) == {"127.0.1.1": 10}


def test_servers_follow_a_change_of_the_node_port(make_bench):
    bench = make_bench()
    bench.add_node(1)
    bench.wait("server-up", "node-1")
    bench.tell(op="listen", address="127.0.1.1", port=30001)
    bench.tell(op="close", address="127.0.1.1", port=PORT)
    bench.tell(op="service", node_port=30001)
    until_s = time.monotonic() + 5
    while bench.connect(20, 0.5) != {"127.0.1.1": 10}:
        assert time.monotonic() < until_s


def test_haproxy_outlives_its_agent_and_is_adopted_by_the_next(make_bench):
    bench = make_bench()
    bench.add_node(1)
    bench.wait("server-up", "node-1")
    pid = bench.haproxy_pid()
    outcomes = bench.connecting(100, 4.0)
    bench.container.ctl(op="signal", process="lb", signal="KILL")
    adopted = bench.container.wait_event("haproxy-adopted")
    assert adopted["fields"]["pid"] == bench.haproxy_pid() == pid
    bench.add_node(2)
    bench.wait("server-up", "node-2")
    assert len(bench.container.events("server-added")) == 2
    counts = outcomes()
    assert set(counts) == {"127.0.1.1", "127.0.1.2"}
    assert sum(counts.values()) == 400


def test_a_killed_haproxy_stays_dead_until_it_is_asked_for(make_bench):
    bench = make_bench()
    bench.add_node(1)
    bench.wait("server-up", "node-1")
    assert bench.container.ctl(op="signal", process="haproxy", signal="KILL") == {"ok": True, "sent": True}
    assert bench.container.wait_event("haproxy-exited")["fields"]["status"] == -9
    assert bench.connect(20, 0.5) == {"ConnectionRefusedError": 10}
    bench.container.ctl(op="signal", process="lb", signal="HUP")
    bench.container.wait_event("haproxy-started", count=2)
    assert bench.connect(20, 0.5) == {"127.0.1.1": 10}


def test_a_killed_haproxy_is_restarted_with_its_servers_where_configured(make_bench):
    bench = make_bench(restart_haproxy=True)
    bench.add_node(1)
    bench.wait("server-up", "node-1")
    bench.container.ctl(op="signal", process="haproxy", signal="KILL")
    bench.container.wait_event("haproxy-started", count=2)
    assert bench.connect(20, 0.5) == {"127.0.1.1": 10}


def test_a_reload_loses_no_connection(make_bench):
    bench = make_bench()
    for number in (1, 2):
        bench.add_node(number)
        bench.wait("server-up", f"node-{number}")
    before = bench.haproxy_pid()
    outcomes = bench.connecting(200, 3.0)
    time.sleep(0.5)
    bench.container.ctl(op="signal", process="lb", signal="HUP")
    reloaded = bench.container.wait_event("haproxy-reloaded")
    assert reloaded["fields"]["pid"] == bench.haproxy_pid() != before
    assert sum(count for outcome, count in outcomes().items() if outcome.startswith("127.0.1.")) == 600
    bench.add_node(3)
    bench.wait("server-up", "node-3")
    assert bench.container.events("haproxy-exited") == []


def test_connection_from_before_a_reload_outlives_the_health_and_the_removal_of_its_server(make_bench):
    bench = make_bench(frontends=[at("cutting", "127.0.0.2", shutdown_sessions_on_down=True)])
    bench.add_node(1)
    bench.container.wait_event("server-up", backend="cutting", server="node-1")
    held = bench.container.background("python3", "-c", HOLD.replace("127.0.0.1", "127.0.0.2"))
    assert held.line(1) == "127.0.1.1"
    older = bench.haproxy_pid()
    bench.container.ctl(op="signal", process="lb", signal="HUP")
    bench.container.wait_event("haproxy-reloaded")
    bench.tell(op="close", address="127.0.1.1", port=PORT)
    bench.container.wait_event("server-down", backend="cutting", server="node-1")
    bench.tell(op="delete-node", name="node-1")
    bench.container.wait_event("server-removed", backend="cutting", server="node-1")
    time.sleep(1.0)  # several checks' time, in which nothing may happen
    assert bench.container.run("cat", held.output) == "127.0.1.1\n", "it is the older process's, which nobody can tell"
    assert bench.container.run("cat", f"/proc/{older}/comm").strip() == "haproxy"


def test_servers_stay_while_the_api_forgets_its_history(make_bench):
    bench = make_bench()
    bench.add_node(1)
    bench.wait("server-up", "node-1")
    bench.tell(op="forget-watches")
    bench.add_node(2)
    bench.wait("server-up", "node-2")
    assert bench.container.events("server-removed") == []


def test_every_connection_is_logged(make_bench):
    bench = make_bench()
    for number in (1, 2):
        bench.add_node(number)
        bench.wait("server-up", f"node-{number}")
    cpu = "import sys; print(sum(map(int, open(f'/proc/{sys.argv[1]}/stat').read().rsplit(')', 1)[1].split()[11:13])))"
    pid = next(entry["pid"] for entry in bench.container.ctl(op="status")["processes"] if entry["name"] == "lb")
    before = int(bench.container.run("python3", "-c", cpu, str(pid)))
    outcomes = bench.connect(600, 5.0)
    spent_ticks = int(bench.container.run("python3", "-c", cpu, str(pid))) - before
    time.sleep(0.5)
    lines = bench.container.run("cat", "/var/log/testbed/haproxy-connections.jsonl").splitlines()
    records = [json.loads(line) for line in lines]
    assert outcomes == {"127.0.1.1": 1500, "127.0.1.2": 1500}
    assert len(records) == 3000
    assert bench.container.events("log-lines-dropped") == []
    assert {record["server"] for record in records} == {"node-1", "node-2"}
    assert set(records[0]) == {
        "t_mono_ns", "client_ip", "client_port", "frontend", "backend", "server", "queue_ms", "connect_ms", "total_ms",
        "bytes_read", "termination", "retries", "redispatched",
    }  # fmt: skip
    # 600 lines a second cost the agent less than a tenth of a core (ticks of 10 ms).
    assert spent_ticks < 0.1 * 5.0 * 100


def test_a_frozen_agent_costs_log_lines_but_no_connection_and_says_so(make_bench):
    bench = make_bench()
    bench.add_node(1)
    bench.wait("server-up", "node-1")
    bench.container.ctl(op="signal", process="lb", signal="STOP")
    assert bench.connect(400, 4.0) == {"127.0.1.1": 1600}
    bench.container.ctl(op="signal", process="lb", signal="CONT")
    dropped = bench.container.wait_event("log-lines-dropped")["fields"]["lines"]
    time.sleep(0.5)  # the agent writes in batches
    kept = bench.container.run("cat", "/var/log/testbed/haproxy-connections.jsonl").count("\n")
    assert kept > 200
    assert kept + dropped == 1600


GOLDEN = sorted((HERE.parent / "unit/lbagent/golden").glob("*.cfg"))


# What reads maps and certificates beside it is checked with them, by the Ingress tests.
@pytest.mark.parametrize("golden", [path for path in GOLDEN if "crt-list" not in path.read_text()], ids=lambda path: path.stem)
def test_haproxy_accepts_every_golden_configuration(golden, engine):
    files = {"/lab/haproxy.cfg": golden.read_bytes()}
    with started(engine, "loadbalancer", config=render_config(), files=files) as container:
        container.wait_event("booted")
        # The test's container has not the addresses of the golden files; the check does not bind them.
        assert container.run("haproxy", "-c", "-f", "/lab/haproxy.cfg").strip() == "Configuration file is valid"


def test_the_real_haproxy_keeps_to_the_contract_of_the_fake(make_bench):
    bench = make_bench()
    ask = (
        "import json, socket, sys\n"
        "def ask(line):\n"
        "    stream = socket.socket(socket.AF_UNIX); stream.connect('/run/testbed/haproxy.sock')\n"
        "    stream.sendall(line.encode() + b'\\n')\n"
        "    return stream.makefile().read().strip()\n"
        "print(json.dumps([ask(line) for line in json.loads(sys.argv[1])]))\n"
    )

    def converse(*lines: str) -> list[str]:
        return json.loads(bench.container.run("python3", "-c", ask, json.dumps(lines)))

    # The agent itself would remove servers that no node asks for.
    bench.container.ctl(op="stop", process="lb")
    bench.container.wait_event("process-exited", process="lb")
    answers = converse(*(line for line, _ in CONVERSATION))
    assert [(line, answer) for (line, _), answer in zip(CONVERSATION, answers, strict=True)] == list(CONVERSATION)
    for line, state in STATES:
        _, states, connections = converse(line, "show servers state", "show servers conn")
        (server,) = parse_servers(states, connections)
        assert (server.maintenance, server.drain, server.weight) == state, line
