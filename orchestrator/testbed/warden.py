"""The warden of a run, seen from the orchestrator: guards the host before the first packet, removes the run when we are gone."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path

from orchestrator.contracts import Stop
from orchestrator.errors import EngineError
from orchestrator.model.history import Event
from orchestrator.model.plan import Role
from orchestrator.testbed.archive import pack
from orchestrator.testbed.clock import EngineClock
from orchestrator.testbed.collector import HistoryCollector
from orchestrator.testbed.compose import ComposeFile
from orchestrator.testbed.engine import Attachment, Engine
from orchestrator.testbed.labels import ROLE, RUN
from orchestrator.testbed.output import LogBook, follow_output
from orchestrator.testbed.realise import WARDEN, warden_files, warden_spec
from orchestrator.testbed.run import Run

START_DEADLINE_S = 20.0
END_DEADLINE_S = 20.0
CLOCK_PINGS = 8
PARALLEL = 8
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True, kw_only=True)
class HostRoute:
    """A route of the engine's host; `connected`: without a gateway."""

    to: IPv4Network
    connected: bool


class Warden:
    """One running warden."""

    def __init__(
        self, engine: Engine, run: Run, container: str, attachment: Attachment, ready: Event, *, is_kept: bool = False
    ) -> None:
        self._engine = engine
        self._run = run
        self._container = container
        self._attachment = attachment
        self._ready = ready
        self._kept = is_kept

    @property
    def routes(self) -> tuple[HostRoute, ...]:
        found = self._ready.fields["routes"]
        assert isinstance(found, list)
        return tuple(HostRoute(to=IPv4Network(route["to"]), connected=bool(route["connected"])) for route in found)

    @property
    def boot_id(self) -> str:
        return str(self._ready.fields["boot_id"])

    @property
    def wall_minus_mono_ns(self) -> int:
        """The engine's wall clock less its monotonic clock: places the engine's own events in the history."""
        wall_ns = self._ready.fields["t_wall_ns"]
        assert isinstance(wall_ns, int)
        return wall_ns - self._ready.t_mono_ns

    @property
    def is_kept(self) -> bool:
        return self._kept

    def ask_time(self) -> None:
        self._attachment.send(b"time\n")

    def keep(self) -> None:
        """Let the run outlive this process, until it expires."""
        self._attachment.send(b"keep\n")
        self._kept = True

    def revive_later(self, containers: Sequence[str], after_s: float) -> None:
        """Have those of these ids started that have ended by then and that nobody has started meanwhile, also without us."""
        argv = ["python3", "-m", "warden", "revive", f"{after_s:g}", *containers]
        # The command is the engine's from here on: it goes on when nobody listens.
        self._engine.execute(self._container, argv).close()

    def close(self) -> None:
        """Remove what is left of the run by its label, then the guard rules and the warden itself, unless it is kept."""
        if self._kept:
            return
        try:
            remove_run(self._engine, self._run.run_id)
            self._attachment.send(b"done\n")
        except EngineError:
            self._attachment.end_input()  # the warden, on the engine's side, may still be able to
        if not self._engine.wait_removed(self._container, END_DEADLINE_S):
            self._engine.remove_container(self._container)
            raise EngineError(f"the warden of run {self._run.run_id} did not end", hint="run `testbed clean`")


def remove_run(engine: Engine, run_id: str, *, with_warden: bool = False) -> None:
    """Every container but the warden (or with it), then every network."""
    found = engine.containers({RUN: run_id})
    containers = [item.id for item in found if with_warden or item.labels.get(ROLE) != Role.WARDEN]
    with ThreadPoolExecutor(max_workers=PARALLEL) as pool:
        list(pool.map(engine.remove_container, containers))
        list(pool.map(engine.remove_network, [item.id for item in engine.networks({RUN: run_id})]))


