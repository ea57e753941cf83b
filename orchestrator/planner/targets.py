"""Which containers a strike hits: names as they stand, or a choice among the nodes of that instant by the seed. Pure."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field, replace

from pydantic import JsonValue, ValidationError

from orchestrator.model.plan import PathPlan
from orchestrator.planner.chance import Chance
from orchestrator.scenario.entries import TargetSelector
from orchestrator.scenario.wording import describe_problems

_WORDS = ("any", "next-hop", "not next-hop")
_FORMS = f"a node, a list, or a choice by {', '.join(TargetSelector.model_fields)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Among which nodes an earlier strike chose, and which: what it has may not be chosen while it lasts."""

    pool: tuple[str, ...]
    chosen: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidates:
    """The nodes of an instant in their order, their labels, and those through which a path is routed."""

    nodes: Sequence[str]
    labels: Mapping[str, Mapping[str, str]]
    next_hops: Set[str]
    struck: Set[str] = field(default_factory=frozenset)
    """Those that cannot suffer it, or that the timeline names for what meets it."""
    choices: tuple[Choice, ...] = ()
    """Of earlier strikes that meet this one."""
    other_time: str = "another time"
    """When those that are struck then may be chosen."""

    def matching(self, selector: TargetSelector) -> tuple[str, ...]:
        """Whatever else strikes them."""
        return tuple(name for name in self.nodes if _matches(name, selector, self))


def next_hops_of(paths: Sequence[PathPlan]) -> frozenset[str]:
    """The entry nodes of paths that a fixed route leads to one node."""
    return frozenset(node for path in paths if "next_hop" in path.settings for node in path.entry_nodes)


def read_selector(value: JsonValue) -> TargetSelector | None:
    """None when `value` names its nodes, one or a list of them. Raises ValueError with words for the user's file."""
    if value is None:
        raise ValueError(f"target: is required; allowed: {_FORMS}")
    if isinstance(value, list) or (isinstance(value, str) and value not in _WORDS):
        return None
    try:
        return TargetSelector.model_validate({"of": value} if isinstance(value, str) else value)
    except ValidationError as error:
        problem = describe_problems(error, TargetSelector)[0]
        if not problem.key:
            problem = replace(problem, allowed=problem.allowed if isinstance(value, dict) else _FORMS)
        raise ValueError(f"target.{problem}" if problem.key else f"target: {problem}") from None


def read_list(value: list[JsonValue]) -> tuple[str, ...]:
    """Raises ValueError with words for the user's file."""
    names = tuple(item for item in value if isinstance(item, str))
    if len(names) != len(value) or not names:
        raise ValueError("target: a list holds names; allowed: [node-1, node-2]")
    if len(set(names)) != len(names):
        raise ValueError("target: names a node twice; allowed: each once")
    return names


def choose(selector: TargetSelector, candidates: Candidates, source: Chance) -> Choice:
    """Nodes that nothing else strikes at the same time, however earlier choices came out.

    Whether there are enough is asked of the pools alone: a scenario that one seed can be planned for can be for every seed.
    Raises ValueError with words for the user's file.
    """
    matching = candidates.matching(selector)
    size = selector.size_of(len(matching))
    if selector.of == "next-hop" and not candidates.next_hops:
        raise ValueError(
            "target: no path leads through one fixed node; found next-hop; allowed: with a path of kind static-route"
        )
    if not matching:
        there = ", ".join(_describe(name, candidates) for name in candidates.nodes)
        raise ValueError(f"target: no node matches; found {there}; allowed: what one of them has")
    if not 0 < size <= len(matching):
        found = ", ".join(matching)
        raise ValueError(f"target: cannot choose {size} of the nodes that match; found {found}; allowed: 1 to {len(matching)}")
    pool = tuple(name for name in matching if name not in candidates.struck)
    taken = sum(min(len(other.chosen), len(set(other.pool) & set(pool))) for other in candidates.choices)
    if size > len(pool) - taken:
        most = len(pool) - taken
        found = f"{', '.join(matching)}, of which {len(matching) - most} may not be struck then"
        raise ValueError(
            f"target: cannot choose {size} of the nodes; found {found}; allowed: {_left(most, candidates.other_time)}"
        )
    free = [name for name in pool if all(name not in other.chosen for other in candidates.choices)]
    chosen = set(source.sample(free, size))
    return Choice(pool=pool, chosen=tuple(name for name in candidates.nodes if name in chosen))


def _left(most: int, other_time: str) -> str:
    return f"1 to {most}, or {other_time}" if most > 0 else other_time


def _describe(name: str, candidates: Candidates) -> str:
    labels = ", ".join(f"{key}: {value}" for key, value in sorted(candidates.labels.get(name, {}).items()))
    told = [*([labels] if labels else []), *(["next-hop"] if name in candidates.next_hops else [])]
    return f"{name} ({', '.join(told)})" if told else name


def _matches(name: str, selector: TargetSelector, candidates: Candidates) -> bool:
    is_next_hop = name in candidates.next_hops
    if selector.of == ("not next-hop" if is_next_hop else "next-hop"):
        return False
    own = candidates.labels.get(name, {})
    return all(own.get(key) == value for key, value in selector.labels.items())
