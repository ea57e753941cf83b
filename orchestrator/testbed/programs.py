"""Programs of the user's own on their way into a container: read again at each start, and only as they were planned."""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

from orchestrator.errors import EnvironmentUnmetError
from orchestrator.model.plan import ProgramPlan


def read_programs(plans: Iterable[ProgramPlan]) -> Mapping[str, bytes]:
    """Path in the container -> content. Raises EnvironmentUnmetError for one that is gone or has changed since it was planned."""
    return {plan.path: _read(plan) for plan in plans}


def _read(plan: ProgramPlan) -> bytes:
    try:
        content = Path(plan.source).read_bytes()
    except OSError as error:
        raise EnvironmentUnmetError(f"{plan.source}: {error.strerror}", hint="put it back and run again") from None
    found = hashlib.sha256(content).hexdigest()
    if found != plan.sha256:
        raise EnvironmentUnmetError(
            f"{plan.source} has changed since the run was planned: sha256 {found}, planned {plan.sha256}",
            hint="nodes of one run must not differ: run again",
        )
    return content
