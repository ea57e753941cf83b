"""What a class calls: a URL taken apart once, its host resolved once, so that no request pays for it. Must not connect."""

import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

HTTP_PORT = 80


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


def resolve_target(url: str) -> Target:
    """Raises TargetError for a URL that is not plain HTTP, or whose host has no address."""
    parts = urlsplit(url)
    try:
        port = parts.port or HTTP_PORT
    except ValueError as error:
        raise TargetError(f"{url}: {error}") from error
    if parts.scheme != "http" or not parts.hostname:
        raise TargetError(f"{url}: allowed: http://host[:port]/path")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if not (path.isascii() and path.isprintable() and " " not in path):
        raise TargetError(f"{url}: the path must be percent-encoded (RFC 3986 section 2.1)")
    try:
        family, _, _, _, address = socket.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise TargetError(f"{url}: {parts.hostname}: {error.strerror}") from error
    return Target(url=url, family=family, address=address, host=parts.netloc.rpartition("@")[2], path=path)
