"""Work on a testbed that is up: faults, rescales and load by hand, each planned like an entry of a timeline."""

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import JsonValue, TypeAdapter, ValidationError

from orchestrator.errors import ScenarioError, TestbedError, UsageError
from orchestrator.experiment import Host, Loaded, Observer, load_saved, stop_on_signals
from orchestrator.faults.arming import TTL_MARGIN_S
from orchestrator.in_place import SCALE, find_effect, refuse_in_vain
from orchestrator.loadgen.locust import START_FILE, fetch_samples, start_load
from orchestrator.model.plan import Plan, Role, StepPlan
from orchestrator.present import PLACE, plan_present
from orchestrator.registry import ACTIONS
from orchestrator.runner.telling import tell
from orchestrator.scenario.entries import Entry
from orchestrator.scenario.quantities import format_duration
from orchestrator.scenario.schema import Load
from orchestrator.scenario.wording import describe_problems
from orchestrator.store import SAMPLES, VERSIONS, RunDirectory, create_run_directory
from orchestrator.testbed.attaching import attach, find_kept, nodes_of
from orchestrator.testbed.labels import EXPIRES, OWNER_PID
from orchestrator.testbed.run import Run
from orchestrator.testbed.world import Testbed

STRIKE_AHEAD_S, ARMING_S = 0.6, 0.2
ORDERS_AHEAD = 4
"""A strike is at least as many orders away as that, of the length of one just given."""
"""From the command to the strike: time to arm what fires on the clock; and for each fault more that strikes with it."""
STEPS = "interactive.json"
_STEPS = TypeAdapter(tuple[StepPlan, ...])


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A testbed that is up and what it was brought up from."""

    world: Testbed
    loaded: Loaded
    directory: RunDirectory
    nodes: tuple[str, ...]
    """Those that are there, whatever was brought up."""
    require_features: Callable[[tuple[str, ...]], None]

    @property
    def containers(self) -> tuple[str, ...]:
        """Names of those that commands can be run in."""
        others = (item.name for item in self.world.plan.containers if item.role is not Role.NODE)
        return (*others, *self.nodes)

    def plan(self, entry: Entry | None = None, *, lasts_s: float) -> Plan:
        """The plan of this testbed as it is now, with one entry in its timeline. Raises ScenarioError."""
        down = [node for node in self.nodes if entry is not None and not self.world.is_running(node)]
        return plan_present(self.loaded, self.nodes, entry, lasts_s=lasts_s, slot=self.world.plan.slot, down=down)

    def present(self) -> Testbed:
        """With the nodes that are there now in its plan: those that joined by hand are not in that of the bring-up."""
        return self.world.planned(self.plan(lasts_s=self.loaded.scenario.duration))

    def steps(self) -> tuple[StepPlan, ...]:
        """What was injected by hand and not healed by hand, in order."""
        found = self.directory.load_json(STEPS)
        return _STEPS.validate_python(found) if found is not None else ()

    def strike(self, options: Mapping[str, JsonValue], *, for_s: float | None, lasts_s: float) -> tuple[StepPlan, ...]:
        """Plan the entry, arm it, and fire it on the clock. Returns the steps, which are effective then.

        Raises UsageError for what cannot be planned, EvidenceError and the like where the kernel shows no effect.
        """
        plan = self._plan_strike(options, for_s=for_s, lasts_s=lasts_s)
        refuse_in_vain(plan.timeline, self.steps(), self.world, self.containers)
        self.require_features(plan.kernel_features)
        # An id is used once in a container's life.
        steps = tuple(replace(step, step=f"{_token()}-{step.kind}-{index}") for index, step in enumerate(plan.timeline, 1))
        world = self.world.planned(plan)
        faults = tuple(step for step in steps if step.kind != SCALE)
        self._remember(*self.steps(), *faults)
        targets = sorted({target for step in faults for target in step.targets})
        order_s = self._time_an_order_s(targets)
        arming_s = max((step.arming_s for step in steps), default=0.0)
        ahead_s = max(STRIKE_AHEAD_S, ORDERS_AHEAD * order_s, arming_s) + max(ARMING_S, order_s) * (len(steps) - 1)
        # What a fault does inside a container expires there; a container that has ended needs somebody who starts it.
        if targets:
            world.revive_later(targets, ahead_s + (lasts_s if for_s is None else for_s) + TTL_MARGIN_S)
        at_ns = world.clock.now_mono_ns() + round(ahead_s * 1e9)
        try:
            for step in steps:
                ACTIONS[step.kind].arm(step, world, at_ns)
            world.clock.sleep_until_mono_ns(at_ns)
            for step in steps:
                tell(world, "step-issued", step)
                ACTIONS[step.kind].inject(step, world, at_ns)
        except BaseException:
            # Half a strike is none: whatever of it is in place is taken back.
            self.heal(steps)
            raise
        self._remember(*(step for step in self.steps() if step not in steps or not step.is_momentary))
        return steps

    def _time_an_order_s(self, targets: Sequence[str]) -> float:
        """How long init takes to answer on this machine now: a strike must be armed before its instant, however busy it is."""
        target = next((name for name in targets if self.world.is_running(name)), None)
        if target is None:
            return 0.0
        began_ns = self.world.clock.now_mono_ns()
        self.world.control(target, {"op": "status"})
        return (self.world.clock.now_mono_ns() - began_ns) / 1e9

    def in_place(self) -> tuple[tuple[StepPlan, str], ...]:
        """Of the steps, those that are in effect now, each with what tells so."""
        told = [(step, find_effect(step, self.world)) for step in self.steps()]
        return tuple((step, effect) for step, effect in told if effect is not None)

    def heal(self, steps: tuple[StepPlan, ...]) -> None:
        """The last one first. Idempotent. An interrupt does not end it, and one that cannot be healed does not keep the others.

        Raises TestbedError: the first failure, after all have been tried.
        """
        world, failures = self.world.under(threading.Event()), list[TestbedError]()
        for step in reversed(steps):
            try:
                ACTIONS[step.kind].heal(step, world)
            except TestbedError as error:
                failures.append(error)
            else:
                self._remember(*(other for other in self.steps() if other.step != step.step))
        if failures:
            raise failures[0]

    def run_load(self, *, rate: str | None, lasts_s: float, results: Path) -> RunDirectory:
        """The scenario's load for so long, saved as a run of its own that can be judged and reported."""
        scenario = self.loaded.scenario
        if rate is not None:
            try:
                offered = Load.model_validate({**scenario.load.model_dump(mode="json"), "rate": rate})
            except ValidationError as error:
                raise UsageError(f"--rate {rate}: {describe_problems(error, Load)[0]}") from None
            scenario = scenario.model_copy(update={"load": offered})
        plan = replace(self, loaded=replace(self.loaded, scenario=scenario)).plan(lasts_s=lasts_s)
        directory = create_run_directory(results, scenario.name, f"{self.directory.run_id}-{_token()}")
        directory.save_json(VERSIONS, dict(self.directory.versions))
        directory.save_plan(plan)
        world = self.world.planned(plan)
        client = plan.of_role(Role.CLIENT)[0].name
        world.execute(client, ["rm", "-f", START_FILE], deadline_s=10)
        load = start_load(world)
        load.await_ready()
        start_ns = world.clock.now_mono_ns() + round(STRIKE_AHEAD_S * 1e9)
        load.begin(start_ns)
        try:
            load.wait_finished(world)
        except BaseException:
            load.stop()
            raise
        finally:
            directory.save_history(world.history())
            fetch_samples(world, directory.path / SAMPLES)
        return directory

    def _plan_strike(self, options: Mapping[str, JsonValue], *, for_s: float | None, lasts_s: float) -> Plan:
        raw = {"at": "0s", **({} if for_s is None else {"for": format_duration(for_s)}), **options}
        try:
            return self.plan(Entry.model_validate(raw), lasts_s=lasts_s)
        except ValidationError as error:
            raise UsageError("; ".join(map(str, describe_problems(error, Entry)))) from None
        except ScenarioError as error:
            raise UsageError("; ".join(str(problem) for problem in error.problems).replace(f"timeline[{PLACE}].", "")) from None

    def _remember(self, *steps: StepPlan) -> None:
        self.directory.save_json(STEPS, _STEPS.dump_python(steps, mode="json"))


@contextmanager
def open_session(host: Host, directory: RunDirectory, *, observer: Observer | None = None) -> Iterator[Session]:
    """The kept testbed of a run directory. Raises UsageError when it is not up; see `attach`."""
    found = find_kept(host.engine, directory.run_id)
    loaded = load_saved(directory)
    labels = found.containers[0].labels
    expires_unix_s = int(labels[EXPIRES])
    run = Run(
        run_id=found.run_id,
        directory=directory.path.resolve(),
        owner_pid=int(labels.get(OWNER_PID, os.getpid())),
        expires_in_s=max(1, expires_unix_s - round(time.time())),  # noqa: TID251 - expiry is a date
        expires_unix_s=expires_unix_s,
        images={role: host.images.tags[role] for role in Role},
    )
    with (
        stop_on_signals() as stop,
        attach(
            directory.load_plan(), found, run, engine=host.engine, compose=host.compose, stop=stop, observer=observer
        ) as world,
    ):
        yield Session(
            world=world, loaded=loaded, directory=directory, nodes=nodes_of(found), require_features=host.require_features
        )


def _token() -> str:
    return f"{time.monotonic_ns() // 1_000_000:x}"
