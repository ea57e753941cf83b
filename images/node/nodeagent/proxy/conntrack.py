"""Which tracked UDP flows have gone stale after a change of endpoints. Pure (kube-proxy's pkg/proxy/conntrack).

A TCP client notices that its peer has gone; a UDP client goes on sending from its port, and conntrack keeps its flow at the
endpoint that it was translated to. Only flows of services that still have a serving endpoint are given up: where none is left,
the old flow is better than none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from nodeagent.proxy.services import ServicePort

Target = tuple[str, int]
"""Address and port."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """A tracked flow: where its sender sent it, who answers, and the attributes by which the kernel knows it."""

    destination: Target
    reply_source: Target
    identity: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """The serving endpoints of UDP services, by the destinations that lead to them."""

    by_destination: Mapping[Target, frozenset[Target]] = field(default_factory=dict)
    by_node_port: Mapping[int, frozenset[Target]] = field(default_factory=dict)

    def is_stale(self, flow: Flow) -> bool:
        """Whether the flow leads to a service and not to one of its serving endpoints.

        A node port counts at any address, so that flows of others that happen to have this destination port are hit too: as in
        Kubernetes.
        """
        for endpoints in (self.by_destination.get(flow.destination), self.by_node_port.get(flow.destination[1])):
            if endpoints is not None and flow.reply_source not in endpoints:
                return True
        return False


def read_serving(ports: Iterable[ServicePort]) -> Serving:
    """Of UDP services that have a serving endpoint; policies, topology and termination play no part."""
    by_destination: dict[Target, frozenset[Target]] = {}
    by_node_port: dict[int, frozenset[Target]] = {}
    for port in ports:
        if port.protocol != "udp":
            continue
        endpoints = frozenset((item.ip, item.port) for item in port.usable.every if item.serving)
        if not endpoints:
            continue
        for address in (port.cluster_ip, *port.load_balancer_ips, *port.external_ips):
            by_destination[address, port.port] = endpoints
        if port.node_port is not None:
            by_node_port[port.node_port] = endpoints
    return Serving(by_destination=by_destination, by_node_port=by_node_port)


def have_udp_endpoints_changed(before: Iterable[ServicePort], after: Iterable[ServicePort]) -> bool:
    """Whether an endpoint of a UDP service port came, went or changed; services that go change nothing."""
    known = {port.key: port.usable.every for port in before if port.protocol == "udp"}
    return any(port.usable.every != known.get(port.key, ()) for port in after if port.protocol == "udp")
