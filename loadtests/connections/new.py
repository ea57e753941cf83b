"""`new`: a TCP connection of its own for every request, as clients without a pool behave."""

from loadtests.connections.http import connect
from loadtests.connections.seam import Clock, ConnectionClass, Exchange
from loadtests.connections.target import Target


class NewConnections(ConnectionClass):
    """`connections` has no meaning here: there are as many as requests in flight."""

    def __init__(self, target: Target, *, timeout_s: float, connections: int, clock: Clock) -> None:
        self._target = target
        self._request = target.render_request(keep_alive=False)
        self._timeout_ns = round(timeout_s * 1e9)
        self._clock = clock

    def request(self, exchange: Exchange) -> None:
        deadline_ns = self._clock() + self._timeout_ns
        connection = connect(self._target, exchange, deadline_ns, self._clock)
        try:
            connection.exchange(self._request, exchange, deadline_ns)
        finally:
            connection.close()

    def close(self) -> None:
        return
