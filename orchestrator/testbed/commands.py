"""Commands in containers: followed by a thread, waited for with a deadline."""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence

from orchestrator.contracts import Clock, Stop
from orchestrator.errors import CommandError, DeadlineError, EngineError, InterruptedRunError
from orchestrator.testbed.collector import STOP_SLICE_S
from orchestrator.testbed.engine import Execution, OutputStream

STATUS_DEADLINE_S = 5.0
"""The engine closes the output a moment before it knows the status."""

Output = Iterable[tuple[OutputStream, bytes]]


class Capture:
    """Keeps the output of a command."""

    def __init__(self) -> None:
        self._parts: dict[OutputStream, list[bytes]] = {stream: [] for stream in OutputStream}
        self.has_line = threading.Event()
        """Set once there is a whole line on standard output."""

    def take(self, output: Output) -> None:
        for stream, chunk in output:
            self._parts[stream].append(chunk)
            if stream is OutputStream.STDOUT and b"\n" in chunk:
                self.has_line.set()

    @property
    def stdout(self) -> str:
        return b"".join(self._parts[OutputStream.STDOUT]).decode("utf-8", "replace")


def passing_on(on_output: Callable[[OutputStream, bytes], None]) -> Callable[[Output], None]:
    """Hands each piece on as it comes, in the command's own thread."""

    def take(output: Output) -> None:
        for stream, chunk in output:
            on_output(stream, chunk)

    return take


class RunningCommand:
    """Implements contracts.Spawned."""

    def __init__(
        self,
        container: str,
        argv: Sequence[str],
        execution: Execution,
        take: Callable[[Output], None],
        *,
        clock: Clock,
        stop: Stop,
    ) -> None:
        self._container = container
        self._argv = tuple(argv)
        self._execution = execution
        self._take = take
        self._clock = clock
        self._stop = stop
        self._tail = b""
        self._lost: EngineError | None = None
        self._ended = threading.Event()
        threading.Thread(target=self._follow, name=f"{argv[0]} in {container}", daemon=True).start()

    @property
    def has_ended(self) -> bool:
        return self._ended.is_set()

    def wait(self, deadline_s: float, *, enough: threading.Event | None = None) -> None:
        """Until it has ended, or until `enough` is set, which is looked at less often; then the rest is given up."""
        deadline_ns = self._clock.now_mono_ns() + round(deadline_s * 1e9)
        while not self._ended.wait(STOP_SLICE_S):
            if enough is not None and enough.is_set():
                self._execution.close()
                return
            if self._stop.is_set():
                raise InterruptedRunError(f"interrupted while {self._argv[0]} ran in {self._container}")
            if self._clock.now_mono_ns() >= deadline_ns:
                self._execution.close()
                raise DeadlineError(f"the end of `{' '.join(self._argv)}` in {self._container}", deadline_s, self._output())
        if self._lost is not None:
            raise self._lost
        status = self._status()
        if status != 0:
            raise CommandError(self._argv, status, self._output(), where=self._container)

    def wait_status(self, deadline_s: float) -> int:
        """Until it has ended; the exit status, whatever it is. Raises DeadlineError, InterruptedRunError, EngineError."""
        try:
            self.wait(deadline_s)
        except CommandError as error:
            return error.status
        return 0

    def _status(self) -> int:
        deadline_ns = self._clock.now_mono_ns() + round(STATUS_DEADLINE_S * 1e9)
        while (status := self._execution.status()) is None:
            if self._clock.now_mono_ns() >= deadline_ns:
                raise DeadlineError(f"the status of {self._argv[0]} in {self._container}", STATUS_DEADLINE_S, "still running")
            self._stop.wait(0.005)
        return status

    def _follow(self) -> None:
        try:
            self._take(self._watched())
        except EngineError as error:
            self._lost = error
        finally:
            self._ended.set()

    def _watched(self) -> Iterator[tuple[OutputStream, bytes]]:
        for stream, chunk in self._execution.read():
            self._tail = (self._tail + chunk)[-4096:]
            yield stream, chunk

    def _output(self) -> str:
        return self._tail.decode("utf-8", "replace") or "no output"
