"""Layer 4 at the external address of a Service of type LoadBalancer: the plan gives name and settings, the cluster the address.

No TLS, no host and no path: what a load balancer of this layer cannot see it cannot route by.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Any

from lbagent.decoding import SettingsError, expect_object
from lbagent.frontends.naming import decode_named_port
from lbagent.frontends.options import TcpOptions, decode_tcp_options


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceFrontend:
    """What one service port's frontend is called, and its settings; it is served once the Service has an address."""

    name: str
    service: str
    port: str | int | None
    options: TcpOptions
    address: IPv4Address | None = None
    """Beside the Service's own address: there the same port is served with these settings."""

    def is_for(self, service: str, port: Mapping[str, Any], *, alone: bool) -> bool:
        """Whether it means this port of this Service; `alone`: the Service has no other."""
        if self.service != service:
            return False
        return alone if self.port is None else self.port in (port.get("name"), port["port"])


def decode(raw: object, where: str) -> ServiceFrontend:
    """Decode an entry of mode `loadbalancer`.

    Raises:
        SettingsError: unknown or missing keys, a name HAProxy would refuse, an address that is none.
    """
    given = expect_object(raw, where, {"name", "service", "port", "mode", "address", "haproxy"})
    name, service, port = decode_named_port(given, where)
    address = given.get("address")
    options = decode_tcp_options(given.get("haproxy", {}), f"{where}.haproxy")
    try:
        own = None if address is None else IPv4Address(str(address))
    except ValueError as error:
        raise SettingsError(f"{where}.address: {error}") from error
    return ServiceFrontend(name=name, service=service, port=port, options=options, address=own)
