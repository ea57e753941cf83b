"""How many replicas each ReplicaSet of a Deployment should have now. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Replicas:
    """What a ReplicaSet was asked for, and what of it is available."""

    name: str
    wanted: int
    available: int
    desired: int | None = None
    """How many the Deployment wanted when this one was scaled last, and at most with its surge; None: it is not known."""
    maximum: int | None = None


def plan_rolling(
    *, wanted: int, surge: int, unavailable: int, new: Replicas | None, old: Sequence[Replicas]
) -> Mapping[str, int]:
    """The sizes to change: at most `wanted + surge` in all, never fewer than `wanted - unavailable` available.

    Source: kubernetes, pkg/controller/deployment/rolling.go.
    """
    sizes = {item.name: item.wanted for item in (*old, *([new] if new is not None else []))}
    before = dict(sizes)
    active = [item for item in old if item.wanted > 0]
    if new is None:
        return {}
    if not active:
        sizes[new.name] = wanted
        return _changes(before, sizes)
    sizes[new.name] = _grow(wanted, surge, new, sum(sizes.values()))
    # The real controller scales one side per sync and sees the other at the next; the outcome is the same.
    new_unavailable = max(0, sizes[new.name] - new.available)
    spare = sum(sizes.values()) - (wanted - unavailable) - new_unavailable
    spare -= _drop_broken(active, sizes, spare)
    available = new.available + sum(min(item.available, sizes[item.name]) for item in active)
    _shrink(active, sizes, min(spare, available - (wanted - unavailable)))
    return _changes(before, sizes)


def _changes(before: Mapping[str, int], sizes: Mapping[str, int]) -> Mapping[str, int]:
    return {name: size for name, size in sizes.items() if before[name] != size}


def _grow(wanted: int, surge: int, new: Replicas, total: int) -> int:
    if new.wanted >= wanted:
        return wanted
    room = max(0, wanted + surge - total)
    return new.wanted + min(room, wanted - new.wanted)


def _drop_broken(active: Sequence[Replicas], sizes: dict[str, int], spare: int) -> int:
    """Old pods that serve nobody go first."""
    dropped = 0
    for item in active:
        count = min(max(0, spare - dropped), max(0, sizes[item.name] - item.available))
        sizes[item.name] -= count
        dropped += count
    return dropped


def _shrink(active: Sequence[Replicas], sizes: dict[str, int], spare: int) -> None:
    for item in active:
        if spare <= 0:
            return
        count = min(spare, sizes[item.name])
        sizes[item.name] -= count
        spare -= count


def plan_recreate(*, wanted: int, new: Replicas | None, old: Sequence[Replicas]) -> Mapping[str, int]:
    """The sizes to change: everything old goes before anything new comes."""
    if active := [item for item in old if item.wanted > 0]:
        return {item.name: 0 for item in active}
    return {new.name: wanted} if new is not None and new.wanted != wanted else {}
