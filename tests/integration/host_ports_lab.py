"""Runs inside the node's container, on the ground of `node_lab.py`: host ports and a program in the node's own namespace.

Prints what became of each connection as one JSON object.
"""

import asyncio
import contextlib
import json
import re
import socket
import subprocess
import sys
import threading
from ipaddress import IPv4Address, IPv4Interface
from pathlib import Path

from node_lab import (
    BRIDGE_IP,
    NODE,
    NODE_IP,
    NODE_PORT,
    POD_CIDR,
    PODS,
    TARGET_PORT,
    TIMEOUT_S,
    Rules,
    ask,
    build,
    inside,
    open_connection,
    run,
    visit,
)
from nodeagent.kubelet.host_ports import MappedPod
from nodeagent.kubelet.nginx import render_nginx
from nodeagent.kubelet.pod_spec import HostPort
from nodeagent.kubelet.port_mapper import IptablesMappings, NftablesMappings, PortMapper
from nodeagent.proxy.flow_table import FlowTable
from nodeagent.proxy.iptables.tools import IptablesTools
from nodeagent.proxy.nftables import Nftables

ANY, OF_NODE, OF_LOOPBACK, UDP, LATE_UDP, OTHER = 8000, 8001, 8002, 8003, 8004, 8005
HOST_NETWORK_PORT, ECHO_PORT = 8081, 5353


def pod(name, *ports):
    return MappedPod(uid=name, address=IPv4Interface((PODS[name], POD_CIDR.prefixlen)), ports=ports)


def port(number, target=TARGET_PORT, *, address=None, protocol="tcp"):
    place = None if address is None else IPv4Address(address)
    return HostPort(protocol=protocol, address=place, port=number, container_port=target)


POD_A = pod(
    "pod-a",
    port(ANY),
    port(OF_NODE, address=NODE_IP),
    port(OF_LOOPBACK, address="127.0.0.1"),
    port(UDP),
    port(LATE_UDP, ECHO_PORT, protocol="udp"),
)
POD_B = pod("pod-b", port(OF_NODE, address=BRIDGE_IP), port(UDP, ECHO_PORT, protocol="udp"), port(OTHER))


class FlowsLeftAlone:
    """What happens without the clean-up."""

    async def delete_udp(self, is_stale):
        return 0


def make_mapper(mode, flows=None):
    """A new life of the agent."""
    mappings = IptablesMappings(IptablesTools()) if mode == "iptables" else NftablesMappings(Nftables())
    return PortMapper(mappings=mappings, flows=flows or FlowTable())


def echo(name):
    """A UDP program in a pod that answers with the pod's name and its client's address."""

    def open_socket():
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        made.bind(("0.0.0.0", ECHO_PORT))
        return made

    listening = inside(name, open_socket)

    def answer():
        while True:
            _, client = listening.recvfrom(64)
            listening.sendto(f"{name} {client[0]}".encode(), client)

    threading.Thread(target=answer, daemon=True).start()


