"""NodePort behind a load balancer: HAProxy (TCP) checks every node and spreads connections over their node ports."""

from typing import ClassVar

from pydantic import BaseModel, ConfigDict

from orchestrator.contracts import PathParts, PlanContext
from orchestrator.ingress.haproxy import HaproxyOptions, check_service, plan_settings
from orchestrator.ingress.selection import select_port, select_service
from orchestrator.model.plan import Expectation, PathPlan

FIRST_PORT = 80
FURTHER_PORTS = 8000  # a second path of this kind listens on 8001, a third on 8002: one run compares settings side by side


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
        check_service(options.haproxy, service)
        listen = FIRST_PORT if index == 0 else FURTHER_PORTS + index
        path = PathPlan(
            name=name,
            kind=self.kind,
            url=f"http://{context.loadbalancer}:{listen}/",
            expect=Expectation.OK,
            service=service.key,
            entry_nodes=(),
            frontend=name,
            settings=plan_settings(options.haproxy, service, default_check="tcp"),
        )
        frontend = {
            "name": name,
            "bind": f"{context.loadbalancer}:{listen}",
            "service": service.key,
            "port": port.name or port.port,
            "mode": "tcp",
            "haproxy": options.haproxy.to_settings(),
        }
        return PathParts(path=path, frontends=(frontend,))
