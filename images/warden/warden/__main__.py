"""Entry point. Without arguments: guard a run and wait for its end. `list-guards`, `delete-guards RUN...`: for clean-up.
`revive SECONDS CONTAINER...`: start what has ended by then.
"""

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from warden import host
from warden.config import decode_config
from warden.events import emit, emit_clocks
from warden.watch import End, watch

CONFIG = Path("/etc/testbed/config.json")


def serve() -> int:
    config = decode_config(CONFIG.read_text(encoding="utf-8"))
    expires_mono_s = time.monotonic() + config.expires_in_s
    host.write_guard(config.guard)
    emit_clocks("guard-written", routes=host.routes(), boot_id=host.boot_id())
    end = watch(0, expires_mono_s=expires_mono_s, on_time=lambda: emit_clocks("clock"))
    left = reap_run(config.run_id) if end is not End.DONE else []
    host.delete_guard(config.run_id)
    emit("guard-deleted", reason=end.name.lower(), left=left)
    return 1 if left else 0


def reap_run(run_id: str) -> list[str]:
    import docker  # noqa: TID251 - 0.3 s that the guard must not wait for

    from warden.reaper import reap

    return reap(docker.from_env(timeout=90), run_id)


def revive_later(containers: Sequence[str], after_s: float) -> list[str]:
    import docker  # noqa: TID251 - 0.3 s that the guard must not wait for

    from warden.reviving import revive

    return revive(docker.from_env(timeout=90), containers, after_s)


def main(argv: list[str]) -> int:
    match argv:
        case []:
            return serve()
        case ["list-guards"]:
            sys.stdout.write(json.dumps(sorted(host.guard_tables())) + "\n")
        case ["delete-guards", *runs]:
            sys.stdout.write(json.dumps([run for run in runs if host.delete_guard(run)]) + "\n")
        case ["revive", after_s, *containers]:
            sys.stdout.write(json.dumps(revive_later(containers, float(after_s))) + "\n")
        case _:
            sys.stderr.write("usage: warden [list-guards | delete-guards RUN... | revive SECONDS CONTAINER...]\n")
            return 64
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
