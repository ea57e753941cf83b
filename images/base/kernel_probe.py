"""`python3 -m kernel_probe JSON`: try kernel features in this container and read some of its files. Changes nothing outside it.

The request: `{"attempts": {name: shell command}, "files": [path]}`. The answer, on standard output:
`{"refusals": {name: text or null}, "files": {path: text or null}, "disk_free_bytes": number}`.
"""

import json
import os
import subprocess  # noqa: TID251 - it is what a probe does
import sys
from pathlib import Path

ATTEMPT_DEADLINE_S = 10.0


def attempt(command: str) -> str | None:
    """What stood in the way, or None where the command went through."""
    try:
        done = subprocess.run(["sh", "-ec", command], capture_output=True, text=True, timeout=ATTEMPT_DEADLINE_S, check=False)
    except subprocess.TimeoutExpired:
        return f"no end within {ATTEMPT_DEADLINE_S:g} s"
    if done.returncode == 0:
        return None
    said = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    return said[0] if said else f"status {done.returncode}"


def read(path: str) -> str | None:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError:
        return None


def main() -> None:
    request = json.loads(sys.argv[1])
    disk = os.statvfs("/")
    answer = {
        "refusals": {name: attempt(command) for name, command in request["attempts"].items()},
        "files": {path: read(path) for path in request["files"]},
        "disk_free_bytes": disk.f_bavail * disk.f_frsize,
    }
    sys.stdout.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    main()
