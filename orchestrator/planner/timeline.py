"""The timeline: every strike becomes a step with its targets; the set of nodes is followed from step to step."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from itertools import chain
from pathlib import Path

from pydantic import JsonValue

from orchestrator.contracts import Action, Kinds, PlanContext
from orchestrator.model.plan import PathPlan, Plan, Role, StepPlan
from orchestrator.planner.chance import chance
from orchestrator.planner.complaints import Complaints
from orchestrator.planner.draining import check_drains
from orchestrator.planner.in_time import check_instants, latest_end_s
from orchestrator.planner.lasting import Planned, check_order, check_overlaps, lasts_on, least_every_s, meet, names_of
from orchestrator.planner.needing_api import check_api, check_revivals
from orchestrator.planner.strikes import Strike, place_of, unroll
from orchestrator.planner.targets import Candidates, Choice, choose, next_hops_of, read_list, read_selector
from orchestrator.planner.triggers import Ground, check_triggers
from orchestrator.scenario.entries import TargetSelector
from orchestrator.scenario.schema import Scenario

TARGET = "target"
RESCALE = "scale"
INTERNAL = "("
"""Kinds whose names begin so are not for users to name."""
ENTRY = 2
"""A location is longer where it is that of a member of a group."""
FORGETS_REPLICAS = "forgets_replicas"
"""Parameter of a step after which nothing is known of how many pods there are."""
DOWN = "down"
"""Parameter of a step: nodes that are there and do not run. None of them is chosen."""


def plan_timeline(
    scenario: Scenario,
    kinds: Kinds,
    context: PlanContext,
    complaints: Complaints,
    *,
    paths: tuple[PathPlan, ...] = (),
    seed: str = "0",
) -> tuple[StepPlan, ...]:
    """Steps in the order of their instants. Problems go to `complaints`. `seed` decides phases and chosen targets, and nothing of
    what is a problem."""
    strikes = unroll(scenario.timeline, seed)
    # What is named keeps its nodes from every choice that meets it, also from an earlier one: it is planned alone first.
    named = _Planner(scenario, kinds, context, Complaints(Path()), paths, seed)
    for strike in strikes:
        named.add(strike, chooses=False)
    planner = _Planner(scenario, kinds, context, complaints, paths, seed, named=named.planned)
    for strike in strikes:
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
        named: list[Planned] | None = None,
    ) -> None:
        self._scenario = scenario
        self._kinds = kinds
        self._context = context
        self._complaints = complaints
        self._paths = paths
        self._next_hops = next_hops_of(paths)
        self._seed = seed
        self._nodes = dict(context.nodes)
        self._replicas = dict(context.replicas)
        self._down: set[str] = set()
        self._named = named or []
        self._choices: list[tuple[Planned, Choice]] = []
        self.planned: list[Planned] = []
        self._there: list[frozenset[str]] = []
        """Nodes at each of these."""

    def add(self, strike: Strike, *, chooses: bool = True) -> None:
        """`chooses`: also a strike whose targets are chosen by the seed."""
        action = self._kinds.actions.get(strike.kind)
        if action is None:
            known = ", ".join(sorted(name for name in self._kinds.actions if name != RESCALE and not name.startswith(INTERNAL)))
            self._complaints.add(*strike.location, "fault", message="unknown fault", found=repr(strike.kind), allowed=known)
            return
        if strike.kind == RESCALE and len(strike.location) > ENTRY:
            self._complaints.add(
                *strike.location, "fault", message="a rescale is no fault", found=strike.kind, allowed="an entry of its own"
            )
            return
        check_instants(self._scenario, strike, self._complaints)
        moved = {**strike.elsewhere, "for": strike.for_location}
        with self._complaints.moved(*strike.location, to=moved), self._complaints.at(*strike.location):
            takes_target = TARGET in action.options.model_fields
            value = strike.options.get(TARGET) if takes_target else None
            selector = read_selector(value) if takes_target else None
            if selector is not None:
                names = self._choose(strike, action, selector) if chooses else ()
            elif isinstance(value, list):
                names = read_list(value)
            else:
                self._plan(strike, action, strike.options)
                return
            for name in names:
                self._plan(strike, action, {**strike.options, TARGET: name})

    def steps(self) -> tuple[StepPlan, ...]:
        """With the names of steps that one entry has several of counted, and groups marked."""
        check_overlaps(self.planned, self._scenario.duration, self._complaints)
        check_order(self.planned, self._complaints)
        check_api(self.planned, self._scenario.duration, self._complaints)
        check_revivals(self.planned, self._scenario.duration, self._complaints)
        check_drains(list(zip(self.planned, self._there, strict=True)), self._scenario.duration, self._complaints)
        by_place = Counter(place_of(strike) for strike, _ in self.planned)
        by_group = Counter(strike.group for strike, _ in self.planned)
        numbers: Counter[int] = Counter()
        named: list[Planned] = []
        for strike, step in sorted(self.planned, key=lambda item: item[0].at_s):
            place = place_of(strike)
            numbers[place] += 1
            name = f"{place + 1}-{step.kind}" if by_place[place] == 1 else f"{place + 1}-{step.kind}-{numbers[place]}"
            group = strike.group if by_group[strike.group] > 1 else None
            named.append((strike, replace(step, step=name, group=group)))
        self._check_triggers(named)
        return tuple(step for _, step in named)

    def _check_triggers(self, named: list[Planned]) -> None:
        nodes = frozenset(self._context.nodes).union(*(names_of(step, "add") for _, step in named))
        ground = Ground(paths=self._paths, nodes=nodes, all_nodes=self._context.all_nodes, latest_s=latest_end_s(self._scenario))
        check_triggers(named, ground, self._complaints)

    def _choose(self, strike: Strike, action: Action, selector: TargetSelector) -> tuple[str, ...]:
        """Raises ValueError."""
        candidates = Candidates(nodes=tuple(self._nodes), labels=self._scenario.cluster.node_labels, next_hops=self._next_hops)
        possible: dict[str, Planned] = {}
        errors: list[ValueError] = []
        matching = candidates.matching(selector)
        for name in matching:
            try:
                planned = self._make(strike, action, {**strike.options, TARGET: name})
            except ValueError as error:
                errors.append(error)
                continue
            if planned is None:
                return ()
            possible[name] = planned
        if errors and not possible:
            raise errors[0]
        # They differ in nothing but whom they strike: how long it lasts is any one's.
        one = next(iter(possible.values()), None)
        met = [(other, choice) for other, choice in self._choices if self._meets(one, other)]
        named = chain.from_iterable(step.targets for other, step in self._named if self._meets(one, (other, step)))
        candidates = replace(
            candidates,
            struck=frozenset(matching) - frozenset(possible) | frozenset(named) | self._down,
            choices=tuple(choice for _, choice in met),
        )
        if any(other[0].group == strike.group for other, _ in met):
            candidates = replace(candidates, other_time="an entry of its own")
        elif one is not None and any(place_of(other[0]) == place_of(strike) for other, _ in met) and not lasts_on(one[1]):
            least_s = least_every_s(one, self._scenario.duration)
            candidates = replace(candidates, other_time=f"another time; `every` of {least_s:g}s or more")
        choice = choose(selector, candidates, chance(self._seed, strike.group, *strike.location))
        if one is not None:
            self._choices.append((one, choice))
        return choice.chosen

    def _meets(self, one: Planned | None, other: Planned) -> bool:
        if one is None:
            return False
        # A node that is gone for good cannot be struck later either.
        leaves = set(names_of(one[1], "remove")) & set(one[1].targets)
        return meet(one, other, self._scenario.duration) or (bool(leaves) and other[0].latest_s >= one[0].earliest_s)

    def _plan(self, strike: Strike, action: Action, raw: dict[str, JsonValue]) -> None:
        planned = self._make(strike, action, raw)
        if planned is None:
            return
        self.planned.append(planned)
        self._there.append(frozenset(self._nodes))
        self._nodes.update({name: self._context.all_nodes[name] for name in names_of(planned[1], "add")})
        for name in names_of(planned[1], "remove"):
            self._nodes.pop(name, None)
        self._down.update(names_of(planned[1], DOWN))
        self._replicas.update(_replicas_after(planned[1], self._replicas))

    def _make(self, strike: Strike, action: Action, raw: dict[str, JsonValue]) -> Planned | None:
        options = self._complaints.decode(action.options, raw, *strike.location)
        if options is None:
            return None
        context = replace(self._context, nodes=self._nodes, replicas=self._replicas)
        # The name is given later, when it is known how many steps the entry has; places begin it.
        step = action.plan(f"{place_of(strike) + 1}-{strike.kind}", strike.at_s, strike.for_s, options, context)
        return strike, replace(step, after=strike.after)


def _replicas_after(step: StepPlan, before: Mapping[str, int | None]) -> Mapping[str, int | None]:
    if step.parameters.get(FORGETS_REPLICAS):
        return dict.fromkeys(before)
    deployment, pods = step.parameters.get("deployment"), step.parameters.get("pods")
    if not isinstance(deployment, str) or not isinstance(pods, int):
        return {}
    # When a step strikes that waits for an event, and so which is the last one, is not known.
    return {deployment: None if step.after is not None else pods}


def added_nodes(timeline: tuple[StepPlan, ...]) -> tuple[str, ...]:
    """Nodes that some step adds, each once, in the order of their numbers."""
    names = {name for step in timeline for name in names_of(step, "add")}
    return tuple(sorted(names, key=lambda name: int(name.rpartition("-")[2])))


def nodes_at(plan: Plan, at_s: float) -> frozenset[str]:
    """The nodes that are there just before an instant, as the timeline has it."""
    nodes = {item.name for item in plan.of_role(Role.NODE) if item.at_bring_up}
    for step in plan.timeline:
        if step.at_s < at_s:
            nodes |= set(names_of(step, "add"))
            nodes -= set(names_of(step, "remove"))
    return frozenset(nodes)
