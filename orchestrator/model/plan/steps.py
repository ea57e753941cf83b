"""What happens to it: the steps of the timeline."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class TriggerPlan:
    """The event that a step waits for. `of`: a value that one of its fields must have, None: any."""

    event: str
    of: str | None
    delay_s: float


MOMENTARY = frozenset({"gateway-reboot", "lb-reload", "node-reboot", "node-replace", "pod-kill", "rolling-restart", "scale"})
"""Kinds of steps that take no `for`."""
ORDERS_S = 0.4
"""From when a target is free until it can be struck on time: to heal and to arm are an order each, of 0.2 s on a busy machine."""
ENDING = frozenset({"node-replace", "rolling-restart"})
"""Kinds of steps, beside those that take their targets down, that end containers on their way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepPlan:
    """One strike of the timeline: a fault, or a rescale. Times are seconds from the start of the load."""

    step: str
    kind: str
    at_s: float
    """With `after`: the earliest instant."""
    for_s: float | None
    targets: tuple[str, ...]
    """Container names that the step strikes, adds or removes."""
    parameters: Mapping[str, object] = field(default_factory=dict)
    group: str | None = None
    """Steps of one group strike together: their losses cannot be told apart and are measured as one."""
    after: TriggerPlan | None = None
    kernel_features: tuple[str, ...] = ()
    """What the engine's kernel must have for it, beyond what every testbed needs."""
    fault_ground: tuple[str, ...] = ()
    """What its targets put in place before the baseline (docs/contracts.md section 3)."""
    strikes_control_path: bool = False
    """It also strikes the way of the control probe, which then tells nothing of the machine."""
    takes_down: bool = False
    """Its targets end and are started again: what was armed in them is gone, and they boot."""
    arming_s: float = 0.0
    """Its targets need so long, once it is armed, before it can strike on time; where nothing is said, a moment."""
    returns_s: float = 0.0
    """After its end, or its instant where it has none, its targets are busy so long at the least: a killed program comes back,
    one node after the other restarts."""

    @property
    def until_s(self) -> float:
        return self.at_s + (self.for_s or 0.0)

    @property
    def ends_containers(self) -> bool:
        """While it lasts, a container of its targets may not run: somebody has to start it."""
        return self.takes_down or self.kind in ENDING

    @property
    def is_momentary(self) -> bool:
        """What it strikes comes back, or is gone for good, by itself: nothing of it is in place afterwards."""
        return self.kind in MOMENTARY
