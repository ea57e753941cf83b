"""Runs inside the node's container: two pods and a client around the real kernel, the node's own modules in between.

Prints what became of each connection as one JSON object. The client's namespace stands for a machine of the nodes' network.
"""

import asyncio
import contextlib
import ctypes
import errno
import http.client
import json
import re
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from nodeagent.kubelet.network import BRIDGE, NodeNetwork
from nodeagent.kubelet.nginx import render_nginx
from nodeagent.proxy.iptables.writer import IptablesRules, IptablesTools
from nodeagent.proxy.local_pods import MODES, LocalPods, detect_local
from nodeagent.proxy.nftables import Nftables, NftablesRules
from nodeagent.proxy.node_ports import NodePortAddresses
from nodeagent.proxy.rules import RulesError
from nodeagent.proxy.ruleset import Network
from nodeagent.proxy.services import read_service_ports

NODE, NODE_IP, CLIENT = "node-1", "10.100.0.2", "10.100.0.9"
POD_CIDR = IPv4Network("10.0.1.0/24")
BRIDGE_IP = "10.0.1.1"
NETWORK = Network(
    node_ip=NODE_IP, local_pods=LocalPods(cidr="10.0.0.0/16"), service_cidr="10.3.240.0/20", node_port_ips=(NODE_IP,)
)
PODS = {"pod-a": "10.0.1.2", "pod-b": "10.0.1.3"}
POD_IPS = frozenset(PODS.values())
OTHER_NODE_IP, ELSEWHERE = "10.100.0.3", "10.0.2.2"
EXTERNAL_IP, LOAD_BALANCER_IP = "198.18.0.130", "198.18.0.131"
CLUSTER_IP, PORT, NODE_PORT, TARGET_PORT = "10.3.241.152", 80, 32213, 8080
ZONE = "zone-a"
TIMEOUT_S = 0.5
LOCAL = {"externalTrafficPolicy": "Local"}
NODE_PORT_ADDRESSES = {
    "the primary address": None,
    "every address": (IPv4Network("0.0.0.0/0"),),
    "a network of pods": (POD_CIDR,),
    "networks of nodes and loopback": (IPv4Network("10.100.0.0/24"), IPv4Network("127.0.0.0/8")),
}
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

    def __init__(self, mode):
        self.mode = mode
        self.network = replace(NETWORK, node_port_ips=None) if mode == "iptables" else NETWORK
        self.start()

    def start(self):
        """A new life of the agent, which knows nothing of what an earlier one wrote."""
        if self.mode == "iptables":
            self.writer = IptablesRules(self.network, IptablesTools())
        else:
            self.writer = NftablesRules(self.network, Nftables())

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
        self.writer.sync(self.ports)

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


def observe(mode):
    """What is seen, by name; the tests hold it against what Kubernetes says."""
    rules = Rules(mode)
    seen = {"bridged packets are tracked": Path("/proc/sys/net/bridge/bridge-nf-call-iptables").exists()}
    pod_a, pod_b = PODS.values()

    rules.become(pod_a, pod_b)
    seen["cluster IP from a client"] = visit_until(2, "client", CLUSTER_IP, PORT)
    seen["cluster IP from a pod"] = visit_until(2, "pod-a", CLUSTER_IP, PORT)
    seen["cluster IP from the node"] = visit_until(2, None, CLUSTER_IP, PORT)
    seen["node port"] = visit_until(2, "client", NODE_IP, NODE_PORT)
    seen["node port from a pod"] = visit_until(2, "pod-a", NODE_IP, NODE_PORT)
    seen["node port from the node"] = visit_until(2, None, NODE_IP, NODE_PORT)
    seen["service port at the node's address"] = visit("client", NODE_IP, PORT)
    seen["node port at the bridge's address"] = visit("client", BRIDGE_IP, NODE_PORT)
    seen["unknown port at the cluster IP"] = visit("client", CLUSTER_IP, 81)
    seen["address that no service has"] = visit("client", "10.3.241.1", PORT)
    seen["datagram to an address that no service has from the node"] = send_datagram(None, "10.3.241.1", PORT)

    rules.become(pod_a)
    with contextlib.closing(open_connection("client", NODE_IP, NODE_PORT)) as connection:
        before = ask(connection)
        rules.become(pod_b)
        seen["established over a change"] = [before, ask(connection), visit("client", NODE_IP, NODE_PORT)]
        rules.become()
        seen["established without endpoints"] = ask(connection)
    seen["node port without endpoints"] = visit("client", NODE_IP, NODE_PORT)
    seen["cluster IP without endpoints"] = visit("pod-a", CLUSTER_IP, PORT)

    observe_policies(rules, seen)
    observe_conditions(rules, seen)
    observe_affinity(rules, seen)
    observe_addresses(rules, seen)
    observe_settings(rules, seen)
    observe_repair(rules, seen)
    return seen


