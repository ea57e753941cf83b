"""What a class calls: a URL taken apart once, its host resolved once, so that no request pays for it. Must not connect."""

import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

from gevent.ssl import PROTOCOL_TLS_CLIENT, SSLContext, SSLError, TLSVersion

PORTS = {"http": 80, "https": 443}


class TargetError(ValueError):
    """A URL that cannot be called."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    url: str
    family: socket.AddressFamily
    address: tuple[str | int | bytes, ...]
    """As the socket module takes it for the family."""
    host: str
    """The Host header: RFC 9110 section 7.2."""
    path: str
    tls: SSLContext | None = None
    """None: plain HTTP."""
    server_name: str = ""
    """What TLS asks for (RFC 6066 section 3), and the certificate must be for."""

    def render_request(self, *, keep_alive: bool) -> bytes:
        """The bytes of one GET. `Connection: close` asks the responder to end the connection: RFC 9112 section 9.6."""
        connection = "keep-alive" if keep_alive else "close"
        head = (
            f"GET {self.path} HTTP/1.1",
            f"Host: {self.host}",
            "User-Agent: ingress-testbed",
            "Accept: */*",
            f"Connection: {connection}",
        )
        return "\r\n".join((*head, "", "")).encode("ascii")


def resolve_target(url: str, *, connect_to: str | None = None, ca_file: str | None = None) -> Target:
    """`connect_to`: what is called in place of the URL's host; `ca_file`: who may sign, None: the system's authorities.

    Raises TargetError for a URL that is not HTTP, whose host has no address, or a file without certificates.
    """
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError as error:
        raise TargetError(f"{url}: {error}") from error
    if parts.scheme not in PORTS or not parts.hostname:
        raise TargetError(f"{url}: allowed: http://host[:port]/path or https://host[:port]/path")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if not (path.isascii() and path.isprintable() and " " not in path):
        raise TargetError(f"{url}: the path must be percent-encoded (RFC 3986 section 2.1)")
    called = connect_to or parts.hostname
    try:
        family, _, _, _, address = socket.getaddrinfo(called, port or PORTS[parts.scheme], type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise TargetError(f"{url}: {called}: {error.strerror}") from error
    return Target(
        url=url,
        family=family,
        address=address,
        host=parts.netloc.rpartition("@")[2],
        path=path,
        tls=_make_context(url, ca_file) if parts.scheme == "https" else None,
        server_name=parts.hostname,
    )


def _make_context(url: str, ca_file: str | None) -> SSLContext:
    """One for all connections of a class: it reads the file once, and keeps no session, so that each handshake is a whole one."""
    # Of this protocol, so that certificate and name are verified.
    context = SSLContext(PROTOCOL_TLS_CLIENT)
    try:
        if ca_file is None:
            context.load_default_certs()
        else:
            context.load_verify_locations(ca_file)
    except (OSError, SSLError) as error:
        raise TargetError(f"{url}: {ca_file}: {error}; allowed: a file of certificates (PEM)") from error
    context.minimum_version = TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context
