"""Drained nodes are admitted again: by the heal, or by the control plane's init when there is nobody any more who heals."""

from typing import cast

from pydantic import BaseModel

from orchestrator.contracts import World
from orchestrator.faults.scaling_down import readmit
from orchestrator.model.plan import Role, StepPlan


def refuse_idle_period(options: BaseModel, *, drain: bool) -> None:
    """Raises ValueError for a `drain_period` that was given where nothing is drained."""
    if not drain and "drain_period" in options.model_fields_set:
        raise ValueError("drain_period: nothing is drained; allowed: with `drain: true`")


def check_drain_period(drain_period_s: float, for_s: float | None) -> None:
    """Raises ValueError for one that is not over when the node is to be admitted again."""
    if for_s is not None and drain_period_s >= for_s:
        raise ValueError(
            f"drain_period: is not over when the fault ends; found {drain_period_s:g}s; allowed: less than {for_s:g}s"
        )


def guard_admission(node: str, step: StepPlan, world: World, at_mono_ns: int, *, drain_period_s: float) -> None:
    """Before it is drained: from the instant on, and for as long as drain and step may last, its end is the control plane's."""
    request = {
        "op": "arm",
        "id": _identity(node, step),
        "fault": "readmission",
        "at_mono_ns": at_mono_ns,
        "ttl_s": cast("float", step.parameters["ttl_s"]) + drain_period_s,
        "parameters": {"node": node},
    }
    world.control(Role.CONTROLPLANE, request)


def admit(node: str, step: StepPlan, world: World) -> None:
    """Pods and connections may come again. Idempotent, also for one that was not drained or is gone."""
    readmit(node, world)
    world.control(Role.CONTROLPLANE, {"op": "heal", "id": _identity(node, step)})


def _identity(node: str, step: StepPlan) -> str:
    return f"{step.step}-readmit-{node}"