def observe_policies(rules, seen):
    pod_a, pod_b = PODS.values()
    rules.become(ELSEWHERE)
    seen["node port of a pod elsewhere"] = visit("client", NODE_IP, NODE_PORT)
    rules.become(pod_a, pod_b, ELSEWHERE, **LOCAL)
    seen["policy Local"] = visit_until(2, "client", NODE_IP, NODE_PORT)
    flows = [flow for flow in read_flows("tcp", NODE_IP, NODE_PORT) if flow.source == CLIENT]
    seen["ports of masqueraded connections"] = [[item.port, item.reply_port] for item in flows if item.reply_to != CLIENT]
    seen["ports of connections that keep their source"] = [[i.port, i.reply_port] for i in flows if i.reply_to == CLIENT]
    rules.become(ELSEWHERE, **LOCAL)
    seen["policy Local without local endpoints"] = visit("client", NODE_IP, NODE_PORT)
    seen["policy Local without local endpoints from a pod"] = visit("pod-a", NODE_IP, NODE_PORT)
    seen["policy Local without local endpoints from the node"] = visit(None, NODE_IP, NODE_PORT)
    seen["policy Local without local endpoints at the cluster IP"] = visit("pod-a", CLUSTER_IP, PORT)
    seen["pod that reaches itself through another node"] = visit("client", NODE_IP, NODE_PORT, ELSEWHERE)
    rules.become(**LOCAL)
    seen["policy Local without endpoints"] = visit("client", NODE_IP, NODE_PORT)
    rules.become(pod_a, ELSEWHERE, internalTrafficPolicy="Local")
    seen["internal policy Local"] = visit_until(2, "pod-b", CLUSTER_IP, PORT)
    seen["internal policy Local at the node port"] = visit_until(2, "client", NODE_IP, NODE_PORT)
    rules.become(ELSEWHERE, internalTrafficPolicy="Local")
    seen["internal policy Local without local endpoints"] = visit("pod-a", CLUSTER_IP, PORT)
    rules.become(internalTrafficPolicy="Local")
    seen["internal policy Local without endpoints"] = visit("pod-a", CLUSTER_IP, PORT)
    rules.become(protocol="UDP")
    seen["datagram to a service without endpoints"] = send_datagram("client", NODE_IP, NODE_PORT)
    seen["datagram to a service without endpoints from the node"] = send_datagram(None, CLUSTER_IP, PORT)


