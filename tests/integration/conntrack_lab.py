"""Runs inside the node's container: the proxy with its clean-up of flows, pods that answer over UDP and TCP, real sockets.

Prints what became of each flow as one JSON object. Pods, client and namespaces are those of `node_lab.py`.
"""

import asyncio
import contextlib
import json
import select
import socket
import subprocess
import sys
import time

from node_lab import (
    CLUSTER_IP,
    ELSEWHERE,
    EXTERNAL_IP,
    LOAD_BALANCER_IP,
    NODE,
    NODE_IP,
    NODE_PORT,
    POD_IPS,
    PODS,
    PORT,
    TARGET_PORT,
    Rules,
    ask,
    build,
    inside,
    open_connection,
    read_flows,
    run,
    visit,
)
from nodeagent.proxy.flow_cleaner import FlowCleaner
from nodeagent.proxy.flow_table import FlowTable
from nodeagent.proxy.proxy import Proxy
from testbed_init.events import RecordedEvents

TCP_NODE_PORT, UDP_NODE_PORT = NODE_PORT, NODE_PORT + 1
BALANCED = {"status": {"loadBalancer": {"ingress": [{"ip": LOAD_BALANCER_IP}]}}}
ANSWER_S = 0.5
MANY = 1000
SLICE = 100
"""Endpoints, as many as the EndpointSlice controller puts into one."""
FAR = [f"10.0.2.{number}" for number in range(1, 251)]
POD_A, POD_B = PODS.values()
READY = {"ready": True}
LEAVING = {"ready": False, "serving": True, "terminating": True}
GONE = {"ready": False, "serving": False, "terminating": True}

RESPONDER = """
import socket, sys
answers = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
answers.bind(("0.0.0.0", int(sys.argv[2])))
print("on", flush=True)
while True:
    _, client = answers.recvfrom(100)
    answers.sendto(sys.argv[1].encode(), client)
"""


def answer_over_udp():
    for name in PODS:
        argv = ["nsenter", f"--net=/run/netns/{name}", "python3", "-c", RESPONDER, name, str(TARGET_PORT)]
        assert subprocess.Popen(argv, stdout=subprocess.PIPE).stdout.readline() == b"on\n"


def open_flow(address, port, namespace="client"):
    """A socket whose datagrams all belong to one flow."""

    def act():
        flow = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        flow.connect((address, port))
        return flow

    return inside(namespace, act)


def send(flow):
    """Who answers one datagram, or how it failed."""
    try:
        flow.send(b"?")
        readable, _, _ = select.select([flow], [], [], ANSWER_S)
        return flow.recv(100).decode() if readable else "no answer"
    except ConnectionRefusedError:
        return "refused"


class Node:
    """The agent's proxy and its cleaner, given objects as its watches would."""

    def __init__(self, mode):
        self.events = RecordedEvents()
        self.cleaner = FlowCleaner(node=NODE, table=FlowTable(), events=self.events)
        self.proxy = Proxy(
            node=NODE,
            rules=Rules(mode).writer,
            events=self.events,
            clock=time.monotonic_ns,
            min_sync_period_s=0.0,
            sync_period_s=30.0,
            after_commit=self.cleaner.after_commit,
        )
        self.version = 0
        self.udp, self.endpoints = {"clusterIP": CLUSTER_IP}, ()

    async def serves(self, **spec):
        """The UDP service as it is from now on: `status` is the object's, the rest its spec's; without any: it is deleted."""
        self.udp = spec and {"clusterIP": CLUSTER_IP, **spec}
        await self._sync()

    async def has(self, *endpoints):
        """Both services have these endpoints: addresses, or pairs of address and conditions."""
        self.endpoints = [item if isinstance(item, tuple) else (item, READY) for item in endpoints]
        await self._sync()

    async def _sync(self):
        """Until rules and flows have followed."""
        self.version += 1
        udp_ports = [{"name": "echo", "port": PORT, "nodePort": UDP_NODE_PORT, "protocol": "UDP"}]
        tcp_ports = [{"name": "http", "port": PORT, "nodePort": TCP_NODE_PORT, "protocol": "TCP"}]
        specs = {"web": {"clusterIP": "10.3.241.153", "ports": tcp_ports}}
        if self.udp:
            specs["echo"] = {"ports": udp_ports, **self.udp}
        self.proxy.on_services(
            [{"metadata": self._metadata(name), "status": spec.pop("status", None), "spec": spec} for name, spec in specs.items()]
        )
        parts = [self.endpoints[first : first + SLICE] for first in range(0, len(self.endpoints), SLICE)] or [[]]
        names = (("echo", "echo"), ("web", "http"))
        self.proxy.on_slices([self._slice(*item, number, part) for item in names for number, part in enumerate(parts)])
        assert self.proxy.sync(), self.events.named("rules-failed")
        await self.cleaner.clean()

    def _metadata(self, name, **labels):
        return {"name": name, "namespace": "default", "resourceVersion": str(self.version), "labels": labels}

    def _slice(self, service, port, number, endpoints):
        return {
            "metadata": self._metadata(f"{service}-{number}", **{"kubernetes.io/service-name": service}),
            "addressType": "IPv4",
            "ports": [{"name": port, "port": TARGET_PORT, "protocol": "UDP" if port == "echo" else "TCP"}],
            "endpoints": [
                {"addresses": [ip], "nodeName": NODE if ip in POD_IPS else "node-2", "conditions": conditions}
                for ip, conditions in endpoints
            ],
        }

    def deleted(self):
        """How many flows each clean-up gave up so far."""
        return [event["flows"] for event in self.events.named("flows-deleted")]


