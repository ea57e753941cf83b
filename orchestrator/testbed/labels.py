"""Labels on everything that a run creates: what is removed is found by them alone, never by its name."""

from collections.abc import Mapping

RUN = "ingress-testbed.run"
ROLE = "ingress-testbed.role"
CONTAINER = "ingress-testbed.container"
EXPIRES = "ingress-testbed.expires"
"""Unix time in whole seconds."""
OWNER_PID = "ingress-testbed.owner-pid"


def run_labels(*, run_id: str, expires_unix_s: int, owner_pid: int, role: str, container: str) -> Mapping[str, str]:
    return {
        RUN: run_id,
        ROLE: role,
        CONTAINER: container,
        EXPIRES: str(expires_unix_s),
        OWNER_PID: str(owner_pid),
    }
