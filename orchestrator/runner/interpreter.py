"""The interpreter of the timeline. It waits for instants and hands each step's operations to lanes; it chooses nothing."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial

from orchestrator.contracts import Action, Load, Stop, World
from orchestrator.errors import InterruptedRunError, TestbedError
from orchestrator.model.plan import Plan, StepPlan, StopPlan
from orchestrator.runner.lanes import Lanes, ThreadLanes, plan_lanes
from orchestrator.runner.schedule import ISSUE_AHEAD_S, Due, Stage, operations, schedule, start_ahead_s
from orchestrator.runner.telling import tell
from orchestrator.runner.triggers import await_stop, await_trigger

LOAD_LANE = "load"
REVIVE_MARGIN_S = 30.0
"""After its end a container that a fault has ended is started where nobody has healed it: as late as what is armed expires."""


class _StopConditionMet(Exception):  # noqa: N818  no error: what the user asked for
    """Ends the timeline from inside."""


class _AnyStop:
    """Set when the run is interrupted or when this timeline gives up."""

    def __init__(self, outer: Stop) -> None:
        self._outer = outer
        self.own = threading.Event()

    def is_set(self) -> bool:
        return self.own.is_set() or self._outer.is_set()

    def wait(self, timeout: float) -> bool:
        # Two events cannot be waited for at once; the outer one is looked at every 50 ms.
        if timeout > 0.05:
            self.own.wait(0.05)
        else:
            self.own.wait(max(0.0, timeout))
        return self.is_set()


def run_timeline(
    plan: Plan,
    world: World,
    load: Load,
    actions: Mapping[str, Action],
    *,
    stop: Stop,
    make_lanes: Callable[[], Lanes] = ThreadLanes,
) -> None:
    """Load and timeline side by side, until both are over. Every step ends healed, on every way out.

    Failures of single steps are history (`step-failed`): the trial goes on and is INVALID. A stop condition that comes true ends
    load and timeline early (`stop-condition`).

    Raises:
        InterruptedRunError: `stop` was set; the load has been stopped and keeps what it recorded.
        TestbedError: the load failed.
    """
    ending = _AnyStop(stop)
    interpreter = _Interpreter(plan, world.under(ending), load, actions, ending, make_lanes)
    with _healed(interpreter, world):
        try:
            interpreter.run()
        except _StopConditionMet:
            interpreter.give_up()


@contextmanager
def _healed(interpreter: "_Interpreter", world: World) -> Iterator[None]:
    try:
        yield
    except BaseException:
        interpreter.give_up()
        raise
    finally:
        # Deadlines alone end these waits: an interrupt is no reason to leave a fault in place.
        interpreter.heal_all(world.under(threading.Event()))


class _Interpreter:
    def __init__(
        self,
        plan: Plan,
        world: World,
        load: Load,
        actions: Mapping[str, Action],
        ending: _AnyStop,
        make_lanes: Callable[[], Lanes],
    ) -> None:
        self._plan = plan
        self._world = world
        self._load = load
        self._actions = actions
        self._ending = ending
        self._lanes = make_lanes()
        self._triggered = make_lanes()
        self._watchers = make_lanes()
        self._load_lane = make_lanes()
        self._lane_of = plan_lanes(plan.timeline, lambda kind: actions[kind].exclusive)
        self._to_heal: list[StepPlan] = []
        self._failed: set[str] = set()
        self._error: Exception | None = None
        self._is_stopped = False

    def run(self) -> None:
        """Everything in order of its instant; returns when every step and the load have ended."""
        start_ns = self._world.clock.now_mono_ns() + round(start_ahead_s(self._plan) * 1e9)
        for step in self._plan.timeline:
            self._tell("step-planned", step)
        self._world.emit("phase", name="load")
        self._load.begin(start_ns)
        self._submit(self._load_lane, LOAD_LANE, lambda: self._load.wait_finished(self._world))
        end_ns = start_ns + round(self._plan.load.duration_s * 1e9)
        for index, condition in enumerate(self._plan.stops):
            self._submit(self._watchers, f"stop {index}", partial(self._watch, condition, start_ns, end_ns))
        for step in self._plan.timeline:
            if step.after is not None:
                self._submit(self._triggered, step.step, partial(self._follow, step, start_ns, end_ns))
        for due in schedule(self._plan):
            ahead_s = ISSUE_AHEAD_S if due.stage is Stage.INJECT else 0.0
            self._sleep_until(start_ns + round((due.at_s - ahead_s) * 1e9))
            self._submit(self._lanes, self._lane_of[due.step.step], self._operation(due, start_ns))
        # Lanes take what the steps that wait for an event hand to them.
        self._triggered.join()
        self._lanes.join()
        if not self._is_stopped:
            self._world.emit("phase", name="recovery")
        self._load_lane.join()
        self._watchers.join()
        self._check()

    def give_up(self) -> None:
        """End every wait of the steps and of the load."""
        self._ending.own.set()
        try:
            self._load.stop()
        except TestbedError as error:
            # What ended the run is the error to raise; that the samples may be short stands in the history.
            self._world.emit("load-lost", error=str(error))

    def heal_all(self, world: World) -> None:
        """What is still armed or effective, the last one first."""
        self._triggered.join()
        self._lanes.join()
        self._load_lane.join()
        self._watchers.join()
        while self._to_heal:
            self._heal(self._to_heal[-1], world)

    def _sleep_until(self, t_mono_ns: int) -> None:
        try:
            self._world.clock.sleep_until_mono_ns(t_mono_ns)
        except InterruptedRunError:
            self._check()
            raise

    def _check(self) -> None:
        """What stopped the timeline from inside explains the stop better than the stop itself."""
        if self._is_stopped:
            raise _StopConditionMet
        if self._error is not None:
            raise self._error

    def _submit(self, lanes: Lanes, lane: str, operation: Callable[[], None]) -> None:
        def carried() -> None:
            try:
                operation()
            except Exception as error:  # noqa: BLE001 - raised again in the caller's thread
                self._error = self._error or error
                self._ending.own.set()

        lanes.submit(lane, carried)

    def _operation(self, due: Due, start_ns: int) -> Callable[[], None]:
        at_mono_ns = start_ns + round(due.step.at_s * 1e9)
        match due.stage:
            case Stage.ARM:
                return lambda: self._arm(due.step, at_mono_ns)
            case Stage.INJECT:
                return lambda: self._inject(due.step, at_mono_ns)
            case Stage.HEAL:
                return lambda: self._heal(due.step, self._world)

    def _watch(self, condition: StopPlan, start_ns: int, end_ns: int) -> None:
        try:
            reached = await_stop(condition, self._world, start_ns=start_ns, end_ns=end_ns)
        except InterruptedRunError:
            return
        if reached is not None and not self._is_stopped:
            self._world.emit(
                "stop-condition",
                path=condition.path,
                failed=reached.event.fields.get("failed"),
                text=condition.text,
                is_objective=condition.is_objective,
            )
            self._is_stopped = True
            self._ending.own.set()

    def _follow(self, step: StepPlan, start_ns: int, end_ns: int) -> None:
        """A step that waits for an event: armed, injected and healed in its lane like any other, from then on."""
        try:
            struck = await_trigger(step, self._world, start_ns=start_ns, end_ns=end_ns)
        except TestbedError as error:
            self._fail(step, "trigger", error)
            return
        lane = self._lane_of[step.step]
        for due in operations(struck):
            if due.stage is Stage.HEAL:
                self._sleep_until(min(end_ns, start_ns + round(due.at_s * 1e9)))
            self._submit(self._lanes, lane, self._operation(due, start_ns))

    def _arm(self, step: StepPlan, at_mono_ns: int) -> None:
        self._to_heal.append(step)
        try:
            self._actions[step.kind].arm(step, self._world, at_mono_ns)
            if step.ends_containers:
                # What is armed in a container expires there; one that has ended needs somebody who starts it.
                ahead_s = (at_mono_ns - self._world.clock.now_mono_ns()) / 1e9
                lasts_s = self._plan.load.duration_s - step.at_s if step.for_s is None else step.for_s
                self._world.revive_later(step.targets, ahead_s + lasts_s + REVIVE_MARGIN_S)
        except TestbedError as error:
            self._fail(step, "arm", error)

    def _inject(self, step: StepPlan, at_mono_ns: int) -> None:
        if step.step in self._failed:
            return
        try:
            # Never before the instant; where the lane was busy until later, the history shows it.
            self._world.clock.sleep_until_mono_ns(at_mono_ns - round(ISSUE_AHEAD_S * 1e9))
            self._tell("step-issued", step)
            self._world.clock.sleep_until_mono_ns(at_mono_ns)
            self._actions[step.kind].inject(step, self._world, at_mono_ns)
        except TestbedError as error:
            self._fail(step, "inject", error)
            return
        if step.for_s is None:
            self._tell("step-done", step)

    def _heal(self, step: StepPlan, world: World) -> None:
        if step not in self._to_heal:
            return
        try:
            self._actions[step.kind].heal(step, world)
        except InterruptedRunError:
            return  # healed on the way out instead
        except TestbedError as error:
            self._to_heal.remove(step)
            self._fail(step, "heal", error)
            return
        self._to_heal.remove(step)
        if step.for_s is not None and step.step not in self._failed:
            self._tell("step-done", step)

    def _fail(self, step: StepPlan, stage: str, error: TestbedError) -> None:
        self._failed.add(step.step)
        self._tell("step-failed", step, evidence=f"{stage}: {error}")

    def _tell(self, event: str, step: StepPlan, *, evidence: str = "") -> None:
        tell(self._world, event, step, evidence=evidence)
