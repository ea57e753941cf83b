"""Virtual IP: one node answers for an address in the node network, and another takes it over (VRRP) when that node is gone."""

from typing import ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, StrictBool, model_validator

from orchestrator.contracts import PathParts, PlanContext
from orchestrator.ingress.selection import select_port, select_service
from orchestrator.model import routing
from orchestrator.model.plan import Expectation, PathPlan
from orchestrator.render.keepalived import VirtualAddress, vrrp_priority
from orchestrator.scenario.quantities import PositiveDurationS

ADVERT_UNIT_S, LONGEST_ADVERT_S = 0.01, 40.95


class VrrpOptions(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    advert_interval: PositiveDurationS = Field(default=1.0, validate_default=False, description="in steps of 10ms")
    preempt: StrictBool = Field(default=True, description="a node of higher priority takes the address back when it returns")

    @model_validator(mode="after")
    def _check(self) -> Self:
        steps = self.advert_interval / ADVERT_UNIT_S
        if abs(steps - round(steps)) > 1e-6 or self.advert_interval > LONGEST_ADVERT_S:
            raise ValueError(
                f"advert_interval is {self.advert_interval:g}s; allowed: 10ms to 40.95s in steps of 10ms (RFC 5798 section 5.2.7)"
            )
        return self


class VipOptions(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    service: str | None = None
    port: str | None = None
    vrrp: VrrpOptions = VrrpOptions()


class Vip:
    """Client -> gateway -> (ARP) the node that has the address -> its netfilter rules for the external IP -> pod.

    The plan puts the address into the Service's spec.externalIPs, so that every node's rules serve it. Priorities follow the
    order of the nodes, the first has the highest. A node takes part once its rules stand.

    Source: RFC 5798; kubernetes.io, Service, "External IPs".
    """

    kind: ClassVar[str] = "vip"
    options: ClassVar[type[BaseModel]] = VipOptions

    def plan(self, name: str, options: BaseModel, context: PlanContext, index: int) -> PathParts:
        assert isinstance(options, VipOptions)
        service = select_service(options.service, context)
        port = select_port(service, options.port)
        if index >= len(context.virtual_addresses):
            raise ValueError(
                f"the node network has {len(context.virtual_addresses)} virtual addresses; allowed: as many paths of this kind"
            )
        address = context.virtual_addresses[index]
        path = PathPlan(
            name=name,
            kind=self.kind,
            url=f"http://{address}:{port.port}/",
            expect=Expectation.OK,
            service=service.key,
            entry_nodes=(),
            settings={
                routing.KEY: routing.Vrrp(
                    address=str(address),
                    advert_interval_s=options.vrrp.advert_interval,
                    is_preempting=options.vrrp.preempt,
                    priorities={node: vrrp_priority(place) for place, node in enumerate(context.nodes)},
                ).to_settings()
            },
        )
        virtual = VirtualAddress(
            path=name,
            address=address,
            router_id=index + 1,
            advert_interval_s=options.vrrp.advert_interval,
            is_preempting=options.vrrp.preempt,
        )
        return PathParts(path=path, virtual_addresses=(virtual,), external_ips={service.key: (address,)})
