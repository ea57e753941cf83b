"""What a Docker Engine sends as it comes: output of containers and commands, logs and events."""

from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Any

from docker.types.daemon import CancellableStream  # noqa: TID251
from docker.utils.socket import frames_iter  # noqa: TID251

from orchestrator.errors import EngineError
from orchestrator.testbed.border import engine_border
from orchestrator.testbed.engine import (
    EngineEvent,
    OutputStream,
)

STREAMS = {1: OutputStream.STDOUT, 2: OutputStream.STDERR}
FRAME_HEADER_BYTES = 8


class DockerAttachment:
    """The raw socket of `POST /containers/{id}/attach`; nothing arrives before the container starts."""

    def __init__(self, container: str, stream: Any) -> None:
        self._container = container
        self._stream = stream
        # A socket that is read through a file object (plain and unix sockets), or one itself (TLS).
        self._socket = getattr(stream, "_sock", stream)

    def read(self) -> Iterator[tuple[OutputStream, bytes]]:
        with engine_border(f"follow the output of {self._container}"):
            try:
                for number, chunk in frames_iter(self._stream, tty=False):  # type: ignore[no-untyped-call]
                    yield STREAMS[number], chunk
            finally:
                self._stream.close()
                self._socket.close()

    def send(self, text: bytes) -> None:
        with engine_border(f"write to {self._container}"):
            self._socket.sendall(text)

    def end_input(self) -> None:
        try:
            self._socket.shutdown(1)  # SHUT_WR: its output still comes
        except OSError:
            return  # the other end is gone already, which is what was wanted


class DockerExecution:
    """The body of `POST /exec/{id}/start`: frames of standard output and error until the command ends."""

    def __init__(self, api: Any, container: str, execution: str, response: Any) -> None:
        self._api = api
        self._container = container
        self._execution = execution
        self._response = response

    def read(self) -> Iterator[tuple[OutputStream, bytes]]:
        with engine_border(f"follow a command in {self._container}"), closing(self._response):
            yield from _frames(self._response)

    def status(self) -> int | None:
        with engine_border(f"inspect a command in {self._container}"):
            state = self._api.exec_inspect(self._execution)
        return None if state["Running"] else int(state["ExitCode"])

    def close(self) -> None:
        # Ends the connection first: who reads from it in another thread holds the buffer's lock, which closing alone waits for.
        try:
            CancellableStream(iter(()), self._response).close()
        except (OSError, AttributeError):
            return  # the command has just ended, and its reader has closed the socket or let go of it


class DockerLog:
    """The body of `GET /containers/{id}/logs`: the same frames, from the container's first line on."""

    def __init__(self, container: str, response: Any) -> None:
        self._container = container
        self._response = response

    def read(self) -> Iterator[tuple[OutputStream, bytes]]:
        with engine_border(f"follow the log of {self._container}"), closing(self._response):
            yield from _frames(self._response)

    def send(self, text: bytes) -> None:
        raise EngineError(f"{self._container} is only listened to")

    def end_input(self) -> None:
        return


def _frames(response: Any) -> Iterator[tuple[OutputStream, bytes]]:
    """Multiplexed output (Engine API, "Stream format")."""
    pending = b""
    while chunk := response.raw.read1(65536):
        pending += chunk
        while len(pending) >= FRAME_HEADER_BYTES:
            end = FRAME_HEADER_BYTES + int.from_bytes(pending[4:FRAME_HEADER_BYTES], "big")
            if len(pending) < end:
                break
            yield STREAMS[pending[0]], pending[FRAME_HEADER_BYTES:end]
            pending = pending[end:]


class DockerEvents:
    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def read(self) -> Iterator[EngineEvent]:
        with engine_border("follow events"):
            for item in self._stream:
                attributes: Mapping[str, str] = item["Actor"]["Attributes"]
                yield EngineEvent(t_wall_ns=int(item["timeNano"]), action=str(item["Action"]), labels=dict(attributes))

    def close(self) -> None:
        self._stream.close()
