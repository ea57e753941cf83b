"""A Deployment that is scaled while several of its ReplicaSets have pods: each grows or shrinks by its share. Pure.

Source: kubernetes, pkg/controller/deployment/sync.go (isScalingEvent, scale) and util (GetReplicaSetProportion, IsSaturated).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from controlplane.controllers.rollout import Replicas


def is_scaled(items: Iterable[Replicas], *, wanted: int) -> bool:
    """Whether the Deployment has been scaled since one of those that have pods was."""
    return any(item.wanted > 0 and item.desired not in (None, wanted) for item in items)


def plan_scaling(
    *, wanted: int, surge: int, new: Replicas | None, old: Sequence[Replicas], is_rolling: bool, shown: int
) -> Mapping[str, int]:
    """The size of each ReplicaSet that takes part, changed or not; `old` with the oldest first.

    `shown` is the number of replicas in the Deployment's status.
    """
    everything = [*old, *([new] if new is not None else [])]
    active = [item for item in everything if item.wanted > 0]
    if len(active) <= 1:
        # The new one, or the youngest.
        return {item.name: wanted for item in (active or everything)[-1:]}
    if new is not None and _is_saturated(new, wanted):
        return {item.name: 0 for item in active if item is not new}
    if not is_rolling:
        return {item.name: item.wanted for item in active}
    return _plan_shares(active, wanted, wanted + surge if wanted else 0, shown)


def _is_saturated(new: Replicas, wanted: int) -> bool:
    return new.wanted == new.desired == new.available == wanted


def _plan_shares(active: Sequence[Replicas], wanted: int, allowed: int, shown: int) -> Mapping[str, int]:
    to_add = allowed - sum(item.wanted for item in active)
    # The largest first, and of equals the younger ones to grow, the older ones to shrink.
    ages = list(active) if to_add < 0 else list(reversed(active))
    order = sorted(ages, key=lambda item: -item.wanted)
    sizes: dict[str, int] = {}
    added = 0
    for item in order:
        share = _share(item, wanted, allowed, shown)
        left = to_add - added
        change = min(share, left) if to_add > 0 else max(share, left) if to_add < 0 else 0
        sizes[item.name] = item.wanted + change
        added += change
    largest = order[0].name
    sizes[largest] = max(0, sizes[largest] + to_add - added)
    return sizes


def _share(item: Replicas, wanted: int, allowed: int, shown: int) -> int:
    """How many more it should have to keep its part of the whole."""
    if wanted == 0:
        return -item.wanted
    whole = item.maximum or shown or allowed
    return _round(item.wanted * allowed / whole) - item.wanted


def _round(number: float) -> int:
    """Halves up, which is not Python's way."""
    return int(number + 0.5)
