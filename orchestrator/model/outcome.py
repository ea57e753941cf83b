"""How a run ended: each objective's result, each validity check, one verdict."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from orchestrator.model.measurements import Measurements


class Verdict(StrEnum):
    PASS = "pass"
    FAIL = "fail"
    """An objective was missed."""
    INVALID = "invalid"
    """Something was not measured, or not well enough to judge."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SloResult:
    """One objective: `met` is None when it could not be judged, and `reason` says why."""

    subject: str
    kind: str
    objective: str
    measured: str
    met: bool | None
    reason: str = ""
    budget_used_ratio: float | None = None
    """Of an objective of availability: what failed / what it allows to fail; above 1 the budget is overdrawn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidityCheck:
    """One condition under which the numbers mean something."""

    name: str
    valid: bool
    found: str
    limit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The content of outcome.json. `format_version` grows when a field changes its meaning."""

    format_version: int
    scenario: str
    run_id: str
    question: str
    seed: int
    timings_profile: str
    verdict: Verdict
    exit_code: int
    findings: tuple[str, ...]
    """The measured answer, one sentence for each path."""
    objectives: tuple[SloResult, ...]
    validity: tuple[ValidityCheck, ...]
    measurements: Measurements
    versions: Mapping[str, str]
