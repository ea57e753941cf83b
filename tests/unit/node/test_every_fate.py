"""Every policy with every state of endpoints, and thousands of odder settings, against what Kubernetes says (`node_oracle.py`)."""

from __future__ import annotations

import dataclasses
import itertools
import random
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from node_oracle import Case, Sender, judge
from node_world import (
    AFFINITY,
    ALL_ADDRESSES,
    BRIDGE_IP,
    CLIENT,
    CLUSTER_IP,
    EXTERNAL_IP,
    GONE,
    LEAVING,
    LOAD_BALANCER_IP,
    MODES,
    NETWORKS,
    NODE,
    NODE_IP,
    NODE_PORT,
    POD,
    POD_ELSEWHERE,
    READY,
    UNREADY,
    AnyTracer,
    service,
    slice_of,
    trace,
)

from nodeagent.proxy.iptables.chains import render_tables
from nodeagent.proxy.local_pods import MODES as DETECTIONS
from nodeagent.proxy.local_pods import detect_local
from nodeagent.proxy.network import Network
from nodeagent.proxy.services import ServicePort, read_service_ports

BRIDGE = "cbr0"
PORT, TARGETS = 53, {"tcp": 8080, "udp": 5353}
HERE, THERE = ("10.0.1.2", "10.0.1.3"), ("10.0.2.2",)
PUBLISHED = {"ready": True, "serving": False, "terminating": True}
"""As publishNotReadyAddresses has it."""
NIL: dict[str, bool] = {}
"""Whoever makes a slice may leave out any of them."""
CONDITIONS = (READY, LEAVING, UNREADY, GONE, PUBLISHED, NIL, {"ready": False}, {"ready": False, "terminating": True})
SENDERS = (
    Sender(ip=CLIENT),
    Sender(ip=POD, pod="here", interface=BRIDGE),
    Sender(ip=HERE[0], pod="here", interface=BRIDGE),
    Sender(ip=POD_ELSEWHERE, pod="there"),
    Sender(ip=THERE[0], pod="there"),
    Sender(ip=NODE_IP, interface=""),
    # The node, to an address of the load balancer that it has itself.
    Sender(ip=LOAD_BALANCER_IP, interface=""),
)
ITSELF = Sender(ip="127.0.0.1", interface="")
WAYS = {
    "cluster IP": (CLUSTER_IP, PORT),
    "node port": (NODE_IP, NODE_PORT),
    "external IP": (EXTERNAL_IP, PORT),
    "load balancer IP": (LOAD_BALANCER_IP, PORT),
    "node port at the bridge": (BRIDGE_IP, NODE_PORT),
    "node port at loopback": ("127.0.0.1", NODE_PORT),
}
RANGES = (
    (),
    ("198.18.0.0/24",),
    ("203.0.113.0/24",),
    ("10.100.0.0/24", "10.0.1.0/24"),
    ("203.0.113.0/24", "0.0.0.0/0"),
    ("fd00::/8",),
)

Said = Mapping[str, Mapping[str, bool] | None]
"""Address -> conditions; None: there is no such endpoint."""


def cases(said: Said, mode: str, protocol: str, **settings: Any) -> Case:
    found = {ip: conditions for ip, conditions in said.items() if conditions is not None}
    here, there = ({f"{ip}:{TARGETS[protocol]}": found[ip] for ip in ips if ip in found} for ips in (HERE, THERE))
    return Case(mode=mode, here=here, there=there, node_ip=NODE_IP, load_balancer_ip=LOAD_BALANCER_IP, **settings)


def ports_of(said: Mapping[str, Said], **spec: Any) -> tuple[ServicePort, ...]:
    """One Service with one number for TCP and UDP, and by protocol their endpoints."""
    ports = [{"name": name, "port": PORT, "nodePort": NODE_PORT, "protocol": name.upper()} for name in said]
    slices = [
        slice_of(
            *(
                (ip, NODE if ip in HERE else "node-2", conditions)
                for ip, conditions in endpoints.items()
                if conditions is not None
            ),
            ports={name: TARGETS[name]},
            protocol=name.upper(),
            suffix=name,
        )
        for name, endpoints in said.items()
    ]
    return read_service_ports([service(ports=ports, **spec, **ALL_ADDRESSES)], slices, NODE)


