"""How `hostport` and `hostnetwork` find a pod that is reached at its node's own address."""

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict, Field, StrictInt

from orchestrator.contracts import HostPortFacts, PathParts, PlanContext, WorkloadFacts
from orchestrator.ingress.selection import select_node
from orchestrator.model.direct import KEY, Direct
from orchestrator.model.plan import Expectation, PathPlan


class HostPodOptions(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    node: str = Field(default="node-1", description="the node that is called")
    workload: str | None = Field(default=None, description="name of the Deployment or pod; by default the only one")
    port: StrictInt | str | None = Field(default=None, description="name or number on the node; by default the first")


def plan_host_pod(
    name: str, kind: str, options: HostPodOptions, context: PlanContext, workloads: Sequence[WorkloadFacts], what: str
) -> PathParts:
    """`workloads`: those of the manifests that the kind can reach, `what`: what makes them so.

    Raises:
        ValueError: with words for the user's file.
    """
    node = select_node("node", options.node, context)
    workload = _select_workload(options.workload, workloads, what)
    port = _select_port(workload, options.port)
    address = context.nodes[node]
    if port.address not in (None, address):
        raise ValueError(f"node: host port {port.port} of {workload.key} is at {port.address} only, and {node} is {address}")
    _check_placement(workload, node, context)
    path = PathPlan(
        name=name,
        kind=kind,
        url=f"http://{address}:{port.port}/",
        expect=Expectation.OK,
        service=workload.key,
        entry_nodes=(node,),
        settings={KEY: Direct(node=node, is_local=True).to_settings()},
    )
    return PathParts(path=path)


def _select_workload(name: str | None, workloads: Sequence[WorkloadFacts], what: str) -> WorkloadFacts:
    names = ", ".join(item.name for item in workloads)
    if not workloads:
        raise ValueError(f"workload: no manifest has a pod with {what}; allowed: a Deployment or pod that has one")
    if name is None:
        if len(workloads) == 1:
            return workloads[0]
        raise ValueError(f"workload: is required, since {len(workloads)} have {what}; allowed: {names}")
    found = [item for item in workloads if name in (item.name, item.key)]
    if len(found) != 1:
        many = "no Deployment or pod" if not found else "more than one Deployment or pod"
        raise ValueError(f"workload: {many} with {what} is named {name!r}; allowed: {names}")
    return found[0]


def _select_port(workload: WorkloadFacts, wanted: int | str | None) -> HostPortFacts:
    if wanted is None:
        return workload.host_ports[0]
    for port in workload.host_ports:
        if wanted in (port.name, port.port):
            return port
    names = ", ".join(f"{port.name} ({port.port})" if port.name else str(port.port) for port in workload.host_ports)
    raise ValueError(f"port: {workload.key} has no port {wanted!r} on its node; allowed: {names}")


def _check_placement(workload: WorkloadFacts, node: str, context: PlanContext) -> None:
    """A host port keeps a second pod from a node, so that as many pods as nodes are one on each."""
    if workload.node is not None:
        if workload.node != node:
            raise ValueError(f"node: pods of {workload.key} are on {workload.node} only; allowed: that node")
    elif workload.replicas < len(context.nodes):
        raise ValueError(
            f"workload: {workload.key} has {workload.replicas} pods for {len(context.nodes)} nodes, and nothing says that {node} "
            f"gets one; allowed: {len(context.nodes)} replicas or more, or a nodeSelector kubernetes.io/hostname: {node}"
        )
