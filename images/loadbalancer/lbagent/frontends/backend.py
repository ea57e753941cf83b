"""A backend section of haproxy.cfg, and the words of its servers, from a frontend's options. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lbagent.frontends.options import Balance, Observe, TcpOptions
from lbagent.frontends.seam import Backend, Check
from lbagent.servers import Server, render_server


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
