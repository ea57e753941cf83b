"""Static route: the gateway sends the whole service network to one node. The router cannot tell whether that node lives."""

from typing import ClassVar

from pydantic import BaseModel, ConfigDict

from orchestrator.contracts import PathParts, PlanContext
from orchestrator.ingress.selection import select_node, select_port, select_service
from orchestrator.model.plan import Expectation, PathPlan


class StaticRouteOptions(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    next_hop: str = "node-1"
    service: str | None = None
    port: str | None = None


class StaticRoute:
    """Client -> gateway -> next hop -> its netfilter rules for the cluster IP -> pod."""

    kind: ClassVar[str] = "static-route"
    options: ClassVar[type[BaseModel]] = StaticRouteOptions

    def plan(self, name: str, options: BaseModel, context: PlanContext, index: int) -> PathParts:
        assert isinstance(options, StaticRouteOptions)
        if index > 0:
            raise ValueError(
                "a gateway has one static route to the service network; allowed: one path of this kind in a run, "
                "and beside it static-ecmp with one of next_hops, which leads to one Service alone"
            )
        service = select_service(options.service, context)
        port = select_port(service, options.port)
        if service.cluster_ip is None:
            raise ValueError(
                f"service: {service.key} has no fixed spec.clusterIP; allowed: an address in {context.service_network}"
            )
        next_hop = select_node("next_hop", options.next_hop, context)
        path = PathPlan(
            name=name,
            kind=self.kind,
            url=f"http://{service.cluster_ip}:{port.port}/",
            expect=Expectation.OK,
            service=service.key,
            entry_nodes=(next_hop,),
            settings={"next_hop": next_hop},
        )
        route = {"to": str(context.service_network), "via": str(context.nodes[next_hop])}
        return PathParts(path=path, gateway_routes=(route,))
