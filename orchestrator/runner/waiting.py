"""Waiting for a state of the cluster, told by its events, with what still lacks in the error."""

from collections.abc import Callable, Sequence

from orchestrator.contracts import World
from orchestrator.errors import DeadlineError
from orchestrator.model.history import Event
from orchestrator.runner.view import ClusterView


def await_state(
    world: World,
    lacking: Callable[[ClusterView], Sequence[str]],
    *,
    deadline_s: float,
    what: str,
    watch: Callable[[Event], None] | None = None,
) -> None:
    """Until nothing lacks in the cluster's present state. `watch` sees every event first and may raise.

    Raises:
        DeadlineError with everything that lacks; InterruptedRunError.
    """
    view = ClusterView()

    def fold(event: Event) -> None:
        if watch is not None:
            watch(event)
        view.add(event)

    world.wait_state(fold, lambda: lacking(view), deadline_s=deadline_s, what=what)


def poll(world: World, lacking: Callable[[], str | None], *, deadline_s: float, what: str, every_s: float = 0.1) -> None:
    """For a state that no event tells. Raises DeadlineError, InterruptedRunError."""
    deadline_ns = world.clock.now_mono_ns() + round(deadline_s * 1e9)
    while (lack := lacking()) is not None:
        now_ns = world.clock.now_mono_ns()
        if now_ns >= deadline_ns:
            raise DeadlineError(what, deadline_s, lack)
        world.clock.sleep_until_mono_ns(min(deadline_ns, now_ns + round(every_s * 1e9)))
