"""What the load balancer did behind a path's back: connections, retries and redispatches of each server."""

from collections import Counter
from collections.abc import Iterable

from orchestrator.metrics.attribution import Connection
from orchestrator.model.history import Event, History
from orchestrator.model.measurements import ServerUse

_COUNTERS = ("retries", "redispatches", "connection_errors")


def measure_servers(history: History, connections: Iterable[Connection]) -> tuple[ServerUse, ...]:
    """One for each backend and server that had a connection or a retry during the load.

    HAProxy's counters are cumulative and begin anew when it does: what counts is their growth since the start of the load.
    """
    start_ns = history.start_mono_ns or 0
    growth: dict[tuple[str, str], Counter[str]] = {}
    last: dict[tuple[str, str], Event] = {}
    for event in history.select("retries"):
        key = str(event.fields.get("backend")), str(event.fields.get("server"))
        if event.t_mono_ns >= start_ns:
            own = growth.setdefault(key, Counter())
            for counter in _COUNTERS:
                now, before = _count(event, counter), _count(last.get(key), counter)
                own[counter] += now - before if now >= before else now
        last[key] = event
    served = Counter((item.backend, item.server) for item in connections if item.t_mono_ns >= start_ns)
    return tuple(
        ServerUse(
            backend=key[0],
            server=key[1],
            connections=served[key],
            retries=growth.get(key, Counter())["retries"],
            redispatches=growth.get(key, Counter())["redispatches"],
            connection_errors=growth.get(key, Counter())["connection_errors"],
        )
        for key in sorted({*growth, *served})
    )


def _count(event: Event | None, counter: str) -> int:
    value = None if event is None else event.fields.get(counter)
    return value if isinstance(value, int) else 0
