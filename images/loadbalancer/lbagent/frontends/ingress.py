"""Layer 7: the cluster's Ingresses on one address, with TLS from their Secrets, and a backend for every service port they name.

The plan gives name, addresses and settings; what is routed where the cluster decides. Nothing is bound while there is no Ingress.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lbagent.connection_log import LOG_FORMAT_HTTP
from lbagent.decoding import SettingsError, decode_flat, expect_object
from lbagent.frontends.backend import make_backend, render_backend
from lbagent.frontends.naming import NAME
from lbagent.frontends.options import TcpOptions
from lbagent.frontends.seam import Backend, Check
from lbagent.frontends.tcp import parse_socket_address
from lbagent.ingress.maps import UNAVAILABLE, MapPaths, render_lookups, render_map
from lbagent.ingress.reading import Certificate, IngressView
from lbagent.ingress.routing import Target, Unrouted
from lbagent.servers import Server

TLS_PORT_OPTIONS = "alpn h2,http/1.1 ssl-min-ver TLSv1.2"


@dataclass(frozen=True, slots=True, kw_only=True)
class IngressEntry:
    """An entry of mode `ingress`: where Ingresses are served, and with which settings."""

    name: str
    bind: str | None
    bind_tls: str | None
    options: TcpOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class IngressFrontend:
    """An entry with what the cluster asks for.

    Maps and lists are named by what is in them, so that another routing is another configuration.
    """

    entry: IngressEntry
    view: IngressView
    directory: Path
    checks: Mapping[str, Check]
    """What servers of a Service are asked, where the settings leave it open; by namespace and name."""

    @property
    def name(self) -> str:
        """Name in HAProxy, in events and in the connection log."""
        return self.entry.name

    def backend_name(self, target: Target) -> str:
        """`<frontend>:<namespace>:<service>:<port>`."""
        return f"{self.name}:{target.service.replace('/', ':')}:{target.port}"

    def backends(self) -> tuple[Backend, ...]:
        """One for each service port that a request can reach."""
        options = self.entry.options
        return tuple(
            make_backend(
                self.backend_name(target),
                target.service,
                target.port,
                options,
                options.check or self.checks.get(target.service, Check.TCP),
            )
            for target in self.view.table.targets()
        )

    def maps(self) -> MapPaths:
        """Where its maps lie."""
        table = self.view.table
        return MapPaths(
            exact=self._path("exact.map", render_map(table.exact, self.backend_name)),
            prefix=self._path("prefix.map", render_map(table.prefix, self.backend_name)),
        )

    def certificate_list(self) -> Path:
        """Where its list of certificates lies."""
        return self._path("crt-list", self._render_certificate_list())

    def files(self) -> Mapping[Path, str]:
        """What HAProxy reads besides its configuration."""
        table, maps = self.view.table, self.maps()
        return {
            maps.exact: render_map(table.exact, self.backend_name),
            maps.prefix: render_map(table.prefix, self.backend_name),
            self.certificate_list(): self._render_certificate_list(),
            **{certificate_path(self.directory, item): item.pem for item in self.view.certificates},
        }

    def render(self, servers: Mapping[str, Sequence[Server]]) -> str:
        """Frontend and backend sections."""
        entry, options, default = self.entry, self.entry.options, self.view.table.default
        is_unrouted = isinstance(default, Unrouted)
        lines = [
            f"frontend {self.name}",
            *([f"    bind {entry.bind}"] if entry.bind else []),
            *([f"    bind {entry.bind_tls} {self._tls_options()}"] if entry.bind_tls else []),
            "    mode http",
            f"    timeout client {options.client_timeout_ms}ms",
            f"    log-format {LOG_FORMAT_HTTP}",
            # Every request chooses its server anew, whatever connection it came on, and none is left idle at a node that goes.
            "    option http-server-close",
            *(f"    {line}" for line in render_lookups(self.maps())),
            f"    http-request return status 503 if {{ var(txn.backend) -m str {UNAVAILABLE} }}",
            *([f"    http-request return status {default} unless {{ var(txn.backend) -m found }}"] if is_unrouted else []),
            # What a client says of itself is not believed.
            "    http-request set-header X-Forwarded-For %[src]",
            "    http-request set-header X-Forwarded-Proto http",
            "    http-request set-header X-Forwarded-Proto https if { ssl_fc }",
            "    http-request set-header X-Forwarded-Host %[req.hdr(host)]",
            "    use_backend %[var(txn.backend)] if { var(txn.backend) -m found }",
            *([f"    default_backend {self.backend_name(default)}"] if isinstance(default, Target) else []),
        ]
        for backend in self.backends():
            lines += ["", *render_backend(backend, options, servers.get(backend.name, ()), mode="http")]
        return "".join(f"{line}\n" for line in lines)

    def _path(self, kind: str, content: str) -> Path:
        return self.directory / f"{hashlib.sha256(content.encode()).hexdigest()[:16]}.{kind}"

    def _tls_options(self) -> str:
        # Without a certificate for every other name, a client that asks for one is refused in the handshake.
        has_default = any("" in item.names for item in self.view.certificates)
        strict = "" if has_default else " strict-sni"
        return f"ssl crt-list {self.certificate_list()}{strict} {TLS_PORT_OPTIONS}"

    def _render_certificate_list(self) -> str:
        """`file names`, the first being HAProxy's default (configuration manual 2.6, section 5.1, `crt-list`)."""
        first = sorted(self.view.certificates, key=lambda item: ("" not in item.names, item.secret))
        return "".join(f"{certificate_path(self.directory, item)} {' '.join(_filters(item))}\n" for item in first if item.names)


def certificate_path(directory: Path, certificate: Certificate) -> Path:
    """The same as long as the Secret has its name, so that a renewed certificate needs no reload."""
    return directory / f"{certificate.secret.replace('/', ':')}.pem"


def _filters(certificate: Certificate) -> tuple[str, ...]:
    """Server names; `!*` where only the default is meant, lest HAProxy take the names from the certificate itself."""
    return tuple(name for name in certificate.names if name) or ("!*",)


def decode(raw: object, where: str) -> IngressEntry:
    """Decode an entry of mode `ingress`.

    Raises:
        SettingsError: unknown keys, no address, one that is none, a name HAProxy would refuse.
    """
    given = expect_object(raw, where, {"name", "bind", "bind_tls", "mode", "haproxy"})
    name = given.get("name")
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise SettingsError(f"{where}.name: must consist of letters, digits and _.:-, got {name!r}")
    bind, bind_tls = (
        None if given.get(key) is None else parse_socket_address(given[key], f"{where}.{key}") for key in ("bind", "bind_tls")
    )
    if bind is None and bind_tls is None:
        raise SettingsError(f"{where}: needs bind, bind_tls, or both")
    options = decode_flat(TcpOptions, given.get("haproxy", {}), f"{where}.haproxy")
    return IngressEntry(name=name, bind=bind, bind_tls=bind_tls, options=options)
