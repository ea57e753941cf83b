"""Layer 4: connections to one address spread over the node ports of one service."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lbagent.connection_log import LOG_FORMAT_TCP
from lbagent.decoding import SettingsError, expect_object
from lbagent.frontends.backend import make_backend, render_backend
from lbagent.frontends.naming import decode_named_port
from lbagent.frontends.options import TcpOptions, decode_tcp_options
from lbagent.frontends.seam import Backend, Check, Frontend
from lbagent.servers import Server


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpFrontend:
    """`bind` -> servers at the node port of `service`:`port`; frontend and backend carry the same name."""

    name: str
    bind: str
    service: str
    port: str | int | None
    options: TcpOptions
    sources: tuple[str, ...] = ()
    """Networks that may connect (`loadBalancerSourceRanges`); none: everybody.

    HAProxy must enforce it: the nodes see HAProxy's address, and their rules filter by the external address, which nothing
    that HAProxy forwards carries any more.
    """

    @property
    def check(self) -> Check:
        """What its servers are asked."""
        return self.options.check or Check.TCP

    def backends(self) -> tuple[Backend, ...]:
        """The one backend."""
        return (make_backend(self.name, self.service, self.port, self.options, self.check),)

    def render(self, servers: Mapping[str, Sequence[Server]]) -> str:
        """Frontend and backend section."""
        options = self.options
        lines = [
            f"frontend {self.name}",
            f"    bind {self.bind}",
            "    mode tcp",
            f"    timeout client {options.client_timeout_ms}ms",
            f"    log-format {LOG_FORMAT_TCP}",
            *([f"    tcp-request connection reject unless {{ src {' '.join(self.sources)} }}"] if self.sources else []),
            f"    default_backend {self.name}",
            "",
            *render_backend(self.backends()[0], options, servers.get(self.name, ()), mode="tcp"),
        ]
        return "".join(f"{line}\n" for line in lines)


def decode(raw: object, where: str) -> Frontend:
    """Decode a tcp frontend.

    Raises:
        SettingsError: unknown or missing keys, a name HAProxy would refuse, an address that is none.
    """
    given = expect_object(raw, where, {"name", "bind", "service", "port", "mode", "haproxy"})
    name, service, port = decode_named_port(given, where)
    return TcpFrontend(
        name=name,
        bind=parse_socket_address(given.get("bind"), f"{where}.bind"),
        service=service,
        port=port,
        options=decode_tcp_options(given.get("haproxy", {}), f"{where}.haproxy"),
    )


def parse_socket_address(value: object, where: str) -> str:
    host, _, port = value.rpartition(":") if isinstance(value, str) else ("", "", "")
    try:
        address = ipaddress.IPv4Address(host)
    except ValueError:
        raise SettingsError(f"{where}: must be IPv4:port, got {value!r}") from None
    if not port.isdecimal() or not 1 <= int(port) <= 65535:
        raise SettingsError(f"{where}: must be IPv4:port, got {value!r}")
    return f"{address}:{port}"
