"""A cluster of two nodes as its API objects, and the rules that node-1 makes of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from nodeagent.proxy.fate import Fate
from nodeagent.proxy.iptables.chains import render_tables
from nodeagent.proxy.iptables.tracer import IptablesTracer
from nodeagent.proxy.local_pods import LocalPods
from nodeagent.proxy.network import Network
from nodeagent.proxy.ruleset import Ruleset, render_ruleset
from nodeagent.proxy.services import ServicePort, read_service_ports
from nodeagent.proxy.tracer import Tracer

NODE, NODE_IP = "node-1", "10.100.0.2"
NETWORK = Network(
    node_ip=NODE_IP, local_pods=LocalPods(cidr="10.0.0.0/16"), service_cidr="10.3.240.0/20", node_port_ips=(NODE_IP,)
)
IPTABLES_NETWORK = dataclasses.replace(NETWORK, node_port_ips=None)
NETWORKS = {"nftables": NETWORK, "iptables": IPTABLES_NETWORK}
"""Of both modes, as kube-proxy's defaults are."""
MODES = tuple(NETWORKS)
BRIDGE_IP = "10.0.1.1"
CLUSTER_IP, PORT, NODE_PORT = "10.3.241.152", 80, 32213
EXTERNAL_IP, LOAD_BALANCER_IP = "198.18.0.130", "198.18.0.131"
POD, POD_ELSEWHERE, CLIENT = "10.0.1.77", "10.0.2.77", "198.18.0.9"

READY: dict[str, Any] = {"ready": True}
UNREADY = {"ready": False, "serving": False, "terminating": False}
LEAVING = {"ready": False, "serving": True, "terminating": True}
GONE = {"ready": False, "serving": False, "terminating": True}

Endpoint = tuple[str, str, Mapping[str, Any]]
HERE: Endpoint = ("10.0.1.2", NODE, READY)
THERE: Endpoint = ("10.0.2.2", "node-2", READY)
AT_HERE, AT_THERE = "10.0.1.2:8080", "10.0.2.2:8080"
ALL_ADDRESSES = {"externalIPs": [EXTERNAL_IP], "status": {"loadBalancer": {"ingress": [{"ip": LOAD_BALANCER_IP}]}}}
LOCAL = {"externalTrafficPolicy": "Local"}
INTERNAL_LOCAL = {"internalTrafficPolicy": "Local"}
AFFINITY = {"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 60}}}


def service(*, name: str = "web", version: int = 1, **spec: Any) -> dict[str, Any]:
    """`labels` and `status` are the object's, everything else its spec's."""
    labels, status = spec.pop("labels", {}), spec.pop("status", {})
    ports = [{"name": "http", "port": PORT, "nodePort": NODE_PORT, "protocol": "TCP"}]
    metadata = {"name": name, "namespace": "default", "labels": labels, "resourceVersion": str(version)}
    return {"metadata": metadata, "spec": {"clusterIP": CLUSTER_IP, "ports": ports, **spec}, "status": status}


def slice_of(
    *endpoints: Endpoint,
    name: str = "web",
    version: int = 1,
    ports: Mapping[str, int] | None = None,
    protocol: str = "TCP",
    suffix: str = "x",
) -> dict[str, Any]:
    ports = {"http": 8080} if ports is None else ports
    labels = {"kubernetes.io/service-name": name}
    return {
        "metadata": {"name": f"{name}-{suffix}", "namespace": "default", "labels": labels, "resourceVersion": str(version)},
        "addressType": "IPv4",
        "ports": [{"name": port_name, "port": number, "protocol": protocol} for port_name, number in ports.items()],
        "endpoints": [{"addresses": [ip], "nodeName": node, "conditions": conditions} for ip, node, conditions in endpoints],
    }


def rules(*endpoints: Endpoint, **spec: Any) -> Ruleset:
    """Of one service with these endpoints."""
    return render_ruleset(
        read_service_ports([service(**spec)], [slice_of(*endpoints, protocol=protocol_of(spec))], NODE), NETWORK
    )


def protocol_of(spec: Mapping[str, Any]) -> str:
    """Of the first port of a Service, as the EndpointSlice controller copies it."""
    return str((spec.get("ports") or [{}])[0].get("protocol", "TCP"))


AnyTracer = Tracer | IptablesTracer


def trace(
    mode: str,
    ports: Iterable[ServicePort],
    *,
    network: Network | None = None,
    remembered: Mapping[str, Collection[str]] | None = None,
    node_addresses: Collection[str] = (NODE_IP, BRIDGE_IP),
) -> AnyTracer:
    """Of the rules that node-1 makes of these in that mode."""
    network = network or NETWORKS[mode]
    if mode == "iptables":
        return IptablesTracer(render_tables(ports, network), node_addresses=node_addresses, remembered=remembered)
    return Tracer(render_ruleset(ports, network), node_addresses=node_addresses, remembered=remembered)


class World:
    """Node-1 in one of the modes."""

    def __init__(self, mode: str) -> None:
        self.mode = mode

    def of(self, services: list[Any], slices: list[Any], remembered: dict[str, list[str]] | None = None) -> AnyTracer:
        return trace(self.mode, read_service_ports(services, slices, NODE), remembered=remembered)

    def serving(self, *endpoints: Endpoint, **spec: Any) -> AnyTracer:
        """One service with these endpoints."""
        return self.of([service(**spec)], [slice_of(*endpoints, protocol=protocol_of(spec))])


def kept(*targets: str) -> Fate:
    return Fate(targets=targets, verdict="dnat")


def hidden(*targets: str) -> Fate:
    """Sent there with the node's address as the source."""
    return Fate(targets=targets, verdict="dnat", masqueraded_targets=targets)
