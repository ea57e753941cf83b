"""The timeline: every strike becomes a step with its targets; the set of nodes is followed from step to step."""

from collections import Counter
from dataclasses import replace

from pydantic import JsonValue

from orchestrator.contracts import Action, Kinds, PlanContext
from orchestrator.model.plan import PathPlan, Plan, Role, StepPlan
from orchestrator.planner.chance import chance
from orchestrator.planner.complaints import Complaints
from orchestrator.planner.strikes import Strike, unroll
from orchestrator.planner.targets import Candidates, choose_targets, next_hops_of
from orchestrator.scenario.schema import Scenario

TARGET = "target"
BOOT_S = 2.0
"""A container that was down is given this long to start and to take orders; on a busy machine a node takes 1 s."""


def plan_timeline(
    scenario: Scenario,
    kinds: Kinds,
    context: PlanContext,
    complaints: Complaints,
    *,
    paths: tuple[PathPlan, ...] = (),
    seed: str = "0",
) -> tuple[StepPlan, ...]:
    """Steps in the order of their instants. Problems go to `complaints`. `seed` decides phases and chosen targets."""
    planner = _Planner(scenario, kinds, context, complaints, paths, seed)
    for strike in unroll(scenario.timeline, seed):
        planner.add(strike)
    return planner.steps()


class _Planner:
    def __init__(
        self,
        scenario: Scenario,
        kinds: Kinds,
        context: PlanContext,
        complaints: Complaints,
        paths: tuple[PathPlan, ...],
        seed: str,
    ) -> None:
        self._scenario = scenario
        self._kinds = kinds
        self._context = context
        self._complaints = complaints
        self._next_hops = next_hops_of(paths)
        self._seed = seed
        self._nodes = dict(context.nodes)
        self._steps: list[tuple[Strike, StepPlan]] = []

    def add(self, strike: Strike) -> None:
        action = self._kinds.actions.get(strike.kind)
        if action is None:
            names = ", ".join(sorted(name for name in self._kinds.actions if name != "scale"))
            self._complaints.add(*strike.location, "fault", message="unknown fault", found=repr(strike.kind), allowed=names)
            return
        _check_instants(self._scenario, strike, self._complaints)
        with self._complaints.at(*strike.location):
            for options in self._each_target(strike, action):
                self._plan(strike, action, options)

    def steps(self) -> tuple[StepPlan, ...]:
        """With the names of steps that one entry has several of counted, and groups marked."""
        by_place = Counter(_place(strike) for strike, _ in self._steps)
        by_group = Counter(strike.group for strike, _ in self._steps)
        numbers: Counter[int] = Counter()
        named: list[tuple[Strike, StepPlan]] = []
        for strike, step in self._steps:
            place = _place(strike)
            numbers[place] += 1
            name = f"{place + 1}-{step.kind}" if by_place[place] == 1 else f"{place + 1}-{step.kind}-{numbers[place]}"
            group = strike.group if by_group[strike.group] > 1 else None
            named.append((strike, replace(step, step=name, group=group, after=strike.after)))
        _check_overlaps(named, self._scenario.duration, self._complaints)
        return tuple(step for _, step in named)

    def _each_target(self, strike: Strike, action: Action) -> tuple[dict[str, JsonValue], ...]:
        """The options once for each chosen target; as they are where nothing is to be chosen. Raises ValueError."""
        if TARGET not in action.options.model_fields or TARGET not in strike.options:
            return (strike.options,)
        labels = self._scenario.cluster.node_labels
        candidates = Candidates(nodes=tuple(self._nodes), labels=labels, next_hops=self._next_hops)
        source = chance(self._seed, strike.group, *strike.location)
        chosen = choose_targets(strike.options[TARGET], candidates, source)
        return (strike.options,) if chosen is None else tuple({**strike.options, TARGET: name} for name in chosen)

    def _plan(self, strike: Strike, action: Action, raw: dict[str, JsonValue]) -> None:
        options = self._complaints.decode(action.options, raw, *strike.location)
        if options is None:
            return
        context = replace(self._context, nodes=self._nodes)
        # The name is given later, when it is known how many steps the entry has; places begin it.
        step = action.plan(f"{_place(strike) + 1}-{strike.kind}", strike.at_s, strike.for_s, options, context)
        self._steps.append((strike, step))
        self._nodes.update({name: self._context.all_nodes[name] for name in _names(step, "add")})
        for name in _names(step, "remove"):
            self._nodes.pop(name, None)


def added_nodes(timeline: tuple[StepPlan, ...]) -> tuple[str, ...]:
    """Nodes that some step adds, each once, in the order of their numbers."""
    names = {name for step in timeline for name in _names(step, "add")}
    return tuple(sorted(names, key=lambda name: int(name.rpartition("-")[2])))


def nodes_at(plan: Plan, at_s: float) -> frozenset[str]:
    """The nodes that are there just before an instant, as the timeline has it."""
    nodes = {item.name for item in plan.of_role(Role.NODE) if item.at_bring_up}
    for step in plan.timeline:
        if step.at_s < at_s:
            nodes |= set(_names(step, "add"))
            nodes -= set(_names(step, "remove"))
    return frozenset(nodes)


def _names(step: StepPlan, key: str) -> tuple[str, ...]:
    value = step.parameters.get(key, ())
    return tuple(str(item) for item in value) if isinstance(value, list | tuple) else ()


def _check_instants(scenario: Scenario, strike: Strike, complaints: Complaints) -> None:
    latest = scenario.duration - scenario.convergence_validation
    where = ("timeline", _place(strike))
    if strike.at_s >= scenario.duration:
        complaints.add(*where, "at", message="after the end of the load", found=f"{strike.at_s:g}s", allowed=f"0s to {latest:g}s")
    elif strike.for_s is not None and strike.at_s + strike.for_s > latest:
        complaints.add(
            *where,
            "for",
            message=f"ends at {strike.at_s + strike.for_s:g}s, with no time left to see a recovery",
            found=f"{strike.for_s:g}s",
            allowed=f"up to {max(0.0, latest - strike.at_s):g}s",
        )


def _check_overlaps(steps: list[tuple[Strike, StepPlan]], duration_s: float, complaints: Complaints) -> None:
    """One container can suffer one step at a time, or no evidence would belong to either."""
    for index, (strike, step) in enumerate(steps):
        for other, earlier in steps[:index]:
            shared = ", ".join(sorted(set(step.targets) & set(earlier.targets)))
            if not shared:
                continue
            lasts_on = earlier.after is not None or (earlier.for_s is None and not earlier.is_momentary)
            lasts_s = duration_s if lasts_on else earlier.until_s
            end_s = min(duration_s, lasts_s + (BOOT_S if earlier.takes_down else 0.0))
            together = strike.group == other.group
            if step.at_s < end_s or together:
                still = "still does" if step.at_s < lasts_s or together else f"has it start again ({BOOT_S:g}s)"
                message = f"strikes {shared} while timeline[{_place(other)}] {still}"
                allowed = "another target" if together else f"from {end_s:g}s on"
                if earlier.after is None and lasts_on and not together:
                    allowed = f"another target, or a `for` that ends timeline[{_place(other)}] before"
                key = "target" if together else "at"
                complaints.add("timeline", _place(strike), key, message=message, found=f"{step.at_s:g}s", allowed=allowed)


def _place(strike: Strike) -> int:
    return int(strike.location[1])
