"""What a timeline asks of the kernel and of its targets before the baseline. Pure."""

from dataclasses import replace

from orchestrator.model.plan import ContainerPlan, StepPlan

GROUND = "fault_ground"


def features_of(timeline: tuple[StepPlan, ...]) -> tuple[str, ...]:
    """Each kernel feature once, sorted."""
    return tuple(sorted({feature for step in timeline for feature in step.kernel_features}))


def on_ground(timeline: tuple[StepPlan, ...], *containers: ContainerPlan) -> tuple[ContainerPlan, ...]:
    """The containers; those that the timeline strikes get what its faults stand on, all others stay as they are."""
    return tuple(_on_ground(timeline, item) for item in containers)


def _on_ground(timeline: tuple[StepPlan, ...], container: ContainerPlan) -> ContainerPlan:
    grounds = sorted({ground for step in timeline if container.name in step.targets for ground in step.fault_ground})
    return replace(container, config={**container.config, GROUND: grounds}) if grounds else container
