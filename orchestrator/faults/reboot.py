"""What the reboots of a node and of the gateway share: power off on the clock, and a start as soon as it is off."""

from typing import ClassVar

from orchestrator.contracts import PlanContext, World
from orchestrator.faults.arming import arm, await_effective, plan_inside, refuse_end
from orchestrator.faults.power import await_death, boot, heal_by_start
from orchestrator.model.plan import StepPlan
from orchestrator.runner.telling import tell


class Reboot:
    """Evidence: every link read back as down, the engine saw it die, and init's report of the new life."""

    kind: ClassVar[str]
    exclusive: ClassVar[bool] = False

    def plan_reboot(
        self,
        step: str,
        at_s: float,
        for_s: float | None,
        target: str,
        context: PlanContext,
        *,
        strikes_control_path: bool = False,
    ) -> StepPlan:
        refuse_end(for_s, "a reboot takes as long as it takes; a kill lasts")
        return plan_inside(
            self.kind,
            step,
            at_s,
            for_s,
            target,
            context,
            fault="power-off",
            strikes_control_path=strikes_control_path,
            takes_down=True,
        )

    def arm(self, step: StepPlan, world: World, at_mono_ns: int) -> None:
        arm(step, world, at_mono_ns, "power-off")

    def inject(self, step: StepPlan, world: World, at_mono_ns: int) -> None:
        struck = await_effective(step, world)
        died = await_death(step.targets[0], world, since_ns=at_mono_ns)
        booted = boot(step.targets[0], world)
        took_ms = (booted.t_mono_ns - struck.t_mono_ns) / 1e6
        off = f"{struck.fields.get('evidence')}; the engine saw it die with status {died.fields.get('exit_code')}"
        evidence = f"{off}; booted {took_ms:.0f} ms later"
        tell(world, "step-effective", step, evidence=evidence, at_mono_ns=struck.t_mono_ns)

    def heal(self, step: StepPlan, world: World) -> None:
        heal_by_start(step, world)
