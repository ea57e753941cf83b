"""Where the blocking parts of steps run: one lane each, in order within a lane, side by side across lanes."""

import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from orchestrator.model.plan import StepPlan

Operation = Callable[[], None]
EXCLUSIVE = "exclusive"


class Lanes(Protocol):
    """Operations must not raise: they report their failures themselves."""

    def submit(self, lane: str, operation: Operation) -> None: ...

    def join(self) -> None:
        """Until every operation that was submitted has ended."""
        ...


class InlineLanes:
    """Carries an operation out at once: for tests, with a clock that only moves when it is waited on."""

    def submit(self, lane: str, operation: Operation) -> None:
        operation()

    def join(self) -> None:
        return


class ThreadLanes:
    """A thread for each lane, started with its first operation."""

    def __init__(self) -> None:
        self._queues: dict[str, queue.SimpleQueue[Operation | None]] = {}
        self._threads: list[threading.Thread] = []

    def submit(self, lane: str, operation: Operation) -> None:
        if lane not in self._queues:
            self._queues[lane] = queue.SimpleQueue()
            thread = threading.Thread(target=self._work, args=(self._queues[lane],), name=f"lane {lane}", daemon=True)
            self._threads.append(thread)
            thread.start()
        self._queues[lane].put(operation)

    def join(self) -> None:
        for pending in self._queues.values():
            pending.put(None)
        for thread in self._threads:
            thread.join()
        self._queues.clear()
        self._threads.clear()

    @staticmethod
    def _work(pending: "queue.SimpleQueue[Operation | None]") -> None:
        while (operation := pending.get()) is not None:
            operation()


def plan_lanes(timeline: Sequence[StepPlan], exclusive: Callable[[str], bool]) -> Mapping[str, str]:
    """Step -> lane. Steps that share a target, and all steps of exclusive kinds, share a lane: one waits for the other."""
    lanes: dict[str, set[str]] = {}
    claims = {step.step: {*step.targets, *([EXCLUSIVE] if exclusive(step.kind) else [])} for step in timeline}
    for step, claimed in claims.items():
        merged = {step}
        for other in tuple(lanes):
            if any(claims[member] & claimed for member in lanes[other]):
                merged |= lanes.pop(other)
        lanes[min(merged)] = merged
    return {step: lane for lane, members in lanes.items() for step in members}
