"""Retries and redispatches from HAProxy's counters, connections from its log."""

from orchestrator.metrics.attribution import Connection
from orchestrator.metrics.servers import measure_servers
from orchestrator.model.history import Event, History, order_events
from orchestrator.model.measurements import ServerUse

START_NS = 1_000_000_000_000


def history(*counted: tuple[float, str, int, int]) -> History:
    """(second, server, retries, redispatches) and the start of the load."""
    return order_events(
        [
            Event(t_mono_ns=START_NS, source="client/load", event="load-started", fields={"start_mono_ns": START_NS}),
            *(
                Event(
                    t_mono_ns=START_NS + round(second * 1e9),
                    source="loadbalancer/lb",
                    event="retries",
                    fields={
                        "backend": "nodeport",
                        "server": server,
                        "retries": retries,
                        "redispatches": redispatches,
                        "connection_errors": 0,
                    },
                )
                for second, server, retries, redispatches in counted
            ),
        ]
    )


def ended(second: float, server: str) -> Connection:
    t_mono_ns = START_NS + round(second * 1e9)
    return Connection(t_mono_ns=t_mono_ns, client_port=1, backend="nodeport", server=server, total_ms=1.0)


def used(server: str, *, connections: int = 0, retries: int = 0, redispatches: int = 0) -> ServerUse:
    return ServerUse(
        backend="nodeport",
        server=server,
        connections=connections,
        retries=retries,
        redispatches=redispatches,
        connection_errors=0,
    )


def test_cumulative_counters_count_by_their_growth_since_the_start_of_the_load() -> None:
    events = history((-2.0, "node-1", 5, 7), (3.0, "node-1", 6, 17), (4.0, "node-1", 6, 27))
    assert measure_servers(events, ()) == (used("node-1", retries=1, redispatches=20),)


def test_haproxy_that_began_anew_does_not_take_anything_away() -> None:
    events = history((3.0, "node-1", 10, 10), (4.0, "node-1", 2, 0), (5.0, "node-1", 3, 1))
    assert measure_servers(events, ()) == (used("node-1", retries=13, redispatches=11),)


def test_connections_before_the_load_are_not_counted() -> None:
    connections = (ended(-1.0, "node-1"), ended(1.0, "node-2"), ended(2.0, "node-2"))
    assert measure_servers(history(), connections) == (used("node-2", connections=2),)


def test_run_without_a_load_balancer_has_no_servers() -> None:
    assert measure_servers(history(), ()) == ()
