"""The load: one open arrival process per path and connection class, and the control probe."""

from ipaddress import IPv4Address

from orchestrator.model.plan import LoadClassPlan, LoadPlan, PathPlan
from orchestrator.scenario.schema import Scenario

CONTROL_PATH = "control"
CONTROL_PORT = 8090

# What one sender holds with a lateness of some milliseconds, per second: measured with plain sockets under gevent on one core.
# Ephemeral ports are no closer limit: 60,000 for each destination, each free again after 1 s (tcp_tw_reuse=1, RFC 6191).
SENDER_REACH_RPS = {"new": 2000.0, "keepalive": 4000.0}
TLS_REACH_RPS = {"new": 400.0, "keepalive": 2500.0}
"""The same with TLS: a handshake (TLS 1.3, P-256, certificate verified) is 1.5 ms of the sender's time."""


def plan_load(scenario: Scenario, paths: tuple[PathPlan, ...], controlplane: IPv4Address, seed: int) -> LoadPlan:
    """Raises ValueError when one sender cannot hold the rates."""
    spec = scenario.load
    classes = tuple(
        LoadClassPlan(
            path=path.name,
            connection_class=connection_class,
            url=path.url,
            rate_rps=spec.rate,
            connections=spec.connections if connection_class == "keepalive" else 1,
            arrivals=spec.arrivals,
            connect_to=path.connect_to,
            ca_file=path.ca_file,
        )
        for path in paths
        for connection_class in spec.classes
    )
    control = LoadClassPlan(
        path=CONTROL_PATH,
        connection_class="new",
        url=f"http://{controlplane}:{CONTROL_PORT}/",
        rate_rps=spec.control_rate,
        connections=1,
        expect="any",
    )
    every = (*classes, control)
    use_ratio = sum(item.rate_rps / _reach_rps(item) for item in every)
    if use_ratio > 1:
        reach = ", ".join(f"{rate:g}/s {name}" for name, rate in SENDER_REACH_RPS.items())
        raise ValueError(
            f"rate: {spec.rate:g}/s on {len(classes)} path classes is {use_ratio:.1f} times what one sender holds ({reach}); "
            f"allowed here: up to {spec.rate / use_ratio:.0f}/s"
        )
    needed = sum(item.rate_rps for item in every) * spec.timeout
    limit = spec.in_flight_limit if spec.in_flight_limit is not None else round(needed * 1.5) + 100
    return LoadPlan(
        duration_s=scenario.duration,
        timeout_s=spec.timeout,
        in_flight_limit=limit,
        seed=seed,
        classes=every,
        lateness_limit_s=spec.lateness_limit,
        control_latency_limit_s=spec.control_latency_limit,
    )


def _reach_rps(load: LoadClassPlan) -> float:
    return (TLS_REACH_RPS if load.url.startswith("https:") else SENDER_REACH_RPS)[load.connection_class]
