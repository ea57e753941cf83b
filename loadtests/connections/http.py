"""One TCP connection that carries HTTP/1.1 requests one after the other. Must not decide when to connect, reuse or try again."""

import errno
import os
import socket as stdlib_socket
import ssl

from gevent.socket import socket
from gevent.ssl import SSLSocket
from geventhttpclient._parser import HTTPParseError, HTTPResponseParser

from loadtests.connections.seam import Clock, Exchange
from loadtests.connections.target import Target
from loadtests.outcomes import Outcome, RequestFailedError, outcome_of

RECEIVE_BYTES = 16384
MOST_USES = 65535
_FEWEST_S = 1e-6  # gevent takes 0 for "do not wait", which is another kind of socket
_CONNECTED = frozenset({0, errno.EISCONN})
_PENDING = frozenset({errno.EINPROGRESS, errno.EALREADY})  # connect(2)


class _Response(HTTPResponseParser):
    """Keeps of a response what a sample needs. The parser (llhttp) calls every one of these methods."""

    def __init__(self) -> None:
        super().__init__()
        self.complete = False
        self.body = b""

    def _on_message_begin(self) -> None:
        self.complete = False
        self.body = b""

    def _on_body(self, part: bytearray) -> None:
        self.body += part

    def _on_message_complete(self) -> None:
        # An interim response (RFC 9110 section 15.2) is followed by the real one.
        self.complete = self.get_code() >= 200

    def _ignore(self, _text: str) -> None:
        return

    _on_status = _on_header_field = _on_header_value = _ignore

    def _on_headers_complete(self) -> None:
        return


class HttpConnection:
    """Made by `connect`; every method raises RequestFailedError, after which the connection is only to be closed."""

    __slots__ = ("_clock", "_response", "_socket", "local_port", "uses")

    def __init__(self, connected: socket | SSLSocket, local_port: int, clock: Clock) -> None:
        self._socket = connected
        self._response = _Response()
        self._clock = clock
        self.local_port = local_port
        self.uses = 0

    def exchange(self, request: bytes, into: Exchange, deadline_ns: int) -> None:
        """Send a request and read its response to the end."""
        self.uses += 1
        into.connection_use = min(self.uses, MOST_USES)
        into.local_port = self.local_port
        if not into.sent_ns:
            into.sent_ns = self._clock()
        response = self._response
        response.complete = False
        try:
            self._limit(deadline_ns)
            self._socket.sendall(request)
            while not response.complete:
                self._limit(deadline_ns)
                received = self._socket.recv(RECEIVE_BYTES)
                if received and not into.first_byte_ns:
                    into.first_byte_ns = self._clock()
                self._feed(received)
        except OSError as error:
            raise RequestFailedError(outcome_of(error, connected=True), str(error)) from error
        into.http_status = response.get_code()
        into.body = response.body

    def _feed(self, received: bytes) -> None:
        try:
            # No bytes: end of stream, which completes a response that has no length of its own (RFC 9112 section 6.3).
            self._response.feed(received)
        except HTTPParseError as error:
            if received:
                raise RequestFailedError(Outcome.BAD_BODY, f"not HTTP: {error}") from error
        if not received and not self._response.complete:
            raise RequestFailedError(Outcome.CLOSED, "end of stream before the response was complete")

    def _limit(self, deadline_ns: int) -> None:
        self._socket.settimeout(max((deadline_ns - self._clock()) / 1e9, _FEWEST_S))

    @property
    def stays_open(self) -> bool:
        """Whether the last response leaves the connection open for another request (RFC 9112 section 9.3)."""
        return self._response.should_keep_alive()

    def is_quiet(self) -> bool:
        """Whether an idle connection is still open. Bytes or an end that nobody asked for mean that it is not usable."""
        try:
            self._socket.settimeout(0.0)
            # TLS itself may have something to say, such as a session ticket (RFC 8446 section 4.6.1): a peek would see that.
            self._socket.recv(1, 0 if isinstance(self._socket, SSLSocket) else stdlib_socket.MSG_PEEK)
        except (BlockingIOError, ssl.SSLWantReadError):
            return True
        except OSError:
            return False
        return False

    def close(self) -> None:
        self._socket.close()


def connect(target: Target, into: Exchange, deadline_ns: int, clock: Clock) -> HttpConnection:
    """Open a connection; `into.sent_ns` and `into.local_port` are set also when it fails. Raises RequestFailedError."""
    try:
        # The sender's own trouble comes as OSError here, for example no free descriptor.
        fresh = socket(target.family, stdlib_socket.SOCK_STREAM)
    except OSError as error:
        raise RequestFailedError(outcome_of(error, connected=False), str(error)) from error
    try:
        if not into.sent_ns:
            into.sent_ns = clock()
        try:
            _establish(fresh, target, deadline_ns, clock)
        finally:
            into.local_port = fresh.getsockname()[1]
        if target.tls is not None:
            return HttpConnection(_secure(fresh, target, deadline_ns, clock), into.local_port, clock)
    except OSError as error:
        fresh.close()
        raise RequestFailedError(outcome_of(error, connected=False), str(error)) from error
    except BaseException:
        fresh.close()
        raise
    return HttpConnection(fresh, into.local_port, clock)


def _establish(fresh: socket, target: Target, deadline_ns: int, clock: Clock) -> None:
    """Connect by the deadline. Raises OSError, of which TimeoutError is one."""
    fresh.settimeout(0.0)
    status = fresh.connect_ex(target.address)
    if status == errno.EINPROGRESS:
        # Between containers of one machine the answer to the SYN is often there when the first call returns. Asking a second
        # time is a microsecond; waiting for it in the loop is a round of the loop for every connection.
        status = fresh.connect_ex(target.address)
    if status in _PENDING:
        fresh.settimeout(max((deadline_ns - clock()) / 1e9, _FEWEST_S))
        fresh.connect(target.address)
    elif status not in _CONNECTED:
        raise OSError(status, os.strerror(status))


def _secure(connected: socket, target: Target, deadline_ns: int, clock: Clock) -> SSLSocket:
    """Shake hands by the deadline, and verify the certificate and its name. Raises RequestFailedError."""
    assert target.tls is not None
    connected.settimeout(max((deadline_ns - clock()) / 1e9, _FEWEST_S))
    secured = None
    try:
        # The request follows the last word of the handshake at once, in a segment that must not wait until that one is answered.
        connected.setsockopt(stdlib_socket.IPPROTO_TCP, stdlib_socket.TCP_NODELAY, 1)
        secured = target.tls.wrap_socket(connected, server_hostname=target.server_name, do_handshake_on_connect=False)
        secured.do_handshake()
    except OSError as error:
        (connected if secured is None else secured).close()
        # Connected, so that silence from here on is a response that does not come.
        raise RequestFailedError(outcome_of(error, connected=True), str(error)) from error
    except BaseException:
        (connected if secured is None else secured).close()
        raise
    return secured
