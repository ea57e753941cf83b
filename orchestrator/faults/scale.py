"""Scale: nodes and pods, up or down, drained or not, on the same timeline as the faults and measured the same way."""

from typing import ClassVar, cast

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt

from orchestrator.contracts import PlanContext, World
from orchestrator.faults.admission import admit, guard_admission, refuse_idle_period
from orchestrator.faults.arming import TTL_MARGIN_S
from orchestrator.faults.scaling import Rescale
from orchestrator.faults.scaling_down import drain_nodes, drop_nodes
from orchestrator.faults.scaling_up import add_nodes
from orchestrator.model.plan import StepPlan
from orchestrator.planner.manifests import MAX_PODS_OF_A_NODE
from orchestrator.runner.telling import tell
from orchestrator.scenario.quantities import DurationS


class ScaleOptions(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    nodes: StrictInt | None = Field(default=None, ge=1, description="how many there are afterwards")
    pods: StrictInt | None = Field(default=None, ge=0, description="replicas of the Deployment afterwards")
    deployment: str | None = Field(default=None, description="namespace/name; needed when the manifests hold several")
    drain: StrictBool = Field(default=False, description="leaving nodes are drained first, as an autoscaler does")
    drain_period: DurationS = Field(
        default=2.0, validate_default=False, description="from the last endpoint's end to the node's, for what still flows"
    )


class Scale:
    """Evidence: the control plane's Ready, the endpoints and every node's committed rules, HAProxy's servers."""

    kind: ClassVar[str] = "scale"
    options: ClassVar[type[BaseModel]] = ScaleOptions
    exclusive: ClassVar[bool] = True

    def plan(self, step: str, at_s: float, for_s: float | None, options: BaseModel, context: PlanContext) -> StepPlan:
        assert isinstance(options, ScaleOptions)
        if for_s is not None:
            raise ValueError("for: a rescale has no end; allowed: another `scale` entry later")
        if options.nodes is None and options.pods is None:
            raise ValueError("scale: changes nothing; allowed: nodes, pods, or both")
        deployment = choose_deployment(options, context)
        add, remove = choose_nodes(options.nodes, context)
        refuse_idle_period(options, drain=options.drain)
        if options.drain and not remove:
            raise ValueError("drain: no node leaves in this step; allowed: only when `nodes` goes down")
        most = (len(context.nodes) + len(add) - len(remove)) * MAX_PODS_OF_A_NODE
        if options.pods is not None and options.pods > most:
            raise ValueError(
                f"pods: more than the nodes can hold; found {options.pods}; allowed: up to {most}, {MAX_PODS_OF_A_NODE} on each"
            )
        pods = context.replicas[deployment] if deployment is not None else None
        if not add and not remove and (deployment is None or pods == options.pods):
            there = f"{len(context.nodes)} nodes" + ("" if deployment is None else f" and {pods} pods of {deployment}")
            raise ValueError(f"scale: changes nothing: there are {there} already; allowed: another number of nodes or pods")
        return StepPlan(
            step=step,
            kind=self.kind,
            at_s=at_s,
            for_s=None,
            targets=(*add, *remove),
            parameters={
                "nodes": options.nodes,
                "pods": options.pods,
                "deployment": deployment,
                "add": list(add),
                "remove": list(remove),
                "drain": options.drain,
                "drain_period_s": options.drain_period,
                "ttl_s": context.duration_s - at_s + TTL_MARGIN_S,
            },
        )

    def arm(self, step: StepPlan, world: World, at_mono_ns: int) -> None:
        """Nothing to prepare."""

    def inject(self, step: StepPlan, world: World, at_mono_ns: int) -> None:
        rescale = Rescale.of(step, world)
        if rescale.remove and rescale.drain:
            _drain(rescale, world)
        elif rescale.remove:
            drop_nodes(rescale, world)
        else:
            add_nodes(rescale, world)
        tell(world, "step-effective", step, evidence=rescale.evidence(world))

    def heal(self, step: StepPlan, world: World) -> None:
        """The cluster stays as it is. Nodes whose drain was broken off, and that there still are, are admitted again."""
        if step.parameters["drain"]:
            _admit(step, world)


def _drain(rescale: Rescale, world: World) -> None:
    """Whoever drains may be killed before the nodes are gone: the control plane admits again those that are still there then."""
    began_ns = world.clock.now_mono_ns()
    for node in rescale.remove:
        guard_admission(node, rescale.step, world, began_ns, drain_period_s=rescale.drain_period_s)
    drain_nodes(rescale, world)
    _admit(rescale.step, world)


def _admit(step: StepPlan, world: World) -> None:
    for node in cast("list[str]", step.parameters["remove"]):
        admit(node, step, world)


def choose_deployment(options: ScaleOptions, context: PlanContext) -> str | None:
    """`namespace/name` of the one whose pods change, None where none do. Raises ValueError."""
    known = ", ".join(context.replicas)
    if options.pods is None:
        if options.deployment is not None:
            raise ValueError("deployment: without `pods` none of its pods come or go; allowed: with `pods`")
        return None
    if not known:
        raise ValueError("pods: there is no Deployment in the manifests; allowed: `nodes` alone")
    if options.deployment is None:
        if len(context.replicas) > 1:
            raise ValueError(f"deployment: is needed, the manifests hold several; allowed: {known}")
        return next(iter(context.replicas))
    matching = [key for key in context.replicas if options.deployment in (key, key.partition("/")[2])]
    if len(matching) != 1:
        what = "no such Deployment" if not matching else "the name of several Deployments"
        raise ValueError(f"deployment: {what} in the manifests; found {options.deployment!r}; allowed: {known}")
    return matching[0]


def choose_nodes(wanted: int | None, context: PlanContext) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Nodes to add (the lowest free numbers) and to remove (the highest). Raises ValueError when there are no more names."""
    present = sorted(context.nodes, key=number_of)
    if wanted is None or wanted == len(present):
        return (), ()
    if wanted < len(present):
        return (), tuple(present[wanted:])
    free = [name for name in sorted(context.all_nodes, key=number_of) if name not in context.nodes]
    missing = wanted - len(present)
    if missing > len(free):
        raise ValueError(f"nodes: more nodes than addresses; found {wanted}; allowed: up to {len(present) + len(free)}")
    return tuple(free[:missing]), ()


def number_of(name: str) -> int:
    """Of a node: nodes are named by their numbers."""
    return int(name.rpartition("-")[2])
