"""How a step is told in the history."""

from orchestrator.contracts import World
from orchestrator.model.history import Event
from orchestrator.model.plan import StepPlan


def tell(world: World, event: str, step: StepPlan, *, evidence: str = "", at_mono_ns: int | None = None) -> Event:
    """`step-*` events of docs/contracts.md section 2."""
    return world.emit(
        event,
        at_mono_ns=at_mono_ns,
        step=step.step,
        kind=step.kind,
        target=", ".join(step.targets),
        at_s=step.at_s,
        evidence=evidence,
    )
