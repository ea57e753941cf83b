"""Short-lived containers that answer one question about the engine's machine, and are gone again whatever becomes of us."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from docker.utils.socket import STDERR, STDOUT, frames_iter  # noqa: TID251 - this package is docker's only importer

from orchestrator.errors import EngineError
from orchestrator.testbed.border import engine_border

HELPER_DEADLINE_S = 60
# The engine removes the container at its end, and with it the status: so that goes where the output goes.
_WRAPPER = f'timeout {HELPER_DEADLINE_S} "$@"; echo "ended with status $?"'
_END = "ended with status "


def run_helper(
    api: Any,
    image: str,
    argv: Sequence[str],
    *,
    network: str = "none",
    capabilities: Sequence[str] = (),
    security: Sequence[str] = (),
    sysctls: Mapping[str, str] | None = None,
) -> str:
    """The standard output of a command in a container of its own. `network`: `none` (a namespace of its own) or `host`.

    Raises EngineError when it cannot be run, or ends with another status than 0 (124: it took longer than HELPER_DEADLINE_S).
    """
    with engine_border(f"run {argv[0]} in {image}"):
        host_config = api.create_host_config(
            network_mode=network,
            auto_remove=True,
            cap_drop=["ALL"],
            cap_add=list(capabilities),
            security_opt=list(security),
            sysctls=dict(sysctls or {}),
        )
        command = ["-c", _WRAPPER, "sh", *argv]
        container = api.create_container(image, entrypoint=["sh"], command=command, host_config=host_config)["Id"]
        try:
            # Before the start, or the end could come first.
            with _attached(api, container) as stream:
                api.start(container)
                parts = list(frames_iter(stream, tty=False))  # type: ignore[no-untyped-call]
        except BaseException:
            # Never started, or given up: a started one removes itself.
            api.remove_container(container, force=True)
            raise
    output, errors = (
        b"".join(part for name, part in parts if name == wanted).decode(errors="replace") for wanted in (STDOUT, STDERR)
    )
    text, _, status = output.rpartition(_END)
    if status.strip() != "0":
        tail = "\n".join((text + errors).strip().splitlines()[-20:])
        raise EngineError(f"`{argv[0]}` in {image} ended with status {status.strip() or 'unknown'}\n{tail}")
    return text


@contextmanager
def _attached(api: Any, container: str) -> Iterator[Any]:
    stream = api.attach_socket(container, params={"stdout": 1, "stderr": 1, "stream": 1})
    # A socket that is read through a file object (plain and unix sockets), or one itself (TLS).
    socket = getattr(stream, "_sock", stream)
    try:
        yield stream
    finally:
        stream.close()
        socket.close()