def observe_conditions(rules, seen):
    pod_a, pod_b = PODS.values()
    leaving = {"ready": False, "serving": True, "terminating": True}
    unready = {"ready": False, "serving": False, "terminating": False}
    rules.become(pod_a, pod_b, conditions={pod_a: leaving})
    seen["one ready and one leaving"] = visit_until(2, "client", NODE_IP, NODE_PORT)
    rules.become(pod_a, pod_b, conditions={pod_a: leaving, pod_b: unready})
    seen["one leaving and one not ready"] = visit_until(2, "client", NODE_IP, NODE_PORT)
    rules.become(pod_a, conditions={pod_a: unready})
    seen["one not ready"] = visit("client", NODE_IP, NODE_PORT)
    rules.become(pod_a, ELSEWHERE, conditions={pod_a: leaving}, **LOCAL)
    seen["policy Local, one leaving here and one ready elsewhere"] = visit_until(2, "client", NODE_IP, NODE_PORT)
    rules.become(pod_a, pod_b, zones={pod_a: ZONE, pod_b: "zone-b"})
    seen["one meant for the zone"] = visit_until(2, "client", NODE_IP, NODE_PORT)
    rules.become(pod_a, pod_b, zones={pod_a: "zone-c", pod_b: "zone-b"})
    seen["none meant for the zone"] = visit_until(2, "client", NODE_IP, NODE_PORT)


def observe_affinity(rules, seen):
    pod_a, pod_b = PODS.values()

    def stay(seconds, *endpoints):
        config = {"clientIP": {"timeoutSeconds": seconds}}
        rules.become(*endpoints, sessionAffinity="ClientIP", sessionAffinityConfig=config)

    def visit_here():
        return visit("client", NODE_IP, NODE_PORT)

    for seconds in (60, 30):
        stay(seconds, pod_a, pod_b)
        seen[f"affinity of {seconds} s"] = sorted({visit_here() for _ in range(20)})
    stays_with = pod_a if visit_here().startswith("pod-a") else pod_b
    other = pod_b if stays_with == pod_a else pod_a
    stay(30, other)
    moved = visit_here()
    stay(30, pod_a, pod_b)
    seen["affinity to an endpoint that went"] = [moved] + [visit_here() for _ in range(8)]
    seen["other endpoint"] = f"{'pod-a' if other == pod_a else 'pod-b'} {BRIDGE_IP}"
    observe_affinity_of_ports(rules, seen)
    # A new connection refreshes the timer.
    stay(1, pod_a, pod_b)
    refreshed = [visit_here()]
    for _ in range(6):
        time.sleep(0.6)
        refreshed.append(visit_here())
    seen["affinity of 1 s, asked every 0.6 s"] = sorted(set(refreshed))
    # An old one does not: while it is used, the other endpoint is chosen sooner or later.
    seen["affinity of 1 s, one connection in use"] = False
    for _ in range(20):
        with contextlib.closing(open_connection("client", NODE_IP, NODE_PORT)) as connection:
            before = ask(connection)
            for _ in range(4):
                time.sleep(0.35)
                ask(connection)
            if visit_here() != before:
                seen["affinity of 1 s, one connection in use"] = True
                break


def observe_affinity_of_ports(rules, seen):
    """Two ports of one service: sooner or later a client that has been to neither gets another endpoint at each."""
    pods, numbers = PODS.values(), (0, 1)
    ports = [
        {"name": f"http-{number}", "port": PORT + number, "nodePort": NODE_PORT + number, "protocol": "TCP"} for number in numbers
    ]
    for _ in range(64):
        rules.become(*pods, ports=ports)  # takes the memory away
        rules.become(*pods, ports=ports, sessionAffinity="ClientIP")
        first = [visit("client", NODE_IP, NODE_PORT + number) for number in numbers]
        if first[0] != first[1]:
            break
    again = [[visit("client", NODE_IP, NODE_PORT + number) for number in numbers] for _ in range(4)]
    seen["affinity of two ports"] = [first, *again, [visit("client", CLUSTER_IP, PORT + number) for number in numbers]]


