"""Which tracked UDP flows have gone stale after a change of endpoints. Pure (kube-proxy's pkg/proxy/conntrack).

A TCP client notices that its peer has gone; a UDP client goes on sending from its port, and conntrack keeps its flow at the
endpoint that it was translated to. Only flows of services that still have a serving endpoint are given up: where none is left,
the old flow is better than none.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from nodeagent.proxy.endpoints import Endpoint, by_port
from nodeagent.proxy.services import ServicePort, group_slices

Object = Mapping[str, Any]
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


class UdpEndpoints:
    """What EndpointSlices said last of services that have endpoints at a UDP port, to tell whether that has changed.

    Only EndpointSlices are looked at, as by kube-proxy: neither a Service that comes nor one that changes is a reason to look at
    flows, and of a service with UDP endpoints any change is, be it of its TCP port.
    """

    def __init__(self, node: str) -> None:
        self._node = node
        self._known: dict[tuple[str, str], _Read] = {}

    def have_changed(self, slices: Iterable[Object]) -> bool:
        """Since the last time; the first time they are compared with none."""
        before, self._known = self._known, {}
        for name, found in group_slices(slices).items():
            if any(entry.get("protocol") == "UDP" for item in found for entry in item.get("ports") or ()):
                known = before.get(name)
                is_same = known is not None and len(known.slices) == len(found) and all(map(operator.is_, known.slices, found))
                self._known[name] = known if known is not None and is_same else _read(found, self._node)
        names = before.keys() | self._known.keys()
        return any(_has_changed(before.get(name, _NOTHING), self._known.get(name, _NOTHING)) for name in names)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    slices: list[Object] = field(default_factory=list)
    endpoints: Mapping[tuple[str, str], tuple[Endpoint, ...]] = field(default_factory=dict)
    """By name and protocol of the port."""


_NOTHING = _Read()


def _read(slices: list[Object], node: str) -> _Read:
    return _Read(slices=slices, endpoints={key: found for key, found in by_port(slices, node).items() if found})


def _has_changed(before: _Read, after: _Read) -> bool:
    if before.endpoints == after.endpoints:
        return False
    return any(protocol == "udp" for _, protocol in (*before.endpoints, *after.endpoints))
