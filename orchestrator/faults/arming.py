"""What faults share that strike inside a container: init holds them armed and fires them on the clock."""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import ClassVar, cast

from pydantic import BaseModel, ConfigDict, Field

from orchestrator.contracts import PlanContext, World
from orchestrator.errors import InternalError
from orchestrator.model.history import Event
from orchestrator.model.plan import StepPlan
from orchestrator.planner.needing_api import AWAITS
from orchestrator.runner.telling import tell

EVIDENCE_DEADLINE_S = 5.0
TTL_MARGIN_S = 30.0
"""A fault expires by itself this long after its planned end: later than any heal, soon enough for a kept testbed."""


class EvidenceError(InternalError):
    """A fault was to strike and the kernel did not show it."""


class NodeFaultOptions(BaseModel):
    """Options of a fault that strikes one node."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    target: str = Field(description="a node that is there at the instant")


class NoOptions(BaseModel):
    """Options of a fault whose target is the only one of its kind."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Direction(StrEnum):
    """Seen from the target."""

    BOTH = "both"
    IN = "in"
    OUT = "out"


class StruckInside:
    """An action that init carries out alone: `fault` and `parameters` of the plan are what it is asked for."""

    exclusive: ClassVar[bool] = False

    def arm(self, step: StepPlan, world: World, at_mono_ns: int) -> None:
        parameters = cast("Mapping[str, object]", step.parameters["parameters"])
        arm(step, world, at_mono_ns, str(step.parameters["fault"]), parameters)

    def inject(self, step: StepPlan, world: World, at_mono_ns: int) -> None:
        inject_and_tell(step, world)

    def heal(self, step: StepPlan, world: World) -> None:
        heal_and_tell(step, world, follow=self.follow)

    def follow(self, step: StepPlan, world: World, struck: Event, healed: Event) -> str:
        """What comes of a heal only after init has done its part, once it has come. Raises DeadlineError when it does not."""
        return ""


def plan_inside(
    kind: str,
    step: str,
    at_s: float,
    for_s: float | None,
    target: str,
    context: PlanContext,
    *,
    fault: str,
    parameters: Mapping[str, object] | None = None,
    ground: tuple[str, ...] = (),
    features: tuple[str, ...] = (),
    strikes_control_path: bool = False,
    takes_down: bool = False,
    arming_s: float = 0.0,
    returns_s: float = 0.0,
    awaits: tuple[str, ...] = (),
) -> StepPlan:
    """A step of `StruckInside`. The target is trusted: a node goes through `check_node` first.

    `awaits`: events of a node that has come back after the heal (`revival.follow_node`).
    """
    lasts_s = for_s if for_s is not None else context.duration_s - at_s
    return StepPlan(
        step=step,
        kind=kind,
        at_s=at_s,
        for_s=for_s,
        targets=(str(target),),
        parameters={
            "fault": fault,
            "parameters": dict(parameters or {}),
            "ttl_s": lasts_s + TTL_MARGIN_S,
            **({AWAITS: list(awaits)} if awaits else {}),
        },
        kernel_features=features,
        fault_ground=ground,
        strikes_control_path=strikes_control_path,
        takes_down=takes_down,
        arming_s=arming_s,
        returns_s=returns_s,
    )


def check_node(target: str, context: PlanContext, *others: str) -> str:
    """Raises ValueError for what is neither a node of that instant nor one of the others."""
    if target not in context.nodes and target not in others:
        raise ValueError(f"target: no node {target!r} at that instant; allowed: {', '.join((*context.nodes, *others))}")
    return target


def refuse_end(for_s: float | None, why: str) -> None:
    """For what cannot be undone on time. Raises ValueError."""
    if for_s is not None:
        raise ValueError(f"for: {why}; allowed: no `for`")


def plan_node_fault(
    kind: str, step: str, at_s: float, for_s: float | None, target: str, context: PlanContext, **parameters: object
) -> StepPlan:
    """Raises ValueError for a node that is not there."""
    check_node(target, context)
    lasts_s = for_s if for_s is not None else context.duration_s - at_s
    return StepPlan(
        step=step,
        kind=kind,
        at_s=at_s,
        for_s=for_s,
        targets=(target,),
        parameters={**parameters, "ttl_s": lasts_s + TTL_MARGIN_S},
    )


def arm(step: StepPlan, world: World, at_mono_ns: int, fault: str, parameters: Mapping[str, object] | None = None) -> None:
    """Put the fault into its target's init, which fires it at the instant and lets it expire by itself."""
    request = {
        "op": "arm",
        "id": step.step,
        "fault": fault,
        "at_mono_ns": at_mono_ns,
        "ttl_s": step.parameters["ttl_s"],
        "parameters": dict(parameters or {}),
    }
    world.control(step.targets[0], request)


def await_effective(step: StepPlan, world: World) -> Event:
    """The init's own report. Raises EvidenceError when it says that the fault failed, DeadlineError when it says nothing."""
    event = world.wait_event(
        lambda event: event.event in ("fault-effective", "fault-failed") and event.fields.get("id") == step.step,
        since_ns=0,
        deadline_s=EVIDENCE_DEADLINE_S,
        what=f"evidence of {step.kind} in {step.targets[0]}",
    )
    if event.event == "fault-failed":
        raise EvidenceError(f"{step.kind} in {step.targets[0]}: {event.fields.get('evidence')}")
    return event


def inject_and_tell(step: StepPlan, world: World) -> None:
    """For faults whose evidence is the init's report alone."""
    event = await_effective(step, world)
    tell(world, "step-effective", step, evidence=str(event.fields.get("evidence", "")), at_mono_ns=event.t_mono_ns)


Follow = Callable[[StepPlan, World, Event, Event], str]
"""Step, world, init's reports that it struck and that it is healed -> more evidence, or nothing."""


def heal_and_tell(step: StepPlan, world: World, *, follow: Follow | None = None) -> None:
    """Idempotent: a fault that never struck, has expired or was healed before is healed again without effect.

    The instant is init's: from then on nothing holds what was struck. What follows only later is told in the evidence.
    """
    if not world.is_running(step.targets[0]):
        return
    answer = world.control(step.targets[0], {"op": "heal", "id": step.step})
    healed = (
        world.wait_event(
            lambda event: event.event in ("fault-healed", "fault-expired") and event.fields.get("id") == step.step,
            since_ns=0,
            deadline_s=EVIDENCE_DEADLINE_S,
            what=f"evidence that {step.kind} in {step.targets[0]} is healed",
        )
        if answer.get("state") in ("healed", "expired")
        else None
    )
    evidence = str(answer.get("state", "")) if healed is None else str(healed.fields.get("evidence", ""))
    struck = find_strike(step, world) if healed is not None and follow is not None else None
    if healed is not None and follow is not None and struck is not None:
        evidence = "; ".join(filter(None, (evidence, follow(step, world, struck, healed))))
    tell(world, "step-healed", step, evidence=evidence, at_mono_ns=None if healed is None else healed.t_mono_ns)


def find_strike(step: StepPlan, world: World) -> Event | None:
    """Init's report that it struck; None where the fault was healed before its instant."""
    found: list[Event] = []

    def keep(event: Event) -> None:
        if event.event == "fault-effective" and event.fields.get("id") == step.step:
            found.append(event)

    # What has been told so far; nothing is waited for.
    world.wait_state(keep, list, deadline_s=0.0, what=f"what is told of {step.step}")
    return found[0] if found else None
