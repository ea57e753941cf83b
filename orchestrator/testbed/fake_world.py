"""A world in memory, for tests of the runner and of the faults: its clock moves only when somebody waits on it."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from orchestrator.contracts import Kube, Stop
from orchestrator.errors import CommandError, DeadlineError, InterruptedRunError
from orchestrator.model.history import Event, History, order_events
from orchestrator.model.plan import Plan

Reaction = Callable[["FakeWorld"], None]
EXIT_STATUS = {"power-off": 99, "shutdown": 0}
"""Of init, after the faults that end it."""


class FakeClock:
    """Jumps to the instant that is waited for, doing on the way what is due."""

    def __init__(self, now_mono_ns: int = 1_000_000_000_000) -> None:
        self._now_ns = now_mono_ns
        self._due: list[tuple[int, Callable[[], None]]] = []
        self.stop: Stop | None = None

    def now_mono_ns(self) -> int:
        return self._now_ns

    def at(self, t_mono_ns: int, act: Callable[[], None]) -> None:
        self._due.append((t_mono_ns, act))

    def next_due_ns(self) -> int | None:
        return min((at for at, _ in self._due), default=None)

    def sleep_until_mono_ns(self, t_mono_ns: int) -> None:
        self.advance(t_mono_ns)
        if self.stop is not None and self.stop.is_set():
            raise InterruptedRunError("the run was interrupted")

    def advance(self, t_mono_ns: int) -> None:
        while self._due and (next_ns := min(at for at, _ in self._due)) <= t_mono_ns:
            entry = next(item for item in self._due if item[0] == next_ns)
            self._due.remove(entry)
            self._now_ns = max(self._now_ns, next_ns)
            entry[1]()
        self._now_ns = max(self._now_ns, t_mono_ns)


class FakeWorld:
    """Implements contracts.World. Init's part is played: armed faults fire on the clock, and containers die and boot."""

    def __init__(self, plan: Plan, *, kube: Kube | None = None) -> None:
        self._plan = plan
        self._kube = kube
        self._clock = FakeClock()
        self.events: list[Event] = []
        self.running = {item.name for item in plan.containers if item.at_bring_up}
        self.armed: dict[str, Mapping[str, object]] = {}
        self.states: dict[str, dict[str, str]] = {}
        """Container -> id -> state of the faults that its init knows."""
        self.armed_in: dict[str, str] = {}
        self.calls: list[tuple[str, ...]] = []
        self.unarmable: set[str] = set()
        """Containers whose init refuses."""
        self.without_effect: set[str] = set()
        """Faults (by init's name) that never report."""
        self.on_execute: Callable[[str, Sequence[str]], str] = lambda container, argv: ""
        self.on_control: Callable[[str, Mapping[str, object]], None] = lambda container, request: None
        self.files: dict[tuple[str, str], bytes] = {}
        self.processes: list[FakeProcess] = []

    @property
    def plan(self) -> Plan:
        return self._plan

    @property
    def clock(self) -> FakeClock:
        return self._clock

    @property
    def kube(self) -> Kube:
        if self._kube is None:
            raise AssertionError("this test's world has no Kubernetes API")
        return self._kube

    def under(self, stop: Stop) -> "FakeWorld":
        # One thread: the stop that was given last holds.
        self._clock.stop = stop
        return self

    def history(self) -> History:
        return order_events(self.events)

    def names(self) -> list[str]:
        """Names of the events in the order in which they were told."""
        return [event.event for event in self.events]

    def control(self, container: str, request: Mapping[str, object]) -> Mapping[str, object]:
        self.calls.append(("control", container, str(request["op"])))
        self.on_control(container, request)
        if container not in self.running or container in self.unarmable:
            raise CommandError(["testbed-ctl"], 1, "no init answers", where=container)
        identity = str(request.get("id", ""))
        if request["op"] == "arm":
            self.armed[identity] = request
            self.states.setdefault(container, {})[identity] = "armed"
            self.armed_in[identity] = container
            at_ns = request["at_mono_ns"]
            assert isinstance(at_ns, int)
            self._clock.at(at_ns, lambda: self._fire(container, identity))
        elif request["op"] == "heal":
            known = self.armed.pop(identity, None)
            if known is not None:
                self.states[container][identity] = "healed"
                self.told(f"{container}/init", "fault-healed", id=identity, evidence="as before")
            return {"ok": True, "state": "healed" if known is not None else "unknown"}
        elif request["op"] == "status":
            faults = [{"id": identity, "state": state} for identity, state in self.states.get(container, {}).items()]
            return {"ok": True, "processes": [], "faults": faults}
        return {"ok": True}

    def _fire(self, container: str, identity: str) -> None:
        request = self.armed.get(identity)
        if request is None or request["fault"] in self.without_effect:
            return
        self.states[container][identity] = "effective"
        self.told(f"{container}/init", "fault-effective", id=identity, evidence="eth0 down")
        status = EXIT_STATUS.get(str(request["fault"]))
        if status is not None:
            self.running.discard(container)
            # Init has them in memory.
            for gone in [known for known, where in self.armed_in.items() if where == container]:
                self.armed.pop(gone, None)
                del self.armed_in[gone]
            self.told("orchestrator", "engine", action="die", container=container, exit_code=status)

    def execute(self, container: str, argv: Sequence[str], *, deadline_s: float) -> str:
        self.calls.append(("execute", container, *argv))
        return self.on_execute(container, argv)

    def spawn(self, container: str, argv: Sequence[str]) -> "FakeProcess":
        self.calls.append(("spawn", container, *argv))
        self.processes.append(FakeProcess())
        return self.processes[-1]

    def put(self, container: str, files: Mapping[str, bytes]) -> None:
        self.calls.append(("put", container, *files))
        self.files.update({(container, path): content for path, content in files.items()})

    def fetch(self, container: str, path: str, into: Path) -> None:
        self.calls.append(("fetch", container, path))

    def is_running(self, container: str) -> bool:
        return container in self.running

    def start(self, container: str) -> None:
        self.calls.append(("start", container))
        self.running.add(container)
        self.states.pop(container, None)
        self.told(f"{container}/init", "booted", expires_in_s=1800)

    def revive_later(self, containers: Sequence[str], after_s: float) -> None:
        self.calls.append(("revive later", *containers, f"{after_s:g}"))

    def create(self, *containers: str) -> None:
        self.calls.append(("create", *containers))
        self.running.update(containers)
        for container in containers:
            self.told(f"{container}/init", "booted", expires_in_s=1800)

    def remove(self, *containers: str, grace_s: float) -> None:
        self.calls.append(("remove", *containers))
        self.running.difference_update(containers)

    def told(self, source: str, event: str, **fields: object) -> Event:
        """An event from somewhere in the world, now."""
        made = Event(t_mono_ns=self._clock.now_mono_ns(), source=source, event=event, fields=fields)
        self.events.append(made)
        return made

    def emit(self, event: str, *, at_mono_ns: int | None = None, **fields: object) -> Event:
        t_mono_ns = self._clock.now_mono_ns() if at_mono_ns is None else at_mono_ns
        made = Event(t_mono_ns=t_mono_ns, source="orchestrator", event=event, fields=fields)
        self.events.append(made)
        return made

    def wait_event(
        self,
        condition: Callable[[Event], bool],
        *,
        since_ns: int,
        deadline_s: float,
        what: str,
        state: Callable[[], str] | None = None,
    ) -> Event:
        deadline_ns = self._clock.now_mono_ns() + round(deadline_s * 1e9)
        seen = 0
        while True:
            while seen < len(self.events):
                event = self.events[seen]
                seen += 1
                if event.t_mono_ns >= since_ns and condition(event):
                    return event
            self._pass_time(deadline_ns, deadline_s, what, state() if state is not None else "")

    def wait_state(
        self, fold: Callable[[Event], object], lacking: Callable[[], Sequence[str]], *, deadline_s: float, what: str
    ) -> None:
        deadline_ns = self._clock.now_mono_ns() + round(deadline_s * 1e9)
        seen = 0
        while True:
            fresh = self.events[seen:]
            seen += len(fresh)
            for event in fresh:
                fold(event)
            if not lacking():
                return
            if seen == len(self.events):
                self._pass_time(deadline_ns, deadline_s, what, "; ".join(lacking()))

    def _pass_time(self, deadline_ns: int, deadline_s: float, what: str, state: str) -> None:
        """To the next thing that is due, or to the deadline."""
        if self._clock.stop is not None and self._clock.stop.is_set():
            raise InterruptedRunError(f"interrupted while waiting: {what}")
        next_ns = self._clock.next_due_ns()
        if next_ns is None or next_ns > deadline_ns:
            self._clock.advance(deadline_ns)
            raise DeadlineError(what, deadline_s, state or "no event")
        self._clock.advance(next_ns)


class FakeProcess:
    """A command that ends when it is waited for."""

    def __init__(self) -> None:
        self.has_ended = False
        self.failure: Exception | None = None

    def wait(self, deadline_s: float) -> None:
        self.has_ended = True
        if self.failure is not None:
            raise self.failure


class FakeLoad:
    """Implements contracts.Load: ends when it is waited for, or fails."""

    def __init__(self, world: FakeWorld, *, failure: Exception | None = None) -> None:
        self._world = world
        self._failure = failure
        self.start_mono_ns: int | None = None
        self.stopped = False

    def begin(self, start_mono_ns: int) -> None:
        self.start_mono_ns = start_mono_ns
        self._world.told("client/load", "load-started", start_mono_ns=start_mono_ns)

    def wait_finished(self, world: object) -> None:
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        self.stopped = True
