"""NodePort without a load balancer: the client calls one node's node port, and nobody takes its place when it dies."""

from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field

from orchestrator.contracts import PathParts, PlanContext
from orchestrator.ingress.selection import select_node, select_port, select_service
from orchestrator.model.direct import KEY, Direct
from orchestrator.model.plan import Expectation, PathPlan


class NodePortDirectOptions(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    node: str = Field(default="node-1", description="the node that is called")
    service: str | None = None
    port: str | None = None


class NodePortDirect:
    """Client -> gateway -> the node's address and node port -> its netfilter rules -> pod, on any node unless policy is Local."""

    kind: ClassVar[str] = "nodeport-direct"
    options: ClassVar[type[BaseModel]] = NodePortDirectOptions

    def plan(self, name: str, options: BaseModel, context: PlanContext, index: int) -> PathParts:
        assert isinstance(options, NodePortDirectOptions)
        service = select_service(options.service, context)
        port = select_port(service, options.port)
        if service.service_type not in ("NodePort", "LoadBalancer"):
            raise ValueError(f"service: {service.key} has type {service.service_type}; allowed: NodePort, LoadBalancer")
        if port.node_port is None:
            raise ValueError(
                f"port: port {port.name or port.port} of Service {service.key} has no fixed nodePort, and a client must know it; "
                "allowed: a nodePort in the manifest"
            )
        if port.protocol != "TCP":
            raise ValueError(f"port: port {port.name or port.port} of Service {service.key} is {port.protocol}; allowed: TCP")
        node = select_node("node", options.node, context)
        path = PathPlan(
            name=name,
            kind=self.kind,
            url=f"http://{context.nodes[node]}:{port.node_port}/",
            expect=Expectation.OK,
            service=service.key,
            entry_nodes=(node,),
            settings={KEY: Direct(node=node, is_local=service.is_local).to_settings()},
        )
        return PathParts(path=path)
