"""BGP: every node announces the address to the gateway, whose routes follow the sessions: a route that somebody looks after."""

from ipaddress import IPv4Address
from typing import ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, model_validator

from orchestrator.contracts import PathParts, PlanContext, ServiceFacts
from orchestrator.ingress.destinations import HASH_POLICY, HASHES, Hash, host_network, select_cluster_ip
from orchestrator.ingress.selection import select_port, select_service
from orchestrator.model import routing
from orchestrator.model.plan import Expectation, PathPlan
from orchestrator.render.bird import Announcement, Bfd
from orchestrator.scenario.quantities import PositiveDurationS

SHORTEST_HOLD_S = 3


class BfdOptions(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    interval: PositiveDurationS = Field(default=0.1, validate_default=False, description="between two packets, both ways")
    multiplier: StrictInt = Field(default=3, ge=1, le=255, description="packets missed in a row until the neighbour is down")


class BgpOptions(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    service: str | None = None
    port: str | None = None
    address: Literal["cluster_ip", "external_ip"] = Field(
        default="cluster_ip", description="what is announced: the cluster IP, or the Service's first spec.externalIPs"
    )
    hold_time: PositiveDurationS = Field(default=9.0, validate_default=False, description="whole seconds, at least 3s")
    keepalive: PositiveDurationS = Field(default=3.0, validate_default=False, description="whole seconds")
    bfd: Literal[False] | BfdOptions = False
    ecmp: StrictBool = Field(default=True, description="false: one node at a time, the first that lives")
    hash: Hash = Field(default="l3l4", description="what the gateway chooses by: addresses, or addresses and ports")

    @model_validator(mode="after")
    def _check(self) -> Self:
        for key, value in (("hold_time", self.hold_time), ("keepalive", self.keepalive)):
            if value != int(value):
                raise ValueError(f"{key} is {value:g}s; allowed: whole seconds (RFC 4271 section 4.2)")
        if self.hold_time < SHORTEST_HOLD_S:
            raise ValueError(f"hold_time is {self.hold_time:g}s; allowed: {SHORTEST_HOLD_S}s or more (RFC 4271 section 4.2)")
        if self.keepalive >= self.hold_time:
            raise ValueError(f"keepalive is {self.keepalive:g}s; allowed: less than hold_time, {self.hold_time:g}s")
        return self


class Bgp:
    """Client -> gateway -> a node that announces the address -> its netfilter rules -> pod.

    A node announces once its rules stand, and takes it back itself when it is shut down (Cease, RFC 4271 section 6.7); of a dead
    one the gateway learns by the hold time, or by BFD.

    Source: RFC 4271; RFC 5880, RFC 5882 section 4.3 (BFD for BGP).
    """

    kind: ClassVar[str] = "bgp"
    options: ClassVar[type[BaseModel]] = BgpOptions

    def plan(self, name: str, options: BaseModel, context: PlanContext, index: int) -> PathParts:
        assert isinstance(options, BgpOptions)
        service = select_service(options.service, context)
        port = select_port(service, options.port)
        address = _select_address(options.address, service, context)
        bfd = None
        if isinstance(options.bfd, BfdOptions):
            bfd = Bfd(interval_ms=round(options.bfd.interval * 1000), multiplier=options.bfd.multiplier)
        announcement = Announcement(
            path=name,
            prefix=host_network(address),
            hold_time_s=round(options.hold_time),
            keepalive_s=round(options.keepalive),
            bfd=bfd,
            is_shared=options.ecmp,
        )
        path = PathPlan(
            name=name,
            kind=self.kind,
            url=f"http://{address}:{port.port}/",
            expect=Expectation.OK,
            service=service.key,
            entry_nodes=(),
            settings={
                "hash": options.hash,
                "needs_local_endpoint": service.is_local and options.address == "external_ip",
                routing.KEY: routing.Bgp(
                    address=str(address),
                    hold_time_s=announcement.hold_time_s,
                    keepalive_s=announcement.keepalive_s,
                    bfd_interval_s=None if bfd is None else bfd.interval_ms / 1000,
                    bfd_multiplier=0 if bfd is None else bfd.multiplier,
                    is_shared=options.ecmp,
                ).to_settings(),
            },
        )
        sysctls = {HASH_POLICY: HASHES[options.hash]} if options.ecmp else {}
        return PathParts(path=path, announcements=(announcement,), gateway_sysctls=sysctls)


def _select_address(which: str, service: ServiceFacts, context: PlanContext) -> IPv4Address:
    if which == "cluster_ip":
        return select_cluster_ip(service, context)
    if not service.external_ips:
        raise ValueError(
            f"address: {service.key} has no spec.externalIPs; "
            "allowed: an address outside the networks of the run there, or cluster_ip"
        )
    address = service.external_ips[0]
    if owner := next((network for network in context.networks if address in network), None):
        raise ValueError(
            f"address: {address} of {service.key} lies in {owner}, where no route leads to it; "
            "allowed: an address outside the networks of the run"
        )
    return address
