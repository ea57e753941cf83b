"""The plan of a testbed as it has become: which nodes are there was decided by hand, not by the scenario. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from pydantic import BaseModel, ConfigDict

from orchestrator.addresses import node_name
from orchestrator.contracts import PlanContext, World
from orchestrator.experiment import Loaded
from orchestrator.model.plan import ContainerPlan, Plan, Role, StepPlan
from orchestrator.planner.timeline import DOWN, FORGETS_REPLICAS, INTERNAL
from orchestrator.registry import KINDS
from orchestrator.scenario.entries import Entry

PLACE = 1
"""Of the user's entry in the timeline: what has become of the testbed stands before it."""


def plan_present(
    loaded: Loaded, nodes: Sequence[str], entry: Entry | None, *, lasts_s: float, slot: int, down: Sequence[str] = ()
) -> Plan:
    """The scenario's plan with one entry as its timeline, on exactly these nodes, some of them `down`. Raises ScenarioError.

    The paths stay those of the bring-up: no rescale and no replacement moves the routes that lead to them.
    """
    became = Entry.model_validate({"at": "0s", "fault": _Became.kind, "nodes": tuple(nodes), "down": tuple(down)})
    changed = loaded.scenario.model_copy(
        update={
            "timeline": (became,) if entry is None else (became, entry),
            "duration": lasts_s,
            "slo": {},
            "stop_when": (),
        }
    )
    kinds = replace(KINDS, actions={**KINDS.actions, _Became.kind: _Became(brought_up=loaded.scenario.cluster.nodes)})
    plan = replace(loaded, scenario=changed).plan(slot=slot, kinds=kinds)
    return replace(
        plan,
        cluster={**plan.cluster, "nodes": len(nodes)},
        containers=tuple(_as_it_is(item, nodes) for item in plan.containers),
        timeline=tuple(step for step in plan.timeline if step.kind != _Became.kind),
    )


def _as_it_is(container: ContainerPlan, nodes: Sequence[str]) -> ContainerPlan:
    return replace(container, at_bring_up=container.name in nodes) if container.role is Role.NODE else container


class _Nodes(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    nodes: tuple[str, ...]
    down: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Became:
    """Stands first in the timeline, which follows its nodes from step to step; it is planned and never carried out."""

    kind: ClassVar[str] = f"{INTERNAL}became)"
    options: ClassVar[type[BaseModel]] = _Nodes
    exclusive: ClassVar[bool] = False
    brought_up: int

    def plan(self, step: str, at_s: float, for_s: float | None, options: BaseModel, context: PlanContext) -> StepPlan:
        assert isinstance(options, _Nodes)
        before = [node_name(number) for number in range(1, self.brought_up + 1)]
        changes: dict[str, object] = {
            FORGETS_REPLICAS: True,
            "add": [name for name in options.nodes if name not in before],
            "remove": [name for name in before if name not in options.nodes],
            DOWN: list(options.down),
        }
        return StepPlan(step=step, kind=self.kind, at_s=at_s, for_s=None, targets=(), parameters=changes)

    def arm(self, step: StepPlan, world: World, at_mono_ns: int) -> None:
        raise NotImplementedError

    def inject(self, step: StepPlan, world: World, at_mono_ns: int) -> None:
        raise NotImplementedError

    def heal(self, step: StepPlan, world: World) -> None:
        raise NotImplementedError
