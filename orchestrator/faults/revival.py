"""Killed programs that are back: when, after init has had them started, they serve again, or that they are only started."""

from typing import cast

from orchestrator.contracts import World
from orchestrator.errors import DeadlineError, InternalError
from orchestrator.model.history import Event
from orchestrator.model.plan import StepPlan
from orchestrator.planner.needing_api import AWAITED_S, AWAITS
from orchestrator.runner.waiting import poll

RETURNS_S = 1.0
"""What a heal of a killed program waits for: measured 0.33 s for the API, 0.22 s for an agent, 0.11 s for HAProxy; busy, more."""
BACK_DEADLINE_S = 15.0
"""HAProxy and the API depend on nobody else: after this they have failed."""


REGISTERED, RULES_COMMITTED = "node-registered", "rules-committed"


def follow_haproxy(world: World, struck: Event, healed: Event) -> str:
    """Its agent tells it once it answers."""
    started = world.wait_event(
        lambda event: event.event == "haproxy-started",
        since_ns=struck.t_mono_ns,
        deadline_s=BACK_DEADLINE_S,
        what="HAProxy that answers again",
    )
    return f"HAProxy (pid {started.fields.get('pid')}) answers {_later(started.t_mono_ns, healed)}"


def follow_api(world: World, healed: Event) -> str:
    """Asked until it answers."""

    def silent() -> str | None:
        try:
            world.kube.list("nodes")
        except InternalError as error:
            return str(error)
        return None

    poll(world, silent, deadline_s=BACK_DEADLINE_S, what="an API that answers again")
    return f"the API answers {_later(world.clock.now_mono_ns(), healed)}"


def follow_node(step: StepPlan, world: World, struck: Event, healed: Event) -> str:
    """Until everything that the plan awaits has come from the node since it was struck: it has done what it does first."""
    node, does = step.targets[0], cast("list[str]", step.parameters.get(AWAITS, []))
    if not does:
        return ""
    missing = set(does)

    def is_last(event: Event) -> bool:
        if event.container == node:
            missing.discard(event.event)
        return not missing

    try:
        done = world.wait_event(is_last, since_ns=struck.t_mono_ns, deadline_s=AWAITED_S, what=f"{', '.join(does)} of {node}")
    except DeadlineError:
        return f"only started: no {', '.join(sorted(missing))} within {AWAITED_S:g} s"
    return f"{', '.join(does)} {_later(done.t_mono_ns, healed)}"


def _later(t_mono_ns: int, healed: Event) -> str:
    return f"{max(0, t_mono_ns - healed.t_mono_ns) / 1e6:.0f} ms later"
