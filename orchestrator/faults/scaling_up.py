"""Scaling up: nodes first, then pods, so that the scheduler finds the new nodes empty and spreads over them."""

import os
from collections.abc import Iterator

from orchestrator.contracts import World
from orchestrator.faults.scaling import READY_DEADLINE_S, Rescale, await_served, present_nodes
from orchestrator.model.history import Event
from orchestrator.runner.view import ClusterView
from orchestrator.runner.waiting import await_state

STARTING_AT_ONCE = max(1, (os.cpu_count() or 2) // 2)


def add_nodes(rescale: Rescale, world: World) -> None:
    """Create the nodes, wait until they are Ready, scale the Deployment, wait until everything serves.

    Half as many join at once as there are cores: more would wait for each other, and take the CPU of the load that is measured.
    Reports for each node `node-requested` when it was asked for, and `node-serving` when it was Ready, had rules for every ready
    endpoint, was up behind every frontend and in every kept route: the difference is its time to serve.
    """
    if rescale.add:
        tracker = _Tracker(rescale, world)
        for wave in batched(rescale.add, STARTING_AT_ONCE):
            _join(wave, rescale, world)
        rescale.scale_pods(world)
        world.wait_state(
            tracker.fold, tracker.lacking, deadline_s=READY_DEADLINE_S, what=f"{rescale.step.step}: new nodes serving"
        )
    else:
        rescale.scale_pods(world)
    await_served(rescale, world, present_nodes(world))


def _join(nodes: tuple[str, ...], rescale: Rescale, world: World) -> None:
    for node in nodes:
        world.emit("node-requested", step=rescale.step.step, node=node)
    world.create(*nodes)
    await_state(
        world,
        lambda view: view.lacking_nodes(nodes),
        deadline_s=READY_DEADLINE_S,
        what=f"{rescale.step.step}: new nodes Ready",
    )


def batched(names: tuple[str, ...], size: int) -> Iterator[tuple[str, ...]]:
    """Consecutive groups; the last one may be smaller."""
    return (names[first : first + size] for first in range(0, len(names), size))


class _Tracker:
    """Follows every new node until it serves."""

    def __init__(self, rescale: Rescale, world: World) -> None:
        self._rescale = rescale
        self._world = world
        self._view = ClusterView()
        self._pending = list(rescale.add)
        self._requested_ns = world.clock.now_mono_ns()
        self._services = [service for service, count in rescale.wanted(world).items() if count > 0]

    def fold(self, event: Event) -> None:
        # A node of the same name may have served before: what is older than the request counts for the state alone.
        if self._view.add(event) and event.t_mono_ns >= self._requested_ns:
            for node in [node for node in self._pending if not self._lacking(node)]:
                self._pending.remove(node)
                self._world.emit("node-serving", at_mono_ns=event.t_mono_ns, step=self._rescale.step.step, node=node)

    def lacking(self) -> list[str]:
        return [lack for node in self._pending for lack in self._lacking(node)]

    def _lacking(self, node: str) -> list[str]:
        return [
            *self._view.lacking_nodes([node]),
            *self._view.lacking_rules([node], self._services),
            *self._view.lacking_servers([node], self._rescale.backends),
            *self._view.lacking_routes([node], self._world.plan.paths),
        ]
