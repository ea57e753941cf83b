"""Nothing of a testbed leaves its bridges, and nothing of the host is shadowed. With real packets and the kernel's counters."""

import json
from collections.abc import Iterator, Sequence

import pytest

from orchestrator.errors import CommandError
from orchestrator.model.plan import NetworkName
from orchestrator.render.guard import bridge_name, guard_table
from orchestrator.testbed.commands import Capture, RunningCommand
from orchestrator.testbed.labels import ROLE, RUN
from orchestrator.testbed.world import Testbed
from tests.integration.testbed_lab import bare_testbed

pytestmark = pytest.mark.integration

ELSEWHERE = "203.0.113.77"
"""TEST-NET-3 (RFC 5737): nobody is there."""


class Lab:
    """A testbed, and its warden as a window to the host."""

    def __init__(self, testbed: Testbed) -> None:
        self.testbed = testbed
        self.claim = testbed._claim
        self.run_id = self.claim.run.run_id
        wardens = self.claim.engine.containers({RUN: self.run_id, ROLE: "warden"})
        self._warden = wardens[0].id

    def on_host(self, *argv: str) -> str:
        capture = Capture()
        RunningCommand(
            "warden",
            argv,
            self.claim.engine.execute(self._warden, argv),
            capture.take,
            clock=self.testbed.clock,
            stop=self.claim.stop,
        ).wait(20)
        return capture.stdout

    def inside(self, container: str, *argv: str) -> str:
        return self.testbed.execute(container, argv, deadline_s=20)

    def address(self, container: str) -> str:
        return str(self.testbed.plan.container(container).address)

    def bridge(self, network: NetworkName) -> str:
        return bridge_name(self.run_id, network)

    def guard_drops(self, chain: str) -> int:
        listing = json.loads(self.on_host("nft", "-j", "list", "chain", "inet", guard_table(self.run_id), chain))
        rules = [item["rule"]["expr"] for item in listing["nftables"] if "rule" in item]
        return sum(part["counter"]["packets"] for rule in rules for part in rule if "counter" in part)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with bare_testbed(tmp_path_factory.mktemp("run")) as testbed:
        yield Lab(testbed)


@pytest.fixture
def uplink(lab: Lab) -> Iterator["Uplink"]:
    counters = Uplink(lab)
    yield counters
    counters.close()


class Uplink:
    """Counts what comes from the testbed's addresses out of any interface of the host that is not the testbed's."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._table = f"itb_test_{lab.run_id}"
        subnets = ", ".join(str(network.subnet) for network in lab.testbed.plan.networks)
        bridges = ", ".join(f'"{lab.bridge(name)}"' for name in NetworkName)
        chain = "{ type filter hook postrouting priority 400; }"
        lab.on_host("nft", "add", "table", "ip", self._table)
        lab.on_host("nft", "add", "chain", "ip", self._table, "out", chain)
        for match in (f"saddr {{ {subnets} }}", f"daddr {ELSEWHERE}"):
            # Bridged packets pass this hook too (br_netfilter), with their bridge as the outgoing interface.
            lab.on_host("nft", f"add rule ip {self._table} out ip {match} oifname != {{ {bridges} }} counter")

    def packets(self) -> int:
        listing = json.loads(self._lab.on_host("nft", "-j", "list", "table", "ip", self._table))
        rules = [item["rule"]["expr"] for item in listing["nftables"] if "rule" in item]
        return sum(part["counter"]["packets"] for rule in rules for part in rule if "counter" in part)

    def close(self) -> None:
        self._lab.on_host("nft", "delete", "table", "ip", self._table)


CONNECT = """
import socket, sys
try:
    socket.create_connection((sys.argv[1], 9), timeout=1)
except OSError as error:
    print(type(error).__name__)
"""
SEND = """
import socket, sys
stream = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for _ in range(3):
    try:
        stream.sendto(b"x", (sys.argv[1], 9))
    except OSError as error:
        print(type(error).__name__)
"""


def connecting(address: str) -> Sequence[str]:
    """Prints ConnectionRefusedError when the address answers (nobody listens on the discard port), TimeoutError when not."""
    return "python3", "-c", CONNECT, address


def sending(address: str) -> Sequence[str]:
    """Three datagrams; prints PermissionError for each that the own machine's rules dropped."""
    return "python3", "-c", SEND, address


@pytest.mark.parametrize("source", ["client", "loadbalancer"])
@pytest.mark.parametrize("target", ["node-1", "node-3", "controlplane"])
def test_client_and_node_networks_reach_each_other_through_the_gateway(lab: Lab, source: str, target: str) -> None:
    assert lab.inside(source, *connecting(lab.address(target))) == "ConnectionRefusedError\n"


