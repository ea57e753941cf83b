"""Runs inside the node's container: two pods and a client around the real kernel, the node's own modules in between.

Prints what became of each connection as one JSON object. The client's namespace stands for a machine of the nodes' network.
"""

import asyncio
import contextlib
import ctypes
import errno
import http.client
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from nodeagent.kubelet.network import NodeNetwork
from nodeagent.kubelet.nginx import render_nginx
from nodeagent.proxy.iptables.writer import IptablesRules, IptablesTools
from nodeagent.proxy.nftables import Nftables, NftablesRules
from nodeagent.proxy.ruleset import Network
from nodeagent.proxy.services import read_service_ports

NODE, NODE_IP, CLIENT = "node-1", "10.100.0.2", "10.100.0.9"
POD_CIDR = IPv4Network("10.0.1.0/24")
BRIDGE_IP = "10.0.1.1"
NETWORK = Network(node_ip=NODE_IP, cluster_cidr="10.0.0.0/16", service_cidr="10.3.240.0/20")
PODS = {"pod-a": "10.0.1.2", "pod-b": "10.0.1.3"}
POD_IPS = frozenset(PODS.values())
ELSEWHERE = "10.0.2.2"
EXTERNAL_IP, LOAD_BALANCER_IP = "198.18.0.130", "198.18.0.131"
CLUSTER_IP, PORT, NODE_PORT, TARGET_PORT = "10.3.241.152", 80, 32213, 8080
TIMEOUT_S = 0.5
CLONE_NEWNET = 0x40000000


def run(*argv):
    subprocess.run(argv, check=True, timeout=10)


async def build():
    network = NodeNetwork()
    await network.make_bridge(POD_CIDR)
    for number, (name, address) in enumerate(PODS.items()):
        await network.make_pod(name, f"veth{number}", IPv4Address(address), POD_CIDR)
        directory = Path("/run/lab") / name
        directory.mkdir(parents=True)
        text = render_nginx(pod=name, node=NODE, pod_ip=address, ports=(TARGET_PORT,), directory=str(directory))
        (directory / "nginx.conf").write_text(text)
        run("nsenter", f"--net=/run/netns/{name}", "nginx", "-e", "stderr", "-c", str(directory / "nginx.conf"))
    run("ip", "netns", "add", "client")
    run("ip", "link", "add", "nodes0", "type", "veth", "peer", "name", "eth0", "netns", "client")
    run("ip", "address", "add", f"{NODE_IP}/24", "dev", "nodes0")
    run("ip", "link", "set", "nodes0", "up")
    run("ip", "-n", "client", "address", "add", f"{CLIENT}/24", "dev", "eth0")
    run("ip", "-n", "client", "link", "set", "eth0", "up")
    run("ip", "-n", "client", "route", "add", "default", "via", NODE_IP)
    # The other node and the router, where nobody answers: only packets that the rules leave alone go there.
    run("ip", "route", "add", "10.0.2.0/24", "via", "10.100.0.3")
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


def open_connection(namespace, address, port):
    """A connection stays in the namespace where it was made."""

    def act():
        connection = http.client.HTTPConnection(address, port, timeout=TIMEOUT_S)
        connection.connect()
        return connection

    return inside(namespace, act)


def ask(connection):
    """`pod client`, as the pod answers."""
    connection.request("GET", "/")
    answer = json.loads(connection.getresponse().read())
    return f"{answer['pod']} {answer['client']}"


def visit(namespace, address, port):
    """One new connection: the answer, or how it failed."""
    try:
        with contextlib.closing(open_connection(namespace, address, port)) as connection:
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


class Rules:
    """The kernel's rules, taken from state to state as the agent does it."""

    def __init__(self, mode):
        self.mode = mode
        self.start()

    def start(self):
        """A new life of the agent, which knows nothing of what an earlier one wrote."""
        self.writer = IptablesRules(NETWORK, IptablesTools()) if self.mode == "iptables" else NftablesRules(NETWORK, Nftables())

    def become(self, *endpoints, status=None, **spec):
        ports = [{"name": "http", "port": PORT, "nodePort": NODE_PORT}]
        spec = {"clusterIP": CLUSTER_IP, "ports": ports, **spec}
        service = {"metadata": {"name": "web", "namespace": "default"}, "spec": spec, "status": status or {}}
        parts = {
            "metadata": {"name": "web-x", "namespace": "default", "labels": {"kubernetes.io/service-name": "web"}},
            "addressType": "IPv4",
            "ports": [{"name": "http", "port": TARGET_PORT}],
            "endpoints": [{"addresses": [ip], "nodeName": NODE if ip in POD_IPS else "node-2"} for ip in endpoints],
        }
        self.ports = read_service_ports([service], [parts], NODE)
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

    rules.become(pod_a)
    with contextlib.closing(open_connection("client", NODE_IP, NODE_PORT)) as connection:
        before = ask(connection)
        rules.become(pod_b)
        seen["established over a change"] = [before, ask(connection), visit("client", NODE_IP, NODE_PORT)]
        rules.become()
        seen["established without endpoints"] = ask(connection)
    seen["node port without endpoints"] = visit("client", NODE_IP, NODE_PORT)
    seen["cluster IP without endpoints"] = visit("pod-a", CLUSTER_IP, PORT)

    local = {"externalTrafficPolicy": "Local"}
    rules.become(pod_a, pod_b, ELSEWHERE, **local)
    seen["policy Local"] = visit_until(2, "client", NODE_IP, NODE_PORT)
    rules.become(ELSEWHERE, **local)
    seen["policy Local without local endpoints"] = visit("client", NODE_IP, NODE_PORT)
    rules.become(**local)
    seen["policy Local without endpoints"] = visit("client", NODE_IP, NODE_PORT)

    for seconds in (60, 30):
        config = {"clientIP": {"timeoutSeconds": seconds}}
        rules.become(pod_a, pod_b, sessionAffinity="ClientIP", sessionAffinityConfig=config)
        seen[f"affinity of {seconds} s"] = sorted({visit("client", NODE_IP, NODE_PORT) for _ in range(20)})

    balanced = {"status": {"loadBalancer": {"ingress": [{"ip": LOAD_BALANCER_IP}]}}, **local}
    rules.become(pod_a, loadBalancerSourceRanges=["10.100.0.0/24"], externalIPs=[EXTERNAL_IP], **balanced)
    seen["load balancer IP"] = visit("client", LOAD_BALANCER_IP, PORT)
    seen["external IP"] = visit("client", EXTERNAL_IP, PORT)
    rules.become(pod_a, loadBalancerSourceRanges=["10.100.1.0/24"], externalIPs=[EXTERNAL_IP], **balanced)
    seen["load balancer IP for others only"] = visit("client", LOAD_BALANCER_IP, PORT)
    seen["external IP beside source ranges"] = visit("client", EXTERNAL_IP, PORT)

    rules.become(pod_a, pod_b, externalIPs=[EXTERNAL_IP], loadBalancerSourceRanges=["10.0.0.0/8", "10.1.0.0/16"], **balanced)
    changed = rules.contents()
    rules.start_over()
    seen["contents after every change"], seen["contents afresh"] = changed, rules.contents()
    if mode == "iptables":
        seen["intact before the damage"] = rules.writer.is_intact()
        rules.flush()
        seen["intact after the damage"] = rules.writer.is_intact()
        rules.writer.sync(rules.ports)
        seen["contents after the damage"] = rules.contents()
    return seen


if __name__ == "__main__":
    asyncio.run(build())
    sys.stdout.write(json.dumps(observe(sys.argv[1])))
