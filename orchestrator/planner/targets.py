"""Which containers a strike hits: names as they stand, or a choice among the nodes of that instant by the seed. Pure."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace

from pydantic import JsonValue, ValidationError

from orchestrator.model.plan import PathPlan
from orchestrator.planner.chance import Chance
from orchestrator.scenario.entries import TargetSelector
from orchestrator.scenario.wording import describe_problems

_WORDS = ("any", "next-hop", "not next-hop")


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidates:
    """The nodes of an instant in their order, their labels, and those through which a path is routed."""

    nodes: Sequence[str]
    labels: Mapping[str, Mapping[str, str]]
    next_hops: Set[str]


def next_hops_of(paths: Sequence[PathPlan]) -> frozenset[str]:
    """The entry nodes of paths that a fixed route leads to one node."""
    return frozenset(node for path in paths if "next_hop" in path.settings for node in path.entry_nodes)


def choose_targets(value: JsonValue, candidates: Candidates, source: Chance) -> tuple[str, ...] | None:
    """The names; None when `value` is a name itself. Raises ValueError with words for the user's file."""
    if isinstance(value, str) and value not in _WORDS:
        return None
    if isinstance(value, list):
        return _listed(value)
    raw = {"of": value} if isinstance(value, str) else value
    try:
        selector = TargetSelector.model_validate(raw)
    except ValidationError as error:
        problem = describe_problems(error, TargetSelector)[0]
        if not problem.key:
            allowed = f"a node, a list, or a choice by {', '.join(TargetSelector.model_fields)}"
            problem = replace(problem, allowed=problem.allowed if isinstance(raw, dict) else allowed)
        raise ValueError(f"target{'.' * bool(problem.key)}{problem}" if problem.key else f"target: {problem}") from None
    matching = [name for name in candidates.nodes if _matches(name, selector, candidates)]
    size = selector.size_of(len(matching))
    if not 0 < size <= len(matching):
        found = ", ".join(matching) or "none"
        raise ValueError(f"target: cannot choose {size} of the nodes that match; found {found}; allowed: 1 to {len(matching)}")
    chosen = source.sample(matching, size)
    return tuple(name for name in candidates.nodes if name in chosen)


def _listed(value: list[JsonValue]) -> tuple[str, ...]:
    names = tuple(item for item in value if isinstance(item, str))
    if len(names) != len(value) or not names:
        raise ValueError("target: a list holds names; allowed: [node-1, node-2]")
    if len(set(names)) != len(names):
        raise ValueError("target: names a node twice; allowed: each once")
    return names


def _matches(name: str, selector: TargetSelector, candidates: Candidates) -> bool:
    is_next_hop = name in candidates.next_hops
    if selector.of == ("not next-hop" if is_next_hop else "next-hop"):
        return False
    own = candidates.labels.get(name, {})
    return all(own.get(key) == value for key, value in selector.labels.items())
