"""NodePort behind a load balancer: HAProxy (TCP) checks every node and spreads connections over their node ports."""

from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from orchestrator.contracts import PathParts, PlanContext
from orchestrator.ingress.selection import select_port, select_service
from orchestrator.model.plan import Expectation, PathPlan
from orchestrator.scenario.quantities import DurationS, PositiveDurationS

FIRST_PORT = 80
FURTHER_PORTS = 8000  # a second path of this kind listens on 8001, a third on 8002: one run compares settings side by side


class HaproxyOptions(BaseModel):
    """HAProxy's settings, under the names of its configuration manual (2.6); the defaults are HAProxy's own where it has one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    checks: bool = Field(default=True, description="false: servers are never taken out (the classic mistake)")
    inter: PositiveDurationS = Field(default=2.0, validate_default=False)
    fastinter: PositiveDurationS | None = None
    downinter: PositiveDurationS | None = None
    rise: int = Field(default=2, ge=1)
    fall: int = Field(default=3, ge=1)
    connect_timeout: PositiveDurationS = Field(default=1.0, validate_default=False)
    check_timeout: PositiveDurationS | None = None
    client_timeout: PositiveDurationS = Field(default=60.0, validate_default=False)
    server_timeout: PositiveDurationS = Field(default=60.0, validate_default=False)
    retries: int = Field(default=3, ge=0)
    redispatch: int = Field(default=1, description="0: off; N: to another server at every Nth retry; -1: at the last")
    balance: Literal["roundrobin", "leastconn", "random", "source"] = "roundrobin"
    shutdown_sessions_on_down: bool = Field(default=False, description="on-marked-down shutdown-sessions")
    send_proxy_v2: bool = False

    def to_settings(self) -> dict[str, object]:
        """The frontend's `haproxy` settings of docs/contracts.md: durations in ms."""
        durations: dict[str, DurationS | None] = {
            "inter_ms": self.inter,
            "fastinter_ms": self.fastinter,
            "downinter_ms": self.downinter,
            "connect_timeout_ms": self.connect_timeout,
            "check_timeout_ms": self.check_timeout,
            "client_timeout_ms": self.client_timeout,
            "server_timeout_ms": self.server_timeout,
        }
        return {
            "checks": self.checks,
            "rise": self.rise,
            "fall": self.fall,
            "retries": self.retries,
            "redispatch": self.redispatch,
            "balance": self.balance,
            "shutdown_sessions_on_down": self.shutdown_sessions_on_down,
            "send_proxy_v2": self.send_proxy_v2,
            **{key: round(value * 1000) for key, value in durations.items() if value is not None},
        }


class NodePortOptions(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    service: str | None = None
    port: str | None = None
    haproxy: HaproxyOptions = HaproxyOptions()


class NodePort:
    """Client -> HAProxy -> any node's node port -> its netfilter rules -> pod."""

    kind: ClassVar[str] = "nodeport"
    options: ClassVar[type[BaseModel]] = NodePortOptions

    def plan(self, name: str, options: BaseModel, context: PlanContext, index: int) -> PathParts:
        assert isinstance(options, NodePortOptions)
        service = select_service(options.service, context)
        port = select_port(service, options.port)
        if service.service_type not in ("NodePort", "LoadBalancer"):
            raise ValueError(f"service: {service.key} has type {service.service_type}; allowed: NodePort, LoadBalancer")
        listen = FIRST_PORT if index == 0 else FURTHER_PORTS + index
        haproxy = options.haproxy.to_settings()
        path = PathPlan(
            name=name,
            kind=self.kind,
            url=f"http://{context.loadbalancer}:{listen}/",
            expect=Expectation.OK,
            service=service.key,
            entry_nodes=(),
            frontend=name,
            settings={"haproxy": haproxy},
        )
        frontend = {
            "name": name,
            "bind": f"{context.loadbalancer}:{listen}",
            "service": service.key,
            "port": port.name,
            "mode": "tcp",
            "haproxy": haproxy,
        }
        return PathParts(path=path, frontends=(frontend,))
