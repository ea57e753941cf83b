"""For programs inside the node's container: two pods and a client around the real kernel, the node's own modules in between.

The client's namespace stands for a machine of the nodes' network.
"""

import contextlib
import ctypes
import errno
import http.client
import json
import re
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from nodeagent.kubelet.network import NodeNetwork
from nodeagent.kubelet.nginx import render_nginx
from nodeagent.proxy.iptables.tools import IptablesTools
from nodeagent.proxy.iptables.writer import IptablesRules
from nodeagent.proxy.local_pods import LocalPods
from nodeagent.proxy.network import Network
from nodeagent.proxy.nftables import Nftables, NftablesRules
from nodeagent.proxy.services import read_service_ports

NODE, NODE_IP, CLIENT = "node-1", "10.100.0.2", "10.100.0.9"
POD_CIDR = IPv4Network("10.0.1.0/24")
BRIDGE_IP = "10.0.1.1"
NETWORK = Network(
    node_ip=NODE_IP, local_pods=LocalPods(cidr="10.0.0.0/16"), service_cidr="10.3.240.0/20", node_port_ips=(NODE_IP,)
)
PODS = {"pod-a": "10.0.1.2", "pod-b": "10.0.1.3"}
POD_IPS = frozenset(PODS.values())
SECOND_NODE, SECOND_NODE_IP = "second-node", "10.100.3.3"
OTHER_NODE_IP, ELSEWHERE = "10.100.0.3", "10.0.2.2"
EXTERNAL_IP, LOAD_BALANCER_IP = "198.18.0.130", "198.18.0.131"
CLUSTER_IP, PORT, NODE_PORT, TARGET_PORT = "10.3.241.152", 80, 32213, 8080
ZONE = "zone-a"
TIMEOUT_S = 0.5
LOCAL = {"externalTrafficPolicy": "Local"}
CLONE_NEWNET = 0x40000000


def run(*argv):
    subprocess.run(argv, check=True, timeout=10)


def serve(pod, address, *, namespace):
    directory = Path("/run/lab") / pod
    directory.mkdir(parents=True)
    text = render_nginx(pod=pod, node=NODE, pod_ip=address, ports=(TARGET_PORT,), directory=str(directory))
    (directory / "nginx.conf").write_text(text)
    run("nsenter", f"--net=/run/netns/{namespace}", "nginx", "-e", "stderr", "-c", str(directory / "nginx.conf"))


async def build():
    network = NodeNetwork()
    await network.make_bridge(POD_CIDR)
    for number, (name, address) in enumerate(PODS.items()):
        await network.make_pod(name, f"veth{number}", IPv4Address(address), POD_CIDR)
        serve(name, address, namespace=name)
    run("ip", "netns", "add", "client")
    run("ip", "link", "add", "nodes0", "type", "veth", "peer", "name", "eth0", "netns", "client")
    run("ip", "address", "add", f"{NODE_IP}/24", "dev", "nodes0")
    run("ip", "link", "set", "nodes0", "up")
    run("ip", "-n", "client", "address", "add", f"{CLIENT}/24", "dev", "eth0")
    run("ip", "-n", "client", "link", "set", "eth0", "up")
    run("ip", "-n", "client", "route", "add", "default", "via", NODE_IP)
    # The client's machine is the other node too, with a pod in its own namespace.
    run("ip", "-n", "client", "link", "set", "lo", "up")
    run("ip", "-n", "client", "address", "add", f"{OTHER_NODE_IP}/24", "dev", "eth0")
    run("ip", "-n", "client", "address", "add", f"{ELSEWHERE}/32", "dev", "eth0")
    serve("pod-elsewhere", ELSEWHERE, namespace="client")
    run("ip", "route", "add", "10.0.2.0/24", "via", OTHER_NODE_IP)
    # The router, where nobody answers: only packets that the rules leave alone go there.
    run("ip", "route", "add", "default", "via", "10.100.0.1")


def add_node():
    """A second node, in a namespace of its own behind the first one, which is the way to it and to the pods from it."""
    run("ip", "netns", "add", SECOND_NODE)
    run("ip", "link", "add", "second0", "type", "veth", "peer", "name", "eth0", "netns", SECOND_NODE)
    run("ip", "address", "add", "10.100.3.2/24", "dev", "second0")
    run("ip", "link", "set", "second0", "up")
    run("ip", "-n", SECOND_NODE, "address", "add", f"{SECOND_NODE_IP}/24", "dev", "eth0")
    run("ip", "-n", SECOND_NODE, "link", "set", "eth0", "up")
    run("ip", "-n", SECOND_NODE, "route", "add", "default", "via", "10.100.3.2")


def inside(namespace, act):
    """What `act` returns in that network namespace (setns(2) is a thread's own matter); None: the node's."""
    if namespace is None:
        return act()

    def enter():
        libc = ctypes.CDLL(None, use_errno=True)
        with Path(f"/run/netns/{namespace}").open("rb") as file:
            if libc.setns(file.fileno(), CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "setns")
        return act()

    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(enter).result()


def open_connection(namespace, address, port, source=None):
    """A connection stays in the namespace where it was made."""

    def act():
        own = None if source is None else (source, 0)
        connection = http.client.HTTPConnection(address, port, timeout=TIMEOUT_S, source_address=own)
        connection.connect()
        return connection

    return inside(namespace, act)


def ask(connection):
    """`pod client`, as the pod answers."""
    connection.request("GET", "/")
    answer = json.loads(connection.getresponse().read())
    return f"{answer['pod']} {answer['client']}"