def test_the_host_has_no_route_to_client_and_node_networks(lab: Lab) -> None:
    routes = [route["dst"] for route in json.loads(lab.on_host("ip", "-json", "-4", "route", "show", "table", "all"))]
    ours = {str(network.subnet) for network in lab.testbed.plan.networks}
    assert ours & set(routes) == {str(lab.testbed.plan.network(NetworkName.MGMT).subnet)}


def test_what_is_sent_elsewhere_ends_in_the_gateway(lab: Lab, uplink: Uplink) -> None:
    for container in ("client", "node-2", "loadbalancer", "controlplane", "gateway"):
        lab.inside(container, *sending(ELSEWHERE))
    assert uplink.packets() == 0


@pytest.mark.parametrize(
    ("container", "network"),
    [("client", NetworkName.CLIENTS), ("node-1", NetworkName.NODES), ("controlplane", NetworkName.MGMT)],
)
def test_frames_aimed_at_the_bridge_itself_are_dropped_by_the_guard(
    lab: Lab, uplink: Uplink, container: str, network: NetworkName
) -> None:
    """The host would forward them: their destination is its own MAC address."""
    mac = json.loads(lab.on_host("ip", "-json", "link", "show", "dev", lab.bridge(network)))[0]["address"]
    router = str(lab.testbed.plan.network(network).router)
    device = json.loads(lab.inside(container, "ip", "-json", "route", "get", router))[0]["dev"]
    before = lab.guard_drops("forward")
    lab.inside(container, "ip", "neigh", "replace", router, "lladdr", mac, "dev", device)
    lab.inside(container, "ip", "route", "replace", f"{ELSEWHERE}/32", "via", router, "dev", device)
    assert lab.inside(container, *sending(ELSEWHERE)) == ""
    lab.inside(container, "ip", "route", "del", f"{ELSEWHERE}/32")
    assert uplink.packets() == 0
    assert lab.guard_drops("forward") >= before + 3


def test_a_container_cannot_talk_to_the_host(lab: Lab) -> None:
    before = lab.guard_drops("input")
    router = str(lab.testbed.plan.network(NetworkName.MGMT).router)
    assert lab.inside("controlplane", *connecting(router)) == "TimeoutError\n"
    assert lab.guard_drops("input") > before


def test_the_host_reaches_the_published_port_alone(lab: Lab) -> None:
    controlplane = lab.testbed.plan.container("controlplane")
    mgmt = next(str(item.address) for item in controlplane.attachments if item.network is NetworkName.MGMT)
    before = lab.guard_drops("output")
    assert set(lab.on_host(*sending(mgmt)).split()) == {"PermissionError"}
    assert lab.guard_drops("output") > before


def test_every_container_has_its_planned_addresses_and_no_other_way_out(lab: Lab) -> None:
    for plan in lab.testbed.plan.containers:
        if not plan.at_bring_up:
            continue
        addresses = json.loads(lab.inside(plan.name, "ip", "-json", "-4", "addr", "show", "scope", "global"))
        found = {info["local"] for link in addresses for info in link["addr_info"]}
        assert found == {str(item.address) for item in plan.attachments}, plan.name
        routes = json.loads(lab.inside(plan.name, "ip", "-json", "-4", "route", "show", "default"))
        gateways = [route["gateway"] for route in routes]
        assert gateways == ([] if plan.name == "gateway" else [plan.config["default_via"]]), plan.name


def test_no_container_finds_a_name_server(lab: Lab) -> None:
    for container in ("client", "node-1"):
        servers = [
            line for line in lab.inside(container, "cat", "/etc/resolv.conf").splitlines() if line.startswith("nameserver")
        ]
        assert servers in (["nameserver 127.0.0.1"], ["nameserver 127.0.0.11"]), container
        with pytest.raises(CommandError):
            lab.inside(container, "env", "RES_OPTIONS=timeout:1 attempts:1", "getent", "hosts", "example.test")


def test_capabilities_are_those_of_the_compose_file(lab: Lab) -> None:
    status = lab.inside("client", "cat", "/proc/1/status")
    bounding = next(int(line.split()[1], 16) for line in status.splitlines() if line.startswith("CapBnd"))
    assert bounding == 1 << 5 | 1 << 12 | 1 << 13  # CAP_KILL, CAP_NET_ADMIN, CAP_NET_RAW (capability.h)
