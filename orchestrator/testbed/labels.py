"""Labels on everything that a run creates: what is removed is found by them alone, never by its name."""

from collections.abc import Mapping

from orchestrator.host.owner import name_owner

RUN = "ingress-testbed.run"
ROLE = "ingress-testbed.role"
CONTAINER = "ingress-testbed.container"
EXPIRES = "ingress-testbed.expires"
"""Unix time in whole seconds."""
OWNER_PID = "ingress-testbed.owner-pid"
TEST = "ingress-testbed.test"
"""Of what a test makes without a run."""
OWNER = "ingress-testbed.owner"
"""The process that made it, as `host.owner` names it."""


def run_labels(*, run_id: str, expires_unix_s: int, owner_pid: int, role: str, container: str) -> Mapping[str, str]:
    return {
        RUN: run_id,
        ROLE: role,
        CONTAINER: container,
        EXPIRES: str(expires_unix_s),
        OWNER_PID: str(owner_pid),
    }


def labels_for_test() -> Mapping[str, str]:
    """Of a container or network that a test of this process makes, and removes when it is over."""
    return {TEST: "1", OWNER: name_owner()}