@contextmanager
def warden_for(
    engine: Engine, compose: ComposeFile, run: Run, *, collector: HistoryCollector, log: LogBook, stop: Stop
) -> Iterator[Warden]:
    """A warden whose guard rules stand. Leaving removes it and everything that still carries the run's label."""
    try:
        container = engine.create_container(warden_spec(compose, run))
    except BaseException:
        remove_run(engine, run.run_id, with_warden=True)  # it may be there although nobody has learnt its id
        raise
    try:
        engine.put_archive(container, pack(warden_files(run)))
        attachment = engine.attach(container, stdin=True)
        follow_warden(attachment, log, collector)
        engine.start(container)
    except BaseException:
        engine.remove_container(container)
        raise
    try:
        ready = await_guard(collector, log, stop)
    except BaseException:
        attachment.end_input()  # it has started, so it reaps and removes itself
        if not engine.wait_removed(container, END_DEADLINE_S):
            engine.remove_container(container)
        raise
    warden = Warden(engine, run, container, attachment, ready)
    try:
        yield warden
    finally:
        warden.close()


def follow_warden(attachment: Attachment, log: LogBook, collector: HistoryCollector) -> None:
    """In a thread of its own."""

    def follow() -> None:
        try:
            follow_output(WARDEN, attachment.read(), log=log, on_event=collector.add)
        except EngineError as error:
            log.write(WARDEN, f"output lost: {error}".encode())

    threading.Thread(target=follow, name=f"output of {WARDEN}", daemon=True).start()


def await_guard(collector: HistoryCollector, log: LogBook, stop: Stop) -> Event:
    """The warden's report that the guard rules stand. Raises DeadlineError, InterruptedRunError."""
    return collector.wait(
        lambda event: event.event == "guard-written",
        since_ns=0,
        deadline_s=START_DEADLINE_S,
        what="the guard rules on the engine's host",
        clock=EngineClock(offset_ns=0, stop=stop),
        stop=stop,
        state=lambda: log.tail(WARDEN) or "the warden has not said anything",
    )


def measure_clock_offset(warden: Warden, collector: HistoryCollector, stop: Stop, *, own_boot_id: str | None) -> int:
    """Nanoseconds to add to this machine's CLOCK_MONOTONIC for the engine's.

    0 on one kernel (equal boot ids). Otherwise the midpoint of the quickest of several questions, the error of which is at
    most half its round trip (Cristian, "Probabilistic clock synchronization", 1989).
    """
    if own_boot_id is not None and own_boot_id == warden.boot_id:
        return 0
    clock = EngineClock(offset_ns=0, stop=stop)
    quickest: tuple[int, int] | None = None
    for number in range(1, CLOCK_PINGS + 1):
        asked_ns = clock.now_mono_ns()
        warden.ask_time()
        answer = collector.wait(
            _Nth("clock", number),
            since_ns=-(1 << 63),
            deadline_s=START_DEADLINE_S,
            what="the engine's clock",
            clock=clock,
            stop=stop,
        )
        round_trip_ns = clock.now_mono_ns() - asked_ns
        offset_ns = answer.t_mono_ns - (asked_ns + round_trip_ns // 2)
        quickest = min(filter(None, (quickest, (round_trip_ns, offset_ns))))
    assert quickest is not None
    return quickest[1]


class _Nth:
    """Meets the nth event of a name."""

    def __init__(self, name: str, count: int) -> None:
        self._name = name
        self._left = count

    def __call__(self, event: Event) -> bool:
        self._left -= event.event == self._name
        return self._left == 0


def read_boot_id(file: Path = BOOT_ID) -> str | None:
    """This machine's, None where it has none (not Linux)."""
    try:
        return file.read_text(encoding="ascii").strip()
    except OSError:
        return None


def overlaps_host(networks: Mapping[IPv4Network, bool], routes: tuple[HostRoute, ...]) -> IPv4Network | None:
    """The first route of the host that a network of ours would shadow.

    Networks whose value is True put a route on the host (the host has an address there) and may overlap none of its routes. The
    others put none there; for them a route of a wide private network through a gateway (a VPN's 10.0.0.0/8) is no obstacle, but
    a connected network is, because a reader of captures could not tell the two apart.
    """
    for route in routes:
        for network, on_host in networks.items():
            if route.to.overlaps(network) and (on_host or route.connected):
                return route.to
    return None
