"""`keepalive`: a pool of kept-alive connections, used in turn, as clients behind a connection pool behave."""

from collections import deque

from loadtests.connections.http import HttpConnection, connect
from loadtests.connections.seam import Clock, ConnectionClass, Exchange
from loadtests.connections.target import Target
from loadtests.outcomes import Outcome, RequestFailedError

# No byte of a response came and the connection is gone: the server may have closed it while idle, which no client can know before
# it sends. An idempotent request is then sent again on a fresh connection, once (RFC 9110 section 9.2.2, RFC 9112 section 9.3.1).
_MAY_HAVE_CROSSED = frozenset({Outcome.RESET, Outcome.CLOSED})


class KeepAlive(ConnectionClass):
    """The pool fills to `connections`, each taken in turn, and grows beyond only while all are busy."""

    def __init__(self, target: Target, *, timeout_s: float, connections: int, clock: Clock) -> None:
        self._target = target
        self._request = target.render_request(keep_alive=True)
        self._timeout_ns = round(timeout_s * 1e9)
        self._connections = connections
        self._clock = clock
        self._idle: deque[HttpConnection] = deque()
        self._busy = 0

    def request(self, exchange: Exchange) -> None:
        deadline_ns = self._clock() + self._timeout_ns
        self._busy += 1
        try:
            kept = self._take()
            if kept is not None and self._served(kept, exchange, deadline_ns):
                return
            fresh = connect(self._target, exchange, deadline_ns, self._clock)
            self._carry_out(fresh, exchange, deadline_ns)
        finally:
            self._busy -= 1

    def close(self) -> None:
        while self._idle:
            self._idle.popleft().close()

    def _take(self) -> HttpConnection | None:
        """The connection that has been idle for longest; None: open a new one."""
        if len(self._idle) + self._busy <= self._connections:
            return None
        while self._idle:
            connection = self._idle.popleft()
            if connection.is_quiet():
                return connection
            connection.close()
        return None

    def _served(self, kept: HttpConnection, exchange: Exchange, deadline_ns: int) -> bool:
        """False: the connection had been closed before the request reached the server; send it again."""
        try:
            self._carry_out(kept, exchange, deadline_ns)
        except RequestFailedError as error:
            if error.outcome not in _MAY_HAVE_CROSSED or exchange.first_byte_ns:
                raise
            exchange.attempt = 2
            return False
        return True

    def _carry_out(self, connection: HttpConnection, exchange: Exchange, deadline_ns: int) -> None:
        try:
            connection.exchange(self._request, exchange, deadline_ns)
        except BaseException:
            connection.close()
            raise
        if connection.stays_open and len(self._idle) < self._connections:
            self._idle.append(connection)
        else:
            connection.close()
