"""Containers that end and start again: what kills, stops and reboots share."""

from orchestrator.contracts import World
from orchestrator.faults.arming import EVIDENCE_DEADLINE_S, EvidenceError
from orchestrator.model.history import Event
from orchestrator.model.plan import StepPlan
from orchestrator.runner.telling import tell

DIE_DEADLINE_S = 15.0
BOOT_DEADLINE_S = 20.0
STOP_AHEAD_S = 0.3
"""Longer than it takes to arm: what is armed for the past strikes late."""


def await_death(container: str, world: World, *, since_ns: int) -> Event:
    """The engine's own report that it is gone."""
    return world.wait_event(
        lambda event: (
            event.event == "engine" and event.fields.get("action") == "die" and event.fields.get("container") == container
        ),
        # The engine's wall clock is mapped, not measured: it may place the death a moment before its cause.
        since_ns=since_ns - 1_000_000_000,
        deadline_s=DIE_DEADLINE_S,
        what=f"the death of {container}",
    )


def boot(container: str, world: World) -> Event:
    """Start it and wait until its init has set the routes."""
    since_ns = world.clock.now_mono_ns()
    world.start(container)
    return world.wait_event(
        lambda event: event.event == "booted" and event.container == container,
        since_ns=since_ns,
        deadline_s=BOOT_DEADLINE_S,
        what=f"the boot of {container}",
    )


def heal_by_start(step: StepPlan, world: World) -> None:
    """Disarmed while it still runs, started when it does not; idempotent."""
    container = step.targets[0]
    if world.is_running(container):
        world.control(container, {"op": "heal", "id": step.step})
        tell(world, "step-healed", step, evidence="running; disarmed")
        return
    booted = boot(container, world)
    tell(world, "step-healed", step, evidence="booted, routes set", at_mono_ns=booted.t_mono_ns)


def stop_in_order(container: str, step: StepPlan, world: World) -> Event:
    """Have its init end in order, a moment from now, and wait until the engine has seen it; returns init's report."""
    at_mono_ns = world.clock.now_mono_ns() + round(STOP_AHEAD_S * 1e9)
    request = {"op": "arm", "id": step.step, "fault": "shutdown", "at_mono_ns": at_mono_ns, "ttl_s": DIE_DEADLINE_S}
    world.control(container, request)
    return await_orderly_end(container, step, world, at_mono_ns=at_mono_ns)


def await_orderly_end(container: str, step: StepPlan, world: World, *, at_mono_ns: int) -> Event:
    """Init's report of the SIGTERM, once the engine has seen the end. Raises EvidenceError for an end that was not in order."""
    told = world.wait_event(
        lambda event: (
            event.event in ("fault-effective", "fault-failed")
            and event.fields.get("id") == step.step
            and event.container == container
        ),
        since_ns=at_mono_ns,
        deadline_s=EVIDENCE_DEADLINE_S,
        what=f"evidence of {step.kind} in {container}",
    )
    died = await_death(container, world, since_ns=at_mono_ns)
    status = died.fields.get("exit_code")
    if told.event == "fault-failed" or status != 0:
        raise EvidenceError(f"{step.kind} in {container}: {told.fields.get('evidence')}; it ended with status {status}")
    return told
