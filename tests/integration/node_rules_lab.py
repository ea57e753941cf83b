"""Runs inside the node's container, in `node_lab.py`: connections in every state of the rules.

Prints what became of each as one JSON object.
"""

import asyncio
import contextlib
import json
import subprocess
import sys
import time
from ipaddress import IPv4Network
from pathlib import Path

from node_lab import (
    BRIDGE_IP,
    CLIENT,
    CLUSTER_IP,
    ELSEWHERE,
    EXTERNAL_IP,
    LOAD_BALANCER_IP,
    LOCAL,
    NODE_IP,
    NODE_PORT,
    POD_CIDR,
    PODS,
    PORT,
    SECOND_NODE,
    SECOND_NODE_IP,
    ZONE,
    Rules,
    add_node,
    ask,
    build,
    open_connection,
    read_flows,
    run,
    send_datagram,
    visit,
    visit_until,
)
from nodeagent.kubelet.network import BRIDGE
from nodeagent.proxy.iptables.tools import IptablesTools
from nodeagent.proxy.local_pods import MODES, detect_local
from nodeagent.proxy.node_ports import NodePortAddresses
from nodeagent.proxy.rules import RulesError

NODE_PORT_ADDRESSES = {
    "the primary address": None,
    "every address": (IPv4Network("0.0.0.0/0"),),
    "a network of pods": (POD_CIDR,),
    "networks of nodes and loopback": (IPv4Network("10.100.0.0/24"), IPv4Network("127.0.0.0/8")),
}


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
    observe_combinations(rules, seen)
    observe_affinity(rules, seen)
    observe_affinity_of_nodes(rules, seen)
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


def observe_combinations(rules, seen):
    """Everything at once, and what each of several rules says of one packet."""
    pod_a, pod_b = PODS.values()
    leaving = {"ready": False, "serving": True, "terminating": True}
    published = {"ready": True, "serving": False, "terminating": True}
    everything = {
        **LOCAL,
        "internalTrafficPolicy": "Local",
        "sessionAffinity": "ClientIP",
        "loadBalancerSourceRanges": ["10.100.0.9/32"],
        "externalIPs": [EXTERNAL_IP],
        "status": {"loadBalancer": {"ingress": [{"ip": LOAD_BALANCER_IP}]}},
    }
    addresses = {"load balancer IP": LOAD_BALANCER_IP, "external IP": EXTERNAL_IP}
    rules.become(pod_a, ELSEWHERE, conditions={pod_a: leaving}, **everything)
    seen["everything"] = {
        **{f"client to {name}": visit("client", address, PORT) for name, address in addresses.items()},
        "client to node port": visit("client", NODE_IP, NODE_PORT),
        # Inside, the cluster's list: the one that is ready. At the cluster IP the node's own: the one that leaves.
        "pod to external IP": visit("pod-b", EXTERNAL_IP, PORT),
        "pod to load balancer IP": visit("pod-b", LOAD_BALANCER_IP, PORT),
        "pod to cluster IP": visit("pod-b", CLUSTER_IP, PORT),
        "node to node port": visit(None, NODE_IP, NODE_PORT),
        "node to load balancer IP": visit(None, LOAD_BALANCER_IP, PORT),
    }
    rules.become(pod_a, pod_b, conditions={pod_a: published, pod_b: leaving})
    seen["published although not ready"] = visit_until(2, "client", NODE_IP, NODE_PORT)
    rules.become(pod_a, **LOCAL)
    seen["pod that reaches itself by the short cut"] = visit("pod-a", NODE_IP, NODE_PORT)
    rules.become(pod_a, internalTrafficPolicy="Local")
    seen["pod that reaches itself by internal policy Local"] = visit("pod-a", CLUSTER_IP, PORT)
    rules.know(masquerade_all=True)
    rules.become(pod_a, ELSEWHERE, **LOCAL)
    seen["masquerade-all and policy Local"] = [visit("client", NODE_IP, NODE_PORT) for _ in range(4)]
    rules.know(masquerade_all=False)


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


def observe_affinity_of_nodes(rules, seen):
    """Sooner or later a client that has been to neither gets another endpoint through each; the second node keeps no address."""
    add_node()
    second = Rules(rules.mode, namespace=SECOND_NODE, node_ip=SECOND_NODE_IP)
    nodes = {NODE_IP: rules, SECOND_NODE_IP: second}

    def visit_each():
        return [visit("client", address, NODE_PORT) for address in nodes]

    for _ in range(64):
        for node in nodes.values():
            node.become(*PODS.values())  # takes the memory away
            node.become(*PODS.values(), sessionAffinity="ClientIP")
        first = visit_each()
        if first[0].split()[0] != first[1].split()[0]:
            break
    seen["affinity of two nodes"] = [first, *(visit_each() for _ in range(4))]
    second.become()


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
        observe_refusal(seen)
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


def observe_refusal(seen):
    """The first part is committed, the second refused; what comes then is restored by another process."""
    made = "*nat\n:LAB-{0} - [0:0]\nCOMMIT\n"
    with contextlib.closing(IptablesTools()) as tools:
        tools.restore(made.format("BEFORE"))
        try:
            tools.restore(made.format("FIRST") + "*nat\n:LAB-SECOND - [0:0]\n-A LAB-NOWHERE -j ACCEPT\nCOMMIT\n")
        except RulesError as error:
            seen["words of a refusal"] = str(error)
        tools.restore(made.format("AFTER"))
        names = [line.split()[0] for line in tools.save()["nat"].splitlines() if line.startswith(":LAB-")]
        seen["chains beside a refusal"] = sorted(name.removeprefix(":LAB-") for name in names)


def is_table_there():
    return subprocess.run(["nft", "list", "table", "ip", "kube-proxy"], capture_output=True, timeout=10).returncode == 0


if __name__ == "__main__":
    asyncio.run(build())
    sys.stdout.write(json.dumps(observe(sys.argv[1])))