def packets(case: Case, tracer: AnyTracer, protocol: str) -> Iterator[tuple[str, Any, Any]]:
    """Every packet: its name, what became of it, and what should."""
    for (way, (address, number)), sender in itertools.product(WAYS.items(), SENDERS):
        if way == "node port at loopback":
            if sender.ip != NODE_IP:
                continue
            sender = ITSELF
        seen = tracer.packet(sender.ip, address, protocol, number, from_node_itself=sender.is_node, came_in_by=sender.interface)
        yield f"{protocol} {sender.ip} to {way}", seen, judge(case, sender, way)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("external", ["Cluster", "Local"])
@pytest.mark.parametrize("internal", ["Cluster", "Local"])
def test_every_state_of_endpoints_under_every_policy(mode: str, external: str, internal: str) -> None:
    for here, there in itertools.product((None, *CONDITIONS), repeat=2):
        said = {"10.0.1.2": here, "10.0.2.2": there}
        ports = ports_of({"tcp": said}, externalTrafficPolicy=external, internalTrafficPolicy=internal)
        case = cases(said, mode, "tcp", external_local=external == "Local", internal_local=internal == "Local")
        tracer = trace(mode, ports, node_addresses=(NODE_IP, BRIDGE_IP, LOAD_BALANCER_IP))
        for name, seen, expected in packets(case, tracer, "tcp"):
            assert seen == expected, f"{name} with {here} here and {there} there"


@pytest.mark.parametrize("seed", range(25))
@pytest.mark.parametrize("mode", MODES)
def test_settings_in_any_combination(mode: str, seed: int) -> None:
    """TCP and UDP on one number, each with endpoints, and everything that a Service and kube-proxy can be told."""
    chance = random.Random(f"{mode}{seed}")
    said = {name: {ip: chance.choice((None, *CONDITIONS)) for ip in (*HERE, *THERE)} for name in TARGETS}
    external, internal, has_affinity = (chance.random() < 0.5 for _ in range(3))
    ranges, detection, masquerade_all = chance.choice(RANGES), chance.choice(DETECTIONS), chance.random() < 0.2
    spec = {
        "externalTrafficPolicy": "Local" if external else "Cluster",
        "internalTrafficPolicy": "Local" if internal else "Cluster",
        "loadBalancerSourceRanges": list(ranges),
        **(AFFINITY if has_affinity else {}),
    }
    ports = ports_of(said, **spec)
    network = dataclasses.replace(
        NETWORKS[mode],
        local_pods=detect_local(detection, cluster_cidr="10.0.0.0/16", node_cidr="10.0.1.0/24", bridge=BRIDGE),
        masquerade_all=masquerade_all,
    )
    stays = {
        name: {sender.ip: f"{chance.choice((*HERE, *THERE))}:{number}" for sender in SENDERS} for name, number in TARGETS.items()
    }
    held = stays if has_affinity else {name: {} for name in TARGETS}
    tracer = trace(
        mode,
        ports,
        network=network,
        node_addresses=(NODE_IP, BRIDGE_IP, LOAD_BALANCER_IP),
        remembered=memory(mode, ports, network, stays) if has_affinity else {},
    )
    for protocol in TARGETS:
        case = cases(
            said[protocol],
            mode,
            protocol,
            external_local=external,
            internal_local=internal,
            source_ranges=ranges,
            detection=detection,
            masquerade_all=masquerade_all,
            remembered=held[protocol],
        )
        for name, seen, expected in packets(case, tracer, protocol):
            assert seen == expected, f"{name} of {case}"


def memory(
    mode: str, ports: tuple[ServicePort, ...], network: Network, stays: Mapping[str, Mapping[str, str]]
) -> dict[str, list[str]]:
    """What holds senders to where they have been, in the names of the mode."""
    found: dict[str, list[str]] = {}
    for port in ports:
        own = render_tables([port], network).own if mode == "iptables" else {}
        for sender, target in stays[port.protocol].items():
            names = [name for name, rules in own.items() if any(f"--to-destination {target}" in rule for rule in rules)]
            if mode == "nftables":
                names = [f"affinity-{port.chain_of(item)}" for item in port.usable.every if item.target == target]
            for name in names:
                found.setdefault(name, []).append(sender)
    return found
