"""A running testbed, as faults, rescales and the load see it."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from orchestrator.model.history import Event
from orchestrator.model.plan import Plan


class Clock(Protocol):
    """The engine's CLOCK_MONOTONIC and waiting on it."""

    def now_mono_ns(self) -> int: ...

    def sleep_until_mono_ns(self, t_mono_ns: int) -> None:
        """Return at the instant, or at once when the run is being interrupted (raises InterruptedRunError)."""


class Kube(Protocol):
    """The Kubernetes API as the orchestrator uses it; objects are decoded JSON. Raises ClusterError (an InternalError)."""

    def get(self, resource: str, name: str, *, namespace: str | None = None) -> Mapping[str, object] | None: ...

    def list(
        self, resource: str, *, namespace: str | None = None, label_selector: str | None = None
    ) -> tuple[Mapping[str, object], ...]: ...

    def apply(self, manifest: Mapping[str, object]) -> Mapping[str, object]:
        """Create, or merge-patch when it exists."""
        ...

    def patch(
        self,
        resource: str,
        name: str,
        body: Mapping[str, object],
        *,
        namespace: str | None = None,
        subresource: str | None = None,
    ) -> Mapping[str, object]: ...

    def delete(self, resource: str, name: str, *, namespace: str | None = None, grace_period_s: int | None = None) -> None: ...

    def evict(self, pod: str, *, namespace: str) -> None: ...


class Stop(Protocol):
    """Tells every wait to end; `threading.Event` is one."""

    def is_set(self) -> bool: ...

    def wait(self, timeout: float) -> bool: ...


class Spawned(Protocol):
    """A process that the orchestrator started in a container; its output goes to the history and the logs as it comes."""

    @property
    def has_ended(self) -> bool: ...

    def wait(self, deadline_s: float) -> None:
        """Until it ends. Raises CommandError for a status other than 0, DeadlineError, InterruptedRunError."""
        ...


class World(Protocol):
    """A running testbed, as faults, rescales and the load see it. Every wait ends with the world's stop."""

    @property
    def plan(self) -> Plan: ...

    @property
    def clock(self) -> Clock: ...

    @property
    def kube(self) -> Kube: ...

    def under(self, stop: Stop) -> "World":
        """The same world, whose waits end when `stop` is set instead."""
        ...

    def control(self, container: str, request: Mapping[str, object]) -> Mapping[str, object]:
        """One request to the container's init (docs/contracts.md section 3). Raises EngineError or CommandError."""
        ...

    def execute(self, container: str, argv: Sequence[str], *, deadline_s: float) -> str:
        """Run a command in a container and return its standard output. Raises CommandError, DeadlineError."""
        ...

    def spawn(self, container: str, argv: Sequence[str]) -> Spawned:
        """Start a command in a container and follow its output."""
        ...

    def put(self, container: str, files: Mapping[str, bytes]) -> None:
        """Write files (absolute path -> content) into a container."""
        ...

    def fetch(self, container: str, path: str, into: Path) -> None:
        """Copy a file or directory out of a container, running or stopped, to `into`. Raises EngineError when it is not there."""
        ...

    def is_running(self, container: str) -> bool: ...

    def start(self, container: str) -> None:
        """Start a stopped container of the run again, with its addresses and files."""
        ...

    def revive_later(self, containers: Sequence[str], after_s: float) -> None:
        """Of a run that outlives this process: those that have ended by then, and that nobody has started since, start again."""
        ...

    def create(self, *containers: str) -> None:
        """Create and start planned containers that were not there at bring-up, all at once."""
        ...

    def remove(self, *containers: str, grace_s: float) -> None:
        """Stop (SIGTERM, then SIGKILL after `grace_s`) and remove containers of the run; their logs are kept."""
        ...

    def emit(self, event: str, *, at_mono_ns: int | None = None, **fields: object) -> Event:
        """Write to the history as `orchestrator`, at that instant or now."""
        ...

    def wait_event(
        self,
        condition: Callable[[Event], bool],
        *,
        since_ns: int,
        deadline_s: float,
        what: str,
        state: Callable[[], str] | None = None,
    ) -> Event:
        """The first event from `since_ns` on that meets the condition, which is asked once for each, in order of arrival.

        Raises DeadlineError with `state()`, or with the last events; InterruptedRunError.
        """
        ...

    def wait_state(
        self, fold: Callable[[Event], object], lacking: Callable[[], Sequence[str]], *, deadline_s: float, what: str
    ) -> None:
        """Fold every event so far and then each new one, until nothing lacks; states of the past are not asked for.

        Raises DeadlineError with what lacks; InterruptedRunError.
        """
        ...


class Load(Protocol):
    """The load of a run: already started and waiting for its instant."""

    def begin(self, start_mono_ns: int) -> None:
        """Give the instant at which the first request is due."""
        ...

    def wait_finished(self, world: World) -> None:
        """Until every request is recorded. Raises DeadlineError, CommandError, InterruptedRunError."""
        ...

    def stop(self) -> None:
        """End early and keep what was recorded; does nothing when it has ended."""
        ...
