"""Layer 4: connections to one address spread over the node ports of one service."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from lbagent.connection_log import LOG_FORMAT_TCP
from lbagent.decoding import SettingsError, decode_flat, expect_object
from lbagent.frontends.seam import Backend, Check, Frontend
from lbagent.servers import Server, render_server

NAME = re.compile(r"[A-Za-z0-9_.:-]+")
"""What HAProxy allows in a proxy's name (configuration manual, section 4)."""


class Balance(StrEnum):
    """The algorithms that take servers at run time (`add server` refuses static ones)."""

    ROUNDROBIN = "roundrobin"
    LEASTCONN = "leastconn"
    FIRST = "first"
    RANDOM = "random"
    SOURCE = "source"


class Observe(StrEnum):
    """Which traffic counts as a check besides (`observe`); layer 7 is for proxies that read HTTP."""

    NONE = "none"
    LAYER4 = "layer4"
    LAYER7 = "layer7"


class OnError(StrEnum):
    """What `error_limit` consecutive errors of observed traffic do; each also brings the next check forward (`fastinter`)."""

    FASTINTER = "fastinter"
    FAIL_CHECK = "fail-check"
    """Count as a failed check."""
    SUDDEN_DEATH = "sudden-death"
    """Count as all failed checks but the last."""
    MARK_DOWN = "mark-down"


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpOptions:
    """`haproxy` of a tcp frontend, under HAProxy's own names; defaults are HAProxy's own where it has one.

    Source: HAProxy 2.6 configuration manual, sections 4.2 (`timeout`, `retries`, `option redispatch`, `balance`) and
    5.2 (server options).
    """

    inter_ms: int = 2000
    """From one check to the next while the server's state is settled."""
    fastinter_ms: int | None = None
    """The same between the first deviating check and the decision; None: `inter_ms`."""
    downinter_ms: int | None = None
    """The same while the server is down; None: `inter_ms`."""
    fall: int = 3
    rise: int = 2
    checks: bool = True
    """False: servers are taken for healthy for ever."""
    check: Check | None = None
    """None: `tcp`, or for a load balancer's Service with externalTrafficPolicy Local its health check node port."""
    agent_inter_ms: int = 2000
    """From one agent check to the next."""
    agent_port: int = 10257
    """Where the nodes' agents answer."""
    observe: Observe = Observe.NONE
    error_limit: int = 10
    on_error: OnError = OnError.FAIL_CHECK
    starts_down: bool = True
    """A new server is down until a check has passed, as a cloud's target group has it; False: up at once."""
    check_timeout_ms: int | None = None
    """For a check's answer after its connection; None: `inter_ms`, HAProxy's own."""
    connect_timeout_ms: int = 1000
    client_timeout_ms: int = 60000
    server_timeout_ms: int = 60000
    retries: int = 3
    redispatch: int = 1
    """0: off; N: another server at every Nth retry; -1: at the last one."""
    retry_on: str = ""
    """Words of `retry-on`, which proxies that read HTTP have; empty: HAProxy's own, a connection that failed."""
    balance: Balance = Balance.ROUNDROBIN
    shutdown_sessions_on_down: bool = False
    """`on-marked-down shutdown-sessions`: connections to a server that is marked down are cut."""
    send_proxy_v2: bool = False
    """PROXY protocol version 2 to the server, so that it learns the client's address."""

    def __post_init__(self) -> None:
        for name, lowest in LOWEST.items():
            value = getattr(self, name)
            if value is not None and value < lowest:
                raise ValueError(f"{name} must be at least {lowest}, got {value}")
        if self.observe is not Observe.NONE and not self.checks:
            raise ValueError("observe needs checks: what it observes is added to their verdict")
        if unknown := set(self.retry_on.split()) - RETRY_ON:
            raise ValueError(f"retry_on: {', '.join(sorted(unknown))}; allowed: {', '.join(sorted(RETRY_ON))}")


RETRY_ON = frozenset(
    {
        "all-retryable-errors",
        "conn-failure",
        "empty-response",
        "junk-response",
        "response-timeout",
        *("401", "403", "404", "408", "425", "500", "501", "502", "503", "504"),
    }
)
"""HAProxy 2.6 configuration manual, section 4.2, `retry-on`."""


def decode_tcp_options(raw: object, where: str) -> TcpOptions:
    """Of a proxy that forwards TCP. Raises SettingsError, also for what only one that reads HTTP has."""
    options = decode_flat(TcpOptions, raw, where)
    if options.observe is Observe.LAYER7:
        raise SettingsError(f"{where}.observe: layer7 is for mode ingress; allowed: none, layer4")
    if options.retry_on:
        raise SettingsError(f"{where}.retry_on: is for mode ingress, which reads HTTP")
    return options


