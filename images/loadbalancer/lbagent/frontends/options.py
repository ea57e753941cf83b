"""`haproxy` of a frontend that balances over node ports: HAProxy's settings under their own names, checked and decoded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from lbagent.decoding import SettingsError, decode_flat
from lbagent.frontends.seam import Check


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
