"""Runs the controllers: every commit marks what must be looked at again, and that happens as soon as the event loop is free.

Nothing polls: an endpoint follows its pod within the same millisecond, and a control plane without changes does nothing.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from controlplane.clock import Clock
from controlplane.errors import StatusError
from controlplane.objects import Key
from controlplane.store.history import Change
from controlplane.store.store import AbsentError, Store, VersionError

TURN_LIMIT = 32
"""Reconciliations in a row before requests and watchers get their turn."""
RETRY_FIRST_S = 0.05
RETRY_LAST_S = 5.0


class Controller(Protocol):
    """One control loop."""

    def affected(self, change: Change) -> Iterable[Key]:
        """What a commit makes worth looking at again. Must not write."""

    def reconcile(self, key: Key) -> float | None:
        """Bring it to what is wanted; returns after how many seconds to look again, None if only after a change."""


class ControlLoop:
    """The queue of all controllers."""

    def __init__(self, *, store: Store, clock: Clock, defer: Callable[[Callable[[], None]], object]) -> None:
        """`defer` runs a call when the event loop is free."""
        self._store = store
        self._clock = clock
        self._defer = defer
        self._controllers: Sequence[Controller] = ()
        self._waiting: dict[tuple[int, Key], None] = {}
        self._failures: dict[tuple[int, Key], int] = {}
        self._is_deferred = False

    def start(self, controllers: Sequence[Controller]) -> None:
        """Begin to follow the store; what is in it already counts as just created."""
        self._controllers = controllers
        self._store.subscribe(self.follow)

    def follow(self, change: Change) -> None:
        for index, controller in enumerate(self._controllers):
            for key in controller.affected(change):
                self._enqueue((index, key))

    def look_at(self, controller: Controller, key: Key) -> None:
        """Have a controller look at something without a commit."""
        self._enqueue((self._controllers.index(controller), key))

    @property
    def failing(self) -> list[Key]:
        """What could not be brought to what is wanted at the last attempt."""
        return [key for _, key in self._failures]

    def drain(self) -> None:
        """Reconcile until nothing waits."""
        while self._waiting:
            self._run_one()

    def _enqueue(self, entry: tuple[int, Key]) -> None:
        self._waiting[entry] = None
        if not self._is_deferred:
            self._is_deferred = True
            self._defer(self._turn)

    def _turn(self) -> None:
        self._is_deferred = False
        for _ in range(TURN_LIMIT):
            if not self._waiting:
                return
            self._run_one()
        if self._waiting and not self._is_deferred:
            self._is_deferred = True
            self._defer(self._turn)

    def _run_one(self) -> None:
        entry = next(iter(self._waiting))
        del self._waiting[entry]
        index, key = entry
        controller = self._controllers[index]
        try:
            again_s = controller.reconcile(key)
        except (AbsentError, VersionError):
            # Changed since it was read, which is worth another look anyway.
            self._waiting[entry] = None
            return
        except StatusError as error:
            again_s = self._back_off(entry, f"{type(controller).__name__} {'/'.join(key)}: {error.message}")
        except Exception:  # noqa: BLE001 - one broken object must not stop the control plane; the trace goes to the log
            again_s = self._back_off(entry, f"{type(controller).__name__} {'/'.join(key)}: {traceback.format_exc()}")
        else:
            self._failures.pop(entry, None)
        if again_s is not None:
            self._clock.call_later(max(again_s, 0.001), lambda: self._enqueue(entry))

    def _back_off(self, entry: tuple[int, Key], message: str) -> float:
        count = self._failures[entry] = self._failures.get(entry, 0) + 1
        sys.stderr.write(f"{message}\n")
        return min(RETRY_LAST_S, RETRY_FIRST_S * 2.0 ** min(count, 10))
