"""Static ECMP: the gateway spreads flows over several nodes. It cannot tell which of them live: a dead one keeps its share."""

from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field

from orchestrator.contracts import PathParts, PlanContext
from orchestrator.ingress.destinations import HASH_POLICY, HASHES, Hash, host_network, select_cluster_ip, select_next_hops
from orchestrator.ingress.selection import select_port, select_service
from orchestrator.model import routing
from orchestrator.model.plan import Expectation, PathPlan


class StaticEcmpOptions(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    service: str | None = None
    port: str | None = None
    next_hops: tuple[str, ...] | None = Field(default=None, min_length=1, description="by default every node at the start")
    hash: Hash = Field(default="l3l4", description="what the gateway chooses by: addresses, or addresses and ports")


class StaticEcmp:
    """Client -> gateway -> the next hop of the flow's hash -> its netfilter rules for the cluster IP -> pod.

    Source: Linux, Documentation/networking/ip-sysctl.rst (fib_multipath_hash_policy); RFC 2992 (hash-threshold).
    """

    kind: ClassVar[str] = "static-ecmp"
    options: ClassVar[type[BaseModel]] = StaticEcmpOptions

    def plan(self, name: str, options: BaseModel, context: PlanContext, index: int) -> PathParts:
        assert isinstance(options, StaticEcmpOptions)
        service = select_service(options.service, context)
        port = select_port(service, options.port)
        address = select_cluster_ip(service, context)
        next_hops = select_next_hops(options.next_hops, context)
        path = PathPlan(
            name=name,
            kind=self.kind,
            url=f"http://{address}:{port.port}/",
            expect=Expectation.OK,
            service=service.key,
            entry_nodes=next_hops,
            settings={
                "hash": options.hash,
                routing.KEY: routing.StaticEcmp(address=str(address), next_hops=next_hops).to_settings(),
            },
        )
        route = {"to": str(host_network(address)), "nexthops": [str(context.nodes[node]) for node in next_hops]}
        return PathParts(path=path, gateway_routes=(route,), gateway_sysctls={HASH_POLICY: HASHES[options.hash]})
