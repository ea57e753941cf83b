"""The negative control: the service's port on a node's own address. Netfilter matches the cluster IP only, so it is refused."""

from typing import ClassVar

from pydantic import BaseModel, ConfigDict

from orchestrator.contracts import PathParts, PlanContext
from orchestrator.ingress.selection import select_node, select_port, select_service
from orchestrator.model.plan import Expectation, PathPlan


class ServicePortOnNodeOptions(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    node: str | None = None
    service: str | None = None
    port: str | None = None


class ServicePortOnNode:
    """Client -> gateway -> node's address -> nobody listens: the kernel answers with RST (RFC 9293 section 3.5.2)."""

    kind: ClassVar[str] = "service-port-on-node"
    options: ClassVar[type[BaseModel]] = ServicePortOnNodeOptions

    def plan(self, name: str, options: BaseModel, context: PlanContext, index: int) -> PathParts:
        assert isinstance(options, ServicePortOnNodeOptions)
        service = select_service(options.service, context)
        port = select_port(service, options.port)
        # The last node by default: faults and rescales usually strike the others, and a dead node refuses nothing.
        node = select_node("node", options.node or list(context.nodes)[-1], context)
        path = PathPlan(
            name=name,
            kind=self.kind,
            url=f"http://{context.nodes[node]}:{port.port}/",
            expect=Expectation.REFUSED,
            service=service.key,
            entry_nodes=(node,),
            settings={"node": node},
        )
        return PathParts(path=path)
