"""Cluster IPs and node ports of Services. What is used follows the store, so nothing has to be given back after a failure.

Source: kubernetes, registry/core/service/storage/alloc.go; the bands in allocation/bands.py.
"""

from __future__ import annotations

from collections import Counter
from ipaddress import IPv4Address, IPv4Network

from controlplane.allocation.bands import Draw, FullError, cluster_ip_band, node_port_band, pick
from controlplane.errors import StatusError, internal, invalid
from controlplane.field_errors import invalid_value
from controlplane.kinds.service_type import needs_cluster_ip, needs_health_check_port, needs_node_ports
from controlplane.objects import Object, name_of, spec_of
from controlplane.settings import PortRange
from controlplane.store.history import Change
from controlplane.store.store import Store

ALLOCATED = "provided port is already allocated"


def cluster_ips_of(service: Object) -> set[str]:
    """The addresses that a Service holds."""
    return {text for text in spec_of(service).get("clusterIPs") or () if text != "None"}


def node_ports_of(service: Object) -> set[int]:
    """The node ports that a Service holds, the health check's included: they share one range, whatever the protocol."""
    spec = spec_of(service)
    ports = {port["nodePort"] for port in spec.get("ports") or () if port.get("nodePort")}
    if spec.get("healthCheckNodePort"):
        ports.add(spec["healthCheckNodePort"])
    return ports


class ServiceAllocator:
    """Completes a Service before it is committed."""

    def __init__(self, *, store: Store, service_cidr: IPv4Network, node_port_range: PortRange, draw: Draw) -> None:
        self._cidr = service_cidr
        self._ports = node_port_range
        self._draw = draw
        # Counted, because a replaced Service holds its old and new values for an instant.
        self._used_ips: Counter[str] = Counter()
        self._used_ports: Counter[int] = Counter()
        for service in store.items("services"):
            self._hold(service, 1)
        store.subscribe(self._follow)

    def _follow(self, change: Change) -> None:
        if change.plural != "services":
            return
        if change.before is not None:
            self._hold(change.before, -1)
        if change.type != "DELETED":
            self._hold(change.item, 1)

    def _hold(self, service: Object, count: int) -> None:
        for held, values in ((self._used_ips, cluster_ips_of(service)), (self._used_ports, node_ports_of(service))):
            for value in values:
                held[value] += count  # type: ignore[index]
                if held[value] <= 0:  # type: ignore[index]
                    del held[value]

    def admit(self, service: Object, before: Object | None) -> None:
        """Allocate in place what is needed and check what was asked for.

        Raises:
            StatusError: 422 or 500, in the API server's words.
        """
        own_ips = set() if before is None else cluster_ips_of(before)
        own_ports = set() if before is None else node_ports_of(before)
        if needs_cluster_ip(service):
            self._admit_cluster_ip(service, own_ips)
        if needs_node_ports(service):
            self._admit_node_ports(service, own_ports)
        elif explicit := [port for port in spec_of(service).get("ports") or () if port.get("nodePort")]:
            # A load balancer without node ports of its own keeps those that were asked for.
            self._check_ports(service, explicit, own_ports)
        if needs_health_check_port(service):
            self._admit_health_check_port(service, own_ports)

    def _admit_cluster_ip(self, service: Object, own: set[str]) -> None:
        spec = service["spec"]
        text = spec.get("clusterIP")
        if not text:
            spec["clusterIP"] = self._pick_cluster_ip()
            spec["clusterIPs"] = [spec["clusterIP"]]
            return
        address = IPv4Address(text)
        if address not in self._cidr or address in (self._cidr.network_address, self._cidr.broadcast_address):
            why = "the provided network does not match the current range"
        elif text in self._used_ips and text not in own:
            why = "provided IP is already allocated"
        else:
            return
        raise _invalid(service, "spec.clusterIPs", spec["clusterIPs"], f"failed to allocate IP {text}: {why}")

    def _pick_cluster_ip(self) -> str:
        first = int(self._cidr.network_address) + 1
        size = self._cidr.num_addresses - 2
        used = {int(IPv4Address(text)) - first for text in self._used_ips}
        try:
            return str(IPv4Address(first + pick(size, cluster_ip_band(self._cidr.num_addresses), used, self._draw)))
        except FullError as error:
            raise internal(f"failed to allocate a serviceIP: {error}") from None

    def _admit_node_ports(self, service: Object, own: set[int]) -> None:
        ports = service["spec"].get("ports") or []
        self._check_ports(service, [port for port in ports if port.get("nodePort")], own)
        taken = {(port.get("protocol"), port["nodePort"]) for port in ports if port.get("nodePort")}
        by_port = {port["port"]: port["nodePort"] for port in ports if port.get("nodePort")}
        for port in ports:
            if port.get("nodePort"):
                continue
            # The same port over another protocol shares the number, so that DNS and the like have one port on the node.
            number = by_port.get(port["port"])
            if number is None or (port.get("protocol"), number) in taken:
                number = self._pick_port({used for _, used in taken})
            port["nodePort"] = number
            by_port[port["port"]] = number
            taken.add((port.get("protocol"), number))

    def _check_ports(self, service: Object, ports: list[Object], own: set[int]) -> None:
        numbers = service["spec"].get("ports") or []
        for port in ports:
            number = port["nodePort"]
            if number in own:
                continue
            if number not in self._ports:
                why = f"provided port is not in the valid range. The range of valid ports is {self._ports}"
            elif number in self._used_ports:
                why = ALLOCATED
            else:
                continue
            raise _invalid(service, f"spec.ports[{numbers.index(port)}].nodePort", number, why)

    def _pick_port(self, taken: set[int]) -> int:
        used = {number - self._ports.first for number in {*self._used_ports, *taken}}
        try:
            return self._ports.first + pick(self._ports.size, node_port_band(self._ports.size), used, self._draw)
        except FullError as error:
            raise internal(f"failed to allocate a nodePort: {error}") from None

    def _admit_health_check_port(self, service: Object, own: set[int]) -> None:
        spec = service["spec"]
        number = spec.get("healthCheckNodePort")
        listed = {port["nodePort"] for port in spec.get("ports") or () if port.get("nodePort")}
        if not number:
            spec["healthCheckNodePort"] = self._pick_port(listed)
            return
        if number in own:
            return
        if number not in self._ports:
            why = f"provided port is not in the valid range. The range of valid ports is {self._ports}"
        elif number in self._used_ports or number in listed:
            why = ALLOCATED
        else:
            return
        raise internal(f"failed to allocate requested HealthCheck NodePort {number}: {why}")


def _invalid(service: Object, field: str, value: object, why: str) -> StatusError:
    return invalid("Service", "", name_of(service), [invalid_value(field, value, why)])
