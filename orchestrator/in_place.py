"""What strikes by hand have in place on a testbed that is up, and what cannot be struck then. Asks, and changes nothing."""

from collections.abc import Collection, Mapping, Sequence

from orchestrator.contracts import World
from orchestrator.errors import TestbedError, UsageError
from orchestrator.model.plan import StepPlan
from orchestrator.planner.needing_api import has_api_down, needs_api

SCALE = "scale"
"""No fault: there is nothing to heal."""
_ENDING = ("node-kill", "node-stop")
_CORDONING = ("node-drain", "node-stop")
_OVER = ("healed", "expired")
"""States of a fault that has no effect any more (docs/contracts.md section 3)."""


def refuse_in_vain(
    steps: Sequence[StepPlan], struck_before: Sequence[StepPlan], world: World, containers: Collection[str]
) -> None:
    """Raises UsageError for steps that cannot be carried out as things are.

    Nothing can be armed in a container that is down, and the heal of such a fault would start it; an order to the cluster needs
    an API that nothing by hand (`struck_before`) has down.
    """
    targets = {target for step in steps if step.kind != SCALE for target in step.targets if target in containers}
    if stopped := sorted(name for name in targets if not world.is_running(name)):
        hint = "`testbed fault heal` starts what was killed or stopped by hand"
        raise UsageError(f"target: {', '.join(stopped)} is down; allowed: what runs", hint=hint)
    asking = next((step.kind for step in steps if needs_api(step)), None)
    if asking is None:
        return
    if down := [step.step for step in struck_before if has_api_down(step) and find_effect(step, world) is not None]:
        message = f"{asking}: needs the API, which {', '.join(down)} has down; allowed: when that is healed"
        raise UsageError(message, hint="`testbed fault heal` starts it again")


def find_effect(step: StepPlan, world: World) -> str | None:
    """What shows now that a step is in effect: its container is down, its init says so, or its node takes no pods; None: nothing.

    Whoever cannot be asked tells nothing of the contrary: that is in effect, too.
    """
    if step.is_momentary:
        return None
    target = step.targets[0]
    if not world.is_running(target):
        return "down" if step.kind in _ENDING else None
    try:
        states = _states(world.control(target, {"op": "status"}))
        if step.step in states:
            return states[step.step] if states[step.step] not in _OVER else None
        node = world.kube.get("nodes", target) if step.kind in _CORDONING else None
    except TestbedError as error:
        return f"not known: {str(error).splitlines()[0]}"
    spec = node.get("spec") if node is not None else None
    return "cordoned" if isinstance(spec, dict) and spec.get("unschedulable") else None


def _states(answer: Mapping[str, object]) -> Mapping[str, str]:
    """Id -> state of the faults that init knows: those of its container's present life."""
    faults = answer.get("faults")
    return {str(item["id"]): str(item["state"]) for item in faults} if isinstance(faults, list) else {}