def send_datagram(namespace, address, port):
    """How a datagram that is not let through fails: as it is sent, or when the sender next listens."""

    def act():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.settimeout(TIMEOUT_S)
            sender.connect((address, port))
            try:
                sender.send(b"x")
            except OSError as error:
                return f"not sent: {errno.errorcode[error.errno]}"
            try:
                sender.recv(1)
            except TimeoutError:
                return "timed out"
            except OSError as error:
                return errno.errorcode[error.errno]
            return "answered"

    return inside(namespace, act)


def visit(namespace, address, port, source=None):
    """One new connection: the answer, or how it failed."""
    try:
        with contextlib.closing(open_connection(namespace, address, port, source)) as connection:
            return ask(connection)
    except TimeoutError:
        return "timed out"
    except OSError as error:
        return errno.errorcode[error.errno]


def visit_until(enough, namespace, address, port):
    """All different answers, sorted, of up to 64 connections; fewer when there are enough: each of two is missed with 2^-63."""
    answers = set()
    for _ in range(64):
        answers.add(visit(namespace, address, port))
        if len(answers) >= enough:
            break
    return sorted(answers)


@dataclass(frozen=True)
class TrackedFlow:
    """Both directions of an entry of the kernel's table: who asked from which port, who answers, and to which port."""

    source: str
    port: int
    reply_source: str
    reply_to: str
    reply_port: int


def read_flows(protocol, destination, port):
    """What conntrack(8) lists of those that were sent there."""
    argv = ["conntrack", "-L", "-p", protocol, "-d", destination, "--dport", str(port)]
    listed = subprocess.run(argv, check=True, capture_output=True, text=True, timeout=10).stdout
    ends = [re.findall(r"\b(src|dst|sport|dport)=(\S+)", line) for line in listed.splitlines()]
    halves = [(dict(found[:4]), dict(found[4:])) for found in ends]
    return [
        TrackedFlow(there["src"], int(there["sport"]), back["src"], back["dst"], int(back["dport"])) for there, back in halves
    ]


class Rules:
    """The kernel's rules, taken from state to state as the agent does it."""

    def __init__(self, mode, *, namespace=None, node_ip=NODE_IP):
        self.mode = mode
        self.namespace = namespace
        self.network = replace(NETWORK, node_ip=node_ip, node_port_ips=None if mode == "iptables" else (node_ip,))
        self.start()

    def start(self):
        """A new life of the agent, which knows nothing of what an earlier one wrote."""
        if self.mode == "iptables":
            self.writer = IptablesRules(self.network, IptablesTools())
        else:
            self.writer = NftablesRules(self.network, inside(self.namespace, Nftables))

    def know(self, **network):
        """A new life with other settings."""
        self.network = replace(self.network, **network)
        self.start()

    def become(self, *endpoints, status=None, conditions=None, zones=None, protocol="TCP", **spec):
        """`conditions` and `zones` by endpoint; without, it is ready and has no hint."""
        ports = [{"name": "http", "port": PORT, "nodePort": NODE_PORT, "protocol": protocol}]
        spec = {"clusterIP": CLUSTER_IP, "ports": ports, **spec}
        service = {"metadata": {"name": "web", "namespace": "default"}, "spec": spec, "status": status or {}}
        parts = {
            "metadata": {"name": "web-x", "namespace": "default", "labels": {"kubernetes.io/service-name": "web"}},
            "addressType": "IPv4",
            "ports": [{"name": port["name"], "port": TARGET_PORT, "protocol": protocol} for port in spec["ports"]],
            "endpoints": [
                {
                    "addresses": [ip],
                    "nodeName": NODE if ip in POD_IPS else "node-2",
                    "conditions": (conditions or {}).get(ip, {"ready": True}),
                    "hints": {"forZones": [{"name": zones[ip]}]} if zones else None,
                }
                for ip in endpoints
            ],
        }
        self.ports = read_service_ports([service], [parts], NODE, ZONE)
        inside(self.namespace, lambda: self.writer.sync(self.ports))

    def contents(self):
        """Rules by chain and elements by map and set, without what numbers and order tell of their history."""
        return self._saved() if self.mode == "iptables" else self._listed()

    @staticmethod
    def _saved():
        text = "".join(IptablesTools().save().values())
        found = {line.split()[0][1:]: [] for line in text.splitlines() if line.startswith(":KUBE-")}
        for line in text.splitlines():
            if line.startswith("-A "):
                _, chain, rule = line.split(" ", 2)
                found.setdefault(chain, []).append(rule)
        return found

    @staticmethod
    def _listed():
        argv = ["nft", "--json", "list", "table", "ip", "kube-proxy"]
        listed = json.loads(subprocess.run(argv, check=True, capture_output=True, timeout=10).stdout)["nftables"]
        found = {}
        for item in listed:
            (kind, value), *_ = item.items()
            if kind == "rule":
                found.setdefault(f"chain {value['chain']}", []).append(value["expr"])
            elif kind in ("chain", "map", "set"):
                elements = sorted(json.dumps(element) for element in value.get("elem", ()))
                found.setdefault(f"{kind} {value['name']}", []).extend(elements)
        return found

    def start_over(self):
        self.start()
        self.writer.sync(self.ports)

    def flush(self):
        """What an administrator does who forgets whose rules these are."""
        for table in ("filter", "nat"):
            run("iptables", "-t", table, "-F")
            run("iptables", "-t", table, "-X")