class UdpClient:
    """One flow: always from the same port."""

    def __init__(self, number):
        self.socket = inside("client", lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        self.socket.settimeout(TIMEOUT_S)
        self.number = number

    def ask(self):
        self.socket.sendto(b"?", (NODE_IP, self.number))
        try:
            return self.socket.recv(64).decode()
        except TimeoutError:
            return "timed out"


def start_in_the_node(name, *ports):
    """A program in the node's own namespace, as a pod with hostNetwork has it."""
    directory = Path("/run/lab") / name
    directory.mkdir(parents=True)
    text = render_nginx(pod=name, node=NODE, pod_ip=NODE_IP, ports=ports, directory=str(directory))
    (directory / "nginx.conf").write_text(text)
    run("nginx", "-e", "stderr", "-c", str(directory / "nginx.conf"))


def list_rules(mode):
    """Every rule of the node, without what counts packets or tells the time."""
    if mode == "nftables":
        return subprocess.run(["nft", "list", "ruleset"], check=True, capture_output=True, text=True, timeout=10).stdout
    saved = "".join(IptablesTools().save().values())
    return re.sub(r"^#.*\n|\[\d+:\d+\]", "", saved, flags=re.MULTILINE)


async def observe_host_ports(mode):
    seen = {"bridged packets are tracked": Path("/proc/sys/net/bridge/bridge-nf-call-iptables").exists()}
    mapper = make_mapper(mode)
    echo("pod-a")
    echo("pod-b")
    seen["rules before"] = list_rules(mode)
    seen["nobody's port"] = visit("client", NODE_IP, ANY)

    await mapper.add(POD_A)
    seen["rules of one pod"] = list_rules(mode)
    await mapper.add(POD_B)

    seen["client"] = visit("client", NODE_IP, ANY)
    seen["another address of the node"] = visit("client", BRIDGE_IP, ANY)
    seen["another host's address"] = visit("client", PODS["pod-b"], ANY)
    seen["node at its own address"] = visit(None, NODE_IP, ANY)
    seen["node at 127.0.0.1"] = visit(None, "127.0.0.1", ANY)
    seen["the pod itself"] = visit("pod-a", NODE_IP, ANY)
    seen["another pod of the node"] = visit("pod-b", NODE_IP, ANY)
    seen["hostIP"] = visit("client", NODE_IP, OF_NODE)
    seen["same port at another hostIP"] = visit("client", BRIDGE_IP, OF_NODE)
    seen["port of 127.0.0.1 at 127.0.0.1"] = visit(None, "127.0.0.1", OF_LOOPBACK)
    seen["port of 127.0.0.1 from outside"] = visit("client", NODE_IP, OF_LOOPBACK)
    seen["TCP of a number"] = visit("client", NODE_IP, UDP)
    seen["UDP of the same number"] = UdpClient(UDP).ask()

    with contextlib.closing(open_connection("client", NODE_IP, ANY)) as connection:
        before = ask(connection)
        # The agent dies: nobody removes pod-b, whose program is gone when the next life begins.
        mapper = make_mapper(mode)
        mapper.start([POD_A])
        seen["established over a restart of the agent"] = [before, ask(connection)]
        seen["after a restart of the agent"] = visit("client", NODE_IP, ANY)
        seen["pod that did not live to see it"] = visit("client", NODE_IP, OTHER)
        seen["rules after the restart"] = list_rules(mode)
        mapper.remove("pod-a")
        seen["established without the rule"] = ask(connection)
    seen["removed"] = visit("client", NODE_IP, ANY)
    seen["rules after"] = list_rules(mode)
    return seen


async def observe_udp(mode):
    """A client that asked before the pod was there, from the same port afterwards; with and without the clean-up of flows."""
    seen = {}
    for what, flows in (("given up", FlowTable()), ("left alone", FlowsLeftAlone())):
        mapper, client = make_mapper(mode, flows), UdpClient(LATE_UDP)
        client.socket.sendto(b"?", (NODE_IP, LATE_UDP))
        await mapper.add(POD_A)
        seen[f"UDP flow {what}"] = client.ask()
        mapper.remove("pod-a")
    return seen


def observe_host_network(mode):
    """A node port of the same number wins at the addresses that kube-proxy serves."""
    start_in_the_node("host-net", HOST_NETWORK_PORT, NODE_PORT)
    seen = {
        "program in the node": visit("client", NODE_IP, HOST_NETWORK_PORT),
        "program in the node, from a pod": visit("pod-a", NODE_IP, HOST_NETWORK_PORT),
        "number of a node port without endpoints": visit("client", NODE_IP, NODE_PORT),
    }
    Rules(mode).become(PODS["pod-a"])
    seen["number of a node port"] = visit("client", NODE_IP, NODE_PORT)
    seen["number of a node port at the bridge"] = visit("client", BRIDGE_IP, NODE_PORT)
    seen["number of a node port at 127.0.0.1"] = visit(None, "127.0.0.1", NODE_PORT)
    return seen


async def observe(mode):
    rules = Rules(mode)
    rules.become()
    return {**await observe_host_ports(mode), **await observe_udp(mode), **observe_host_network(mode)}


if __name__ == "__main__":
    asyncio.run(build())
    sys.stdout.write(json.dumps(asyncio.run(observe(sys.argv[1]))))
