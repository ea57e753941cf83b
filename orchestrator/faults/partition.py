"""Partition: a node cut off from some others, one way or both, while it reaches everybody else."""

from ipaddress import IPv4Address
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field

from orchestrator.contracts import PlanContext
from orchestrator.faults.arming import Direction, StruckInside, check_node, plan_inside
from orchestrator.model.plan import StepPlan

PEERS = "peers"


class PartitionOptions(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    target: str = Field(description="a node that is there at the instant")
    cut_from: str | tuple[str, ...] = Field(
        alias="from", description="control-plane, gateway, peers, load-balancer, client, a node, or a list of these"
    )
    direction: Direction = Field(default=Direction.BOTH, description="in: nothing arrives at the target; out: nothing leaves it")


class Partition(StruckInside):
    """Neighbours are cut off on the link layer, with what they forward; load balancer and client by address, behind the gateway.

    Evidence: the rules, read back; when healed, what they dropped.
    """

    kind: ClassVar[str] = "partition"
    options: ClassVar[type[BaseModel]] = PartitionOptions

    def plan(self, step: str, at_s: float, for_s: float | None, options: BaseModel, context: PlanContext) -> StepPlan:
        assert isinstance(options, PartitionOptions)
        target = check_node(options.target, context)
        neighbours, addresses = choose_cut(target, options.cut_from, context)
        return plan_inside(
            self.kind,
            step,
            at_s,
            for_s,
            target,
            context,
            fault="partition",
            parameters={
                "neighbours": [str(item) for item in neighbours],
                "addresses": [str(item) for item in addresses],
                "direction": options.direction.value,
            },
            ground=("frames",),
            features=("nf_tables egress",),
        )


def choose_cut(
    target: str, cut_from: str | tuple[str, ...], context: PlanContext
) -> tuple[tuple[IPv4Address, ...], tuple[IPv4Address, ...]]:
    """Neighbours on the node network, and addresses beyond it, each once. Raises ValueError."""
    peers = {name: address for name, address in context.nodes.items() if name != target}
    neighbours = {"control-plane": context.controlplane, "gateway": context.gateway_on_nodes, **peers}
    beyond = {"load-balancer": context.loadbalancer, "client": context.client}
    names = (cut_from,) if isinstance(cut_from, str) else cut_from
    wanted = [name for item in names for name in (peers if item == PEERS else (item,))]
    unknown = sorted(set(wanted) - set(neighbours) - set(beyond))
    if unknown or not wanted:
        found = ", ".join(unknown) or "nobody"
        allowed = ", ".join((*neighbours, PEERS, *beyond))
        raise ValueError(f"from: cannot cut {target} off from {found}; allowed: {allowed}")
    return tuple(neighbours[name] for name in neighbours if name in wanted), tuple(
        beyond[name] for name in beyond if name in wanted
    )
