"""HAProxy's settings as a path's options: what a user may write, and how the load balancer's agent is told."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, model_validator

from orchestrator.contracts import ServiceFacts
from orchestrator.scenario.quantities import DurationS

MilliS = Annotated[DurationS, Field(ge=0.001, le=86400.0)]
"""HAProxy counts in whole milliseconds; a day is longer than any run."""

HEALTH_CHECK_NODE_PORT = "health-check-node-port"
_NEEDS_AN_ENDPOINT = ("tcp", "agent", HEALTH_CHECK_NODE_PORT)
"""Checks that fail on a node without endpoints of its own where the policy is Local."""


RetryOn = Literal[
    "all-retryable-errors",
    "conn-failure",
    "empty-response",
    "junk-response",
    "response-timeout",
    "401",
    "403",
    "404",
    "408",
    "425",
    "500",
    "501",
    "502",
    "503",
    "504",
]


class HaproxyOptions(BaseModel):
    """HAProxy's settings, under the names of its configuration manual (2.6); the defaults are HAProxy's own where it has one.

    What HAProxy has in mode http only, for it must read requests for it, is in `HttpHaproxyOptions`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    checks: StrictBool = Field(default=True, description="false: servers are never taken out (the classic mistake)")
    check: Literal["tcp", "http-healthz", "health-check-node-port", "agent"] | None = Field(
        default=None,
        description="what a check asks: the node port, kube-proxy's healthz, the Service's healthCheckNodePort, or the node "
        "port and the node's agent; by default the node port, or the healthCheckNodePort for a load balancer with policy Local",
    )
    inter: MilliS = Field(default=2.0, validate_default=False)
    fastinter: MilliS | None = None
    downinter: MilliS | None = None
    agent_inter: MilliS = Field(default=2.0, validate_default=False)
    rise: StrictInt = Field(default=2, ge=1, le=1000)
    fall: StrictInt = Field(default=3, ge=1, le=1000)
    observe: Literal["none", "layer4"] = Field(default="none", description="layer4: errors of real connections count as checks")
    error_limit: StrictInt = Field(default=10, ge=1, le=1_000_000, description="consecutive errors until on_error")
    on_error: Literal["fastinter", "fail-check", "sudden-death", "mark-down"] = "fail-check"
    connect_timeout: MilliS = Field(default=1.0, validate_default=False)
    check_timeout: MilliS | None = None
    client_timeout: MilliS = Field(default=60.0, validate_default=False)
    server_timeout: MilliS = Field(default=60.0, validate_default=False)
    retries: StrictInt = Field(default=3, ge=0, le=1000)
    redispatch: StrictInt = Field(
        default=1, ge=-1, le=1000, description="0: off; N: to another server at every Nth retry; -1: at the last"
    )
    balance: Literal["roundrobin", "leastconn", "first", "random", "source"] = Field(
        default="roundrobin", description="the algorithms that take servers at run time"
    )
    shutdown_sessions_on_down: StrictBool = Field(default=False, description="on-marked-down shutdown-sessions")
    send_proxy_v2: StrictBool = Field(default=False, description="PROXY protocol to the pods, which must accept it")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.observe != "none" and not self.checks:
            raise ValueError("observe needs checks: what it observes is added to their verdict")
        return self

    def to_settings(self) -> dict[str, object]:
        """The frontend's `haproxy` settings of docs/contracts.md: durations in ms."""
        durations: dict[str, DurationS | None] = {
            "inter_ms": self.inter,
            "fastinter_ms": self.fastinter,
            "downinter_ms": self.downinter,
            "agent_inter_ms": self.agent_inter,
            "connect_timeout_ms": self.connect_timeout,
            "check_timeout_ms": self.check_timeout,
            "client_timeout_ms": self.client_timeout,
            "server_timeout_ms": self.server_timeout,
        }
        return {
            "checks": self.checks,
            "check": self.check,
            "rise": self.rise,
            "fall": self.fall,
            "observe": self.observe,
            "error_limit": self.error_limit,
            "on_error": self.on_error,
            "retries": self.retries,
            "redispatch": self.redispatch,
            "balance": self.balance,
            "shutdown_sessions_on_down": self.shutdown_sessions_on_down,
            "send_proxy_v2": self.send_proxy_v2,
            **{key: round(value * 1000) for key, value in durations.items() if value is not None},
        }


class HttpHaproxyOptions(HaproxyOptions):
    """The same where HAProxy reads HTTP."""

    observe: Literal["none", "layer4", "layer7"] = Field(  # type: ignore[assignment]
        default="none", description="layer4: errors of real connections count as checks; layer7: bad answers too"
    )
    retry_on: tuple[RetryOn, ...] = Field(
        default=(), description="what is tried again besides a connection that failed (section 4.2, retry-on)"
    )

    def to_settings(self) -> dict[str, object]:
        return {**super().to_settings(), **({"retry_on": " ".join(self.retry_on)} if self.retry_on else {})}


def check_service(options: HaproxyOptions, service: ServiceFacts) -> None:
    """Raises ValueError where the Service has not what the check asks."""
    has_port = service.service_type == "LoadBalancer" and service.is_local
    if options.check == HEALTH_CHECK_NODE_PORT and not has_port:
        raise ValueError(
            f"haproxy.check: {service.key} has no healthCheckNodePort; "
            "allowed: a Service of type LoadBalancer with externalTrafficPolicy Local"
        )


def plan_settings(options: HaproxyOptions, service: ServiceFacts, *, default_check: str) -> dict[str, object]:
    """`settings` of the path: HAProxy's own, and what decides which nodes are up behind it."""
    check = options.check or default_check
    return {
        "haproxy": {**options.to_settings(), "check": check},
        "external_traffic_policy": "Local" if service.is_local else "Cluster",
        "needs_local_endpoint": service.is_local and options.checks and check in _NEEDS_AN_ENDPOINT,
    }