def observe_addresses(rules, seen):
    pod_a = PODS["pod-a"]
    balanced = {"status": {"loadBalancer": {"ingress": [{"ip": LOAD_BALANCER_IP}]}}, **LOCAL}
    rules.become(pod_a, loadBalancerSourceRanges=["10.100.0.0/24"], externalIPs=[EXTERNAL_IP], **balanced)
    seen["load balancer IP"] = visit("client", LOAD_BALANCER_IP, PORT)
    seen["external IP"] = visit("client", EXTERNAL_IP, PORT)
    rules.become(pod_a, loadBalancerSourceRanges=["10.100.1.0/24"], externalIPs=[EXTERNAL_IP], **balanced)
    seen["load balancer IP for others only"] = visit("client", LOAD_BALANCER_IP, PORT)
    seen["external IP beside source ranges"] = visit("client", EXTERNAL_IP, PORT)


def observe_settings(rules, seen):
    """Who is taken for a pod, and where node ports are."""
    pod_a = PODS["pod-a"]
    usual = rules.network
    for mode in MODES:
        rules.know(local_pods=detect_local(mode, cluster_cidr="10.0.0.0/16", node_cidr=str(POD_CIDR), bridge=BRIDGE))
        seen[f"detect-local {mode}"] = ways_to_the_cluster_ip(rules)
    rules.know(local_pods=usual.local_pods, masquerade_all=True)
    seen["masquerade-all"] = ways_to_the_cluster_ip(rules)
    for where, networks in NODE_PORT_ADDRESSES.items():
        addresses = NodePortAddresses(node_ip=NODE_IP, networks=networks)
        rules.know(masquerade_all=False, node_port_ips=addresses.now())
        rules.become(pod_a)
        places = {address: visit("client", address, NODE_PORT) for address in (NODE_IP, BRIDGE_IP)}
        seen[f"node ports at {where}"] = [*places.values(), visit(None, "127.0.0.1", NODE_PORT)]
    rules.know(**{name: getattr(usual, name) for name in ("local_pods", "masquerade_all", "node_port_ips")})


def ways_to_the_cluster_ip(rules):
    pod_a = PODS["pod-a"]
    rules.become(ELSEWHERE)
    from_pod = visit("pod-a", CLUSTER_IP, PORT)
    rules.become(pod_a)
    return {
        "pod": from_pod,
        "pod elsewhere": visit("client", CLUSTER_IP, PORT, ELSEWHERE),
        "client": visit("client", CLUSTER_IP, PORT),
        "node": visit(None, CLUSTER_IP, PORT),
    }


def observe_repair(rules, seen):
    pod_a, pod_b = PODS.values()
    balanced = {"status": {"loadBalancer": {"ingress": [{"ip": LOAD_BALANCER_IP}]}}, **LOCAL}
    rules.become(pod_a, pod_b, externalIPs=[EXTERNAL_IP], loadBalancerSourceRanges=["10.0.0.0/8", "10.1.0.0/16"], **balanced)
    changed = rules.contents()
    rules.start_over()
    seen["contents after every change"], seen["contents afresh"] = changed, rules.contents()
    if rules.mode == "iptables":
        seen["intact before the damage"] = rules.writer.is_intact()
        rules.flush()
        seen["intact after the damage"] = rules.writer.is_intact()
        rules.writer.sync(rules.ports)
        seen["contents after the damage"] = rules.contents()
        return
    run("nft", "delete", "table", "ip", "kube-proxy")
    rules.writer.sync(rules.ports)
    states = [is_table_there()]
    for endpoints in ((pod_a,), (pod_a, pod_b)):
        try:
            rules.become(
                *endpoints, externalIPs=[EXTERNAL_IP], loadBalancerSourceRanges=["10.0.0.0/8", "10.1.0.0/16"], **balanced
            )
        except RulesError:
            states.append("failed")
        states.append(is_table_there())
    seen["table that somebody deleted"], seen["contents after the damage"] = states, rules.contents()


def is_table_there():
    return subprocess.run(["nft", "list", "table", "ip", "kube-proxy"], capture_output=True, timeout=10).returncode == 0


if __name__ == "__main__":
    asyncio.run(build())
    sys.stdout.write(json.dumps(observe(sys.argv[1])))