def send_from_the_node(first, count):
    """One datagram each from as many ports, all to the cluster IP."""
    for number in range(first, first + count):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as flow:
            flow.bind(("", number))  # the kernel would give one port to two
            flow.sendto(b"?", (CLUSTER_IP, PORT))


async def observe(mode):
    """What is seen, by name; the tests hold it against what Kubernetes says."""
    node, seen = Node(mode), {}
    await node.has(POD_A)

    with contextlib.ExitStack() as open_flows:

        def begin(address, port, namespace="client"):
            return open_flows.enter_context(contextlib.closing(open_flow(address, port, namespace)))

        await node.serves(externalIPs=[EXTERNAL_IP], **BALANCED)
        flows = {
            "cluster IP": begin(CLUSTER_IP, PORT),
            "external IP": begin(EXTERNAL_IP, PORT),
            "load balancer IP": begin(LOAD_BALANCER_IP, PORT),
            "node port": begin(NODE_IP, UDP_NODE_PORT),
            "cluster IP from the node": begin(CLUSTER_IP, PORT, None),
            "pod itself": begin(POD_A, TARGET_PORT),
        }
        web = open_flows.enter_context(contextlib.closing(open_connection("client", NODE_IP, TCP_NODE_PORT)))
        before, connected = {name: send(flow) for name, flow in flows.items()}, ask(web)
        begin(ELSEWHERE, UDP_NODE_PORT, "pod-a").send(b"?")
        foreign = [len(read_flows("udp", ELSEWHERE, UDP_NODE_PORT))]
        await node.has(POD_B)
        seen["foreign flow to the number of the node port"] = [*foreign, len(read_flows("udp", ELSEWHERE, UDP_NODE_PORT))]
        seen["replaced"] = {name: [before[name], send(flow)] for name, flow in flows.items()}
        seen["deleted when replaced"] = node.deleted()
        seen["connection when replaced"] = [connected, ask(web), visit("client", NODE_IP, TCP_NODE_PORT)]

        await node.has()
        seen["without endpoints"] = [send(flows["cluster IP"]), send(flows["node port"])]
        seen["new without endpoints"] = send(begin(CLUSTER_IP, PORT))
        seen["connection without endpoints"] = ask(web)
        await node.has(POD_A)
        seen["endpoint again"] = [send(flows["cluster IP"]), send(flows["node port"])]

        await node.has((POD_A, LEAVING), POD_B)
        seen["leaving"] = [send(flows["cluster IP"]), sorted({send(begin(CLUSTER_IP, PORT)) for _ in range(8)})]
        await node.has((POD_A, GONE), POD_B)
        seen["left"] = send(flows["cluster IP"])

        for whom, ranges in (("the client", "10.100.0.0/24"), ("others", "10.100.1.0/24")):
            await node.serves(externalTrafficPolicy="Local", loadBalancerSourceRanges=[ranges], **BALANCED)
            await node.has(POD_B, ELSEWHERE)
            new = [(LOAD_BALANCER_IP, PORT), (NODE_IP, UDP_NODE_PORT)]
            seen[f"policy Local, open for {whom}"] = [sorted({send(begin(*address)) for _ in range(4)}) for address in new]
        await node.serves(externalTrafficPolicy="Local", internalTrafficPolicy="Local")
        await node.has(ELSEWHERE, POD_B)
        count = len(node.deleted())
        seen["policy"] = send(flows["cluster IP"])
        await node.serves()
        seen["service deleted"] = [send(flows["cluster IP"]), ask(web), len(node.deleted()) - count]
        seen["new when the service is deleted"] = send(begin(CLUSTER_IP, PORT))

    await node.serves(externalIPs=[EXTERNAL_IP])
    await node.has(POD_A)
    send_from_the_node(20000, MANY)
    count = len(node.deleted())
    await node.has(POD_B)
    seen["many"] = node.deleted()[count:]

    run("ip", "-n", "client", "route", "add", "local", "10.0.2.0/24", "dev", "lo")
    await node.has(*FAR)
    send_from_the_node(22000, 6 * len(FAR))
    seen["many endpoints"] = sorted({flow.reply_source for flow in read_flows("udp", CLUSTER_IP, PORT)})
    seen["failed"] = node.events.named("flows-failed")
    return seen


if __name__ == "__main__":
    asyncio.run(build())
    answer_over_udp()
    sys.stdout.write(json.dumps(asyncio.run(observe(sys.argv[1]))))
