"""A running testbed: the one place where faults, rescales and the load reach into containers. Nothing is chosen here."""

import copy
import json
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from orchestrator.contracts import Kube, Stop
from orchestrator.errors import CommandError, DeadlineError, EngineError, InternalError, InterruptedRunError
from orchestrator.model.history import Event, History
from orchestrator.model.plan import Plan, Role
from orchestrator.testbed.archive import pack, unpack
from orchestrator.testbed.claim import Claim
from orchestrator.testbed.clock import EngineClock
from orchestrator.testbed.commands import Capture, RunningCommand, passing_on
from orchestrator.testbed.engine import Attachment, OutputStream
from orchestrator.testbed.output import follow_output
from orchestrator.testbed.pki import Secrets
from orchestrator.testbed.programs import read_programs
from orchestrator.testbed.realise import container_files, container_spec

CONTROL_DEADLINE_S = 10.0
LOG_DIRECTORY = "/var/log/testbed"
PARALLEL = 8
LAUNCHES = 3
"""More at a time are no faster, since starts queue for the kernel's network lock; fewer start in the order of need."""


class Testbed:
    """Implements contracts.World. Thread-safe: steps of the timeline run side by side."""

    __test__ = False  # pytest would otherwise collect it by its name

    def __init__(self, plan: Plan, claim: Claim, secrets: Secrets) -> None:
        self._plan = plan
        self._claim = claim
        self._secrets = secrets
        self._engine = claim.engine
        self._collector = claim.collector
        self._clock = claim.clock
        self._stop = claim.stop
        self._ids: dict[str, str] = {}
        self._kube: Kube | None = None

    @property
    def plan(self) -> Plan:
        return self._plan

    @property
    def clock(self) -> EngineClock:
        return self._clock

    @property
    def kube(self) -> Kube:
        if self._kube is None:
            raise InternalError("the control plane is not up yet")
        return self._kube

    def meet_kube(self, kube: Kube) -> None:
        self._kube = kube

    def keep(self) -> None:
        """Let the testbed outlive this process, until it expires or `testbed clean` removes it."""
        self._claim.warden.keep()

    def history(self) -> History:
        return self._collector.history()

    @property
    def log_tails(self) -> str:
        """The last lines of every container, for error messages."""
        return self._claim.log.tails()

    def under(self, stop: Stop) -> "Testbed":
        other = copy.copy(self)
        other._stop = stop
        other._clock = self._clock.under(stop)
        return other

    def planned(self, plan: Plan) -> "Testbed":
        """The same world, of which another plan says what may be created."""
        other = copy.copy(self)
        other._plan = plan
        return other

    @property
    def tls_secrets(self) -> tuple[Mapping[str, object], ...]:
        """Secrets of this run's own making, to be applied with the manifests."""
        return self._secrets.tls_secrets

    # Containers

    def launch(self, *containers: str) -> None:
        """Create and start all at once. Raises the first failure after every attempt has ended."""
        for _ in self._each(self._launch, containers, at_once=LAUNCHES):
            continue

    create = launch

    def _launch(self, container: str) -> None:
        if self._stop.is_set():
            raise InterruptedRunError(f"interrupted before {container} was created")
        plan = self._plan.container(container)
        programs = read_programs(plan.programs)
        identity = self._engine.create_container(container_spec(plan, self._claim.compose, self._claim.run))
        self._ids[container] = identity
        self._engine.put_archive(identity, pack(container_files(plan, self._claim.run, self._secrets), programs=programs))
        self._attach_and_start(container)

    def adopt(self, container: str, identity: str) -> None:
        """A container that another process started; what it has said so far is read as well."""
        self._ids[container] = identity
        self._follow(container, self._engine.replay(identity))

    def start(self, container: str) -> None:
        self._attach_and_start(container)

    def _attach_and_start(self, container: str) -> None:
        identity = self._id(container)
        self._follow(container, self._engine.attach(identity))
        self._engine.start(identity)

    def remove(self, *containers: str, grace_s: float) -> None:
        def remove_one(container: str) -> None:
            self._engine.stop(self._id(container), grace_s)
            self._keep_logs(container)
            self._engine.remove_container(self._id(container))
            del self._ids[container]

        for _ in self._each(remove_one, containers):
            continue

    def is_running(self, container: str) -> bool:
        return container in self._ids and self._engine.is_running(self._id(container))

    def revive_later(self, containers: Sequence[str], after_s: float) -> None:
        """Those that have ended by then, and that nobody has started meanwhile, start again. Of a run that is not kept, none."""
        if not self._claim.warden.is_kept:
            return
        self._claim.warden.revive_later([self._id(name) for name in containers if name in self._ids], after_s)

    def host_port(self, container: str, port: int) -> int:
        return self._engine.host_port(self._id(container), port)

    def _id(self, container: str) -> str:
        try:
            return self._ids[container]
        except KeyError:
            raise InternalError(f"no container {container!r} in this run; there are {', '.join(sorted(self._ids))}") from None

    # Commands and files

    def control(self, container: str, request: Mapping[str, object]) -> Mapping[str, object]:
        argv = ["testbed-ctl", json.dumps(request)]
        capture, command = self._captured(container, argv)
        try:
            # What was armed may strike before the command has ended: frozen, it never would, with its container down it fails.
            # An answer is an answer.
            command.wait(CONTROL_DEADLINE_S, enough=capture.has_line)
        except CommandError:
            if (answer := _agreement(capture.stdout)) is None:
                raise
            return answer
        if (answer := _agreement(capture.stdout)) is None:
            raise CommandError(argv, 0, capture.stdout, where=container)
        return answer

    def execute(self, container: str, argv: Sequence[str], *, deadline_s: float) -> str:
        capture, command = self._captured(container, argv)
        command.wait(deadline_s)
        return capture.stdout

    def run(
        self, container: str, argv: Sequence[str], on_output: Callable[[OutputStream, bytes], None], *, deadline_s: float
    ) -> int:
        """Run a command in a container, hand its output on as it comes, and return its exit status. Raises DeadlineError."""
        execution = self._engine.execute(self._id(container), argv)
        take = passing_on(on_output)
        return RunningCommand(container, argv, execution, take, clock=self._clock, stop=self._stop).wait_status(deadline_s)

    def _captured(self, container: str, argv: Sequence[str]) -> tuple[Capture, RunningCommand]:
        capture = Capture()
        execution = self._engine.execute(self._id(container), argv)
        return capture, RunningCommand(container, argv, execution, capture.take, clock=self._clock, stop=self._stop)

    def spawn(self, container: str, argv: Sequence[str]) -> RunningCommand:
        execution = self._engine.execute(self._id(container), argv)

        def take(output: Iterable[tuple[object, bytes]]) -> None:
            follow_output(container, output, log=self._claim.log, on_event=self._collector.add)  # type: ignore[arg-type]

        return RunningCommand(container, argv, execution, take, clock=self._clock, stop=self._stop)

    def put(self, container: str, files: Mapping[str, bytes]) -> None:
        self._engine.put_archive(self._id(container), pack(files))

    def fetch(self, container: str, path: str, into: Path) -> None:
        archive = self._engine.get_archive(self._id(container), path)
        if archive is None:
            raise EngineError(f"{container} has no {path}")
        unpack(archive, into)

    def keep_logs(self) -> None:
        """Fetch every container's log directory; one that cannot be fetched does not keep the others."""
        failures: list[str] = []

        def keep(container: str) -> None:
            try:
                self._keep_logs(container)
            except EngineError as error:
                failures.append(str(error))

        for _ in self._each(keep, tuple(self._ids)):
            continue
        if failures:
            self.emit("logs-lost", errors=failures)

    def _keep_logs(self, container: str) -> None:
        # The client's is the samples, which the load fetches by itself.
        if self._plan.container(container).role is Role.CLIENT:
            return
        archive = self._engine.get_archive(self._id(container), LOG_DIRECTORY)
        if archive is not None:
            unpack(archive, self._claim.run.directory / "logs" / container)

    # History

    def emit(self, event: str, *, at_mono_ns: int | None = None, **fields: object) -> Event:
        t_mono_ns = self._clock.now_mono_ns() if at_mono_ns is None else at_mono_ns
        made = Event(t_mono_ns=t_mono_ns, source="orchestrator", event=event, fields=fields)
        self._collector.add(made)
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
        with self._logs_in_hint():
            return self._collector.wait(
                condition,
                since_ns=since_ns,
                deadline_s=deadline_s,
                what=what,
                clock=self._clock,
                stop=self._stop,
                state=state,
            )

    def wait_state(
        self, fold: Callable[[Event], object], lacking: Callable[[], Sequence[str]], *, deadline_s: float, what: str
    ) -> None:
        with self._logs_in_hint():
            self._collector.wait_state(fold, lacking, deadline_s=deadline_s, what=what, clock=self._clock, stop=self._stop)

    @contextmanager
    def _logs_in_hint(self) -> Iterator[None]:
        try:
            yield
        except DeadlineError as error:
            error.hint = error.hint or (f"last log lines:\n{self.log_tails}" if self.log_tails else None)
            raise

    def _follow(self, container: str, attachment: Attachment) -> None:
        def follow() -> None:
            try:
                follow_output(container, attachment.read(), log=self._claim.log, on_event=self._collector.add)
            except EngineError as error:
                self.emit("output-lost", container=container, error=str(error))

        threading.Thread(target=follow, name=f"output of {container}", daemon=True).start()

    def _each(self, act: Callable[[str], None], containers: Sequence[str], *, at_once: int = PARALLEL) -> list[None]:
        """Side by side; when one fails or the run is interrupted, those that have not begun never do."""
        pool = ThreadPoolExecutor(max_workers=at_once, thread_name_prefix="containers")
        try:
            futures = [pool.submit(act, container) for container in containers]
            return [future.result() for future in futures]
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _agreement(output: str) -> Mapping[str, object] | None:
    """The answer of init, if it is one and says that it will be done."""
    try:
        answer = json.loads(output)
    except ValueError:
        return None
    return answer if isinstance(answer, dict) and answer.get("ok") is True else None
