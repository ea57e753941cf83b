"""Commands in containers whose output a test needs. The engine can lose what a command wrote that ends at once (seen with 28.2)."""

import uuid
from collections.abc import Sequence

from docker.models.containers import Container

KEEP = 'kept=$1; shift; "$@" > "$kept"; status=$?; cat "$kept"; echo; echo "$kept"; exit $status'
SHOW = 'cat "$1"; echo; echo "$1"'
LOOKS = 5


def execute(container: Container, argv: Sequence[str]) -> tuple[int, str, str]:
    """Status and both outputs of a command that is carried out once: what it writes is kept in the container, and its end marked."""
    kept = f"/tmp/{uuid.uuid4().hex}"
    result = container.exec_run(["sh", "-c", KEEP, "sh", kept, *argv], demux=True)
    output, errors = (part or b"" for part in result.output)
    end = f"\n{kept}\n".encode()
    for _ in range(LOOKS):
        if output.endswith(end):
            return result.exit_code, output.removesuffix(end).decode(), errors.decode()
        shown = container.exec_run(["sh", "-c", SHOW, "sh", kept], stderr=False)
        if shown.exit_code != 0:  # it has ended meanwhile
            return result.exit_code, output.decode(), errors.decode()
        output = shown.output or b""
    raise AssertionError(f"the engine loses whatever {argv} writes: {errors.decode()}")