LOWEST: Mapping[str, int] = {
    "inter_ms": 1,
    "fastinter_ms": 1,
    "downinter_ms": 1,
    "fall": 1,
    "rise": 1,
    "check_timeout_ms": 1,
    "agent_inter_ms": 1,
    "agent_port": 1,
    "error_limit": 1,
    "connect_timeout_ms": 1,
    "client_timeout_ms": 1,
    "server_timeout_ms": 1,
    "retries": 0,
    "redispatch": -1,
}


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


def make_backend(name: str, service: str, port: str | int | None, options: TcpOptions, check: Check) -> Backend:
    """The backend of one service port with these options."""
    return Backend(
        name=name,
        service=service,
        port=port,
        server_options=render_server_options(options, service),
        checks=options.checks,
        starts_down=options.checks and options.starts_down,
        check=check,
    )


def render_backend(backend: Backend, options: TcpOptions, servers: Sequence[Server], *, mode: str) -> tuple[str, ...]:
    """The lines of a backend section."""
    return (
        f"backend {backend.name}",
        f"    mode {mode}",
        f"    balance {options.balance}",
        # Without it `source` is a static map, which takes no servers at run time.
        *(["    hash-type consistent"] if options.balance is Balance.SOURCE else []),
        f"    timeout connect {options.connect_timeout_ms}ms",
        f"    timeout server {options.server_timeout_ms}ms",
        *([f"    timeout check {options.check_timeout_ms}ms"] if options.check_timeout_ms is not None else []),
        *HTTP_CHECKS.get(backend.check if options.checks else Check.TCP, ()),
        f"    retries {options.retries}",
        *([f"    retry-on {options.retry_on}"] if options.retry_on and mode == "http" else []),
        f"    option redispatch {options.redispatch}" if options.redispatch else "    no option redispatch",
        *(f"    server {render_server(server, backend.server_options)}" for server in servers),
    )


HTTP_CHECKS: Mapping[Check, tuple[str, ...]] = {
    Check.HTTP_HEALTHZ: ("    option httpchk GET /healthz", "    http-check expect status 200"),
    Check.HEALTH_CHECK_NODE_PORT: ("    option httpchk GET /", "    http-check expect status 200"),
}


def render_server_options(options: TcpOptions, service: str) -> tuple[str, ...]:
    """The words after a server's address; `service` is what an agent is asked about."""
    words: list[str] = []
    if options.checks:
        words += ["check", "inter", f"{options.inter_ms}ms", "fall", str(options.fall), "rise", str(options.rise)]
        if options.fastinter_ms is not None:
            words += ["fastinter", f"{options.fastinter_ms}ms"]
        if options.downinter_ms is not None:
            words += ["downinter", f"{options.downinter_ms}ms"]
        if options.check is Check.AGENT:
            words += ["agent-check", "agent-port", str(options.agent_port), "agent-inter", f"{options.agent_inter_ms}ms"]
            # HAProxy's own escapes differ between file and Runtime API; a comma is none, and no name has one.
            words += ["agent-send", f"{service},"]
        if options.observe is not Observe.NONE:
            words += ["observe", options.observe, "error-limit", str(options.error_limit), "on-error", options.on_error]
        if options.shutdown_sessions_on_down:
            words += ["on-marked-down", "shutdown-sessions"]
    if options.send_proxy_v2:
        words.append("send-proxy-v2")
    return tuple(words)


def decode(raw: object, where: str) -> Frontend:
    """Decode a tcp frontend.

    Raises:
        SettingsError: unknown or missing keys, a name HAProxy would refuse, an address that is none.
    """
    given = expect_object(raw, where, {"name", "bind", "service", "port", "mode", "haproxy"})
    name, bind, service, port = (given.get(key) for key in ("name", "bind", "service", "port"))
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise SettingsError(f"{where}.name: must consist of letters, digits and _.:-, got {name!r}")
    if not isinstance(service, str) or service.count("/") != 1:
        raise SettingsError(f"{where}.service: must be namespace/name, got {service!r}")
    if port is not None and (isinstance(port, bool) or not isinstance(port, str | int)):
        raise SettingsError(f"{where}.port: must be the name or number of a service port or null, got {port!r}")
    return TcpFrontend(
        name=name,
        bind=parse_socket_address(bind, f"{where}.bind"),
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
