"""What distinguishes one run from another run of the same plan."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from orchestrator.model.plan import Role
from orchestrator.testbed.labels import run_labels


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """`run_id`: lower-case letters and digits, at most 11 (it is part of a bridge's name). `directory` exists."""

    run_id: str
    directory: Path
    owner_pid: int
    expires_in_s: int
    expires_unix_s: int
    images: Mapping[Role, str]
    """Image reference of every role."""

    def labels(self, role: str, container: str = "") -> Mapping[str, str]:
        return run_labels(
            run_id=self.run_id,
            expires_unix_s=self.expires_unix_s,
            owner_pid=self.owner_pid,
            role=role,
            container=container,
        )

    def docker_name(self, container: str) -> str:
        return f"itb-{self.run_id}-{container}"
