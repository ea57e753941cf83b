"""How a request can end, and which outcome an error of the network means. The numbers are docs/contracts.md section 5's."""

import errno
import ssl
from enum import IntEnum


class Outcome(IntEnum):
    OK = 0
    REFUSED = 1
    RESET = 2
    CONNECT_TIMEOUT = 3
    RESPONSE_TIMEOUT = 4
    UNREACHABLE = 5
    HTTP_STATUS = 6
    TLS = 7
    BAD_BODY = 8
    CLOSED = 9
    OTHER = 10

    @property
    def label(self) -> str:
        return self.name.lower().replace("_", "-")


class RequestFailedError(Exception):
    """A request ended otherwise than ok. `detail` is for people."""

    def __init__(self, outcome: Outcome, detail: str = "") -> None:
        super().__init__(f"{outcome.label}: {detail}" if detail else outcome.label)
        self.outcome = outcome
        self.detail = detail


_BY_ERRNO = {
    errno.ECONNREFUSED: Outcome.REFUSED,
    errno.ECONNRESET: Outcome.RESET,
    # The peer's RST came before our write, or answers it: tcp(7).
    errno.EPIPE: Outcome.RESET,
    errno.ECONNABORTED: Outcome.RESET,
    # ICMP destination unreachable (RFC 792) in answer to a SYN, an unresolved neighbour, or no route of our own.
    errno.EHOSTUNREACH: Outcome.UNREACHABLE,
    errno.ENETUNREACH: Outcome.UNREACHABLE,
    errno.EHOSTDOWN: Outcome.UNREACHABLE,
    errno.ENETDOWN: Outcome.UNREACHABLE,
}


def outcome_of(error: OSError, *, connected: bool) -> Outcome:
    """The outcome that an error of connect, send or recv means; TimeoutError and ETIMEDOUT depend on how far the request was."""
    if isinstance(error, TimeoutError) or error.errno == errno.ETIMEDOUT:
        return Outcome.RESPONSE_TIMEOUT if connected else Outcome.CONNECT_TIMEOUT
    if isinstance(error, ssl.SSLError):
        # An end of stream that TLS did not announce is one all the same.
        return Outcome.CLOSED if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError) else Outcome.TLS
    return _BY_ERRNO.get(error.errno or 0, Outcome.OTHER)
