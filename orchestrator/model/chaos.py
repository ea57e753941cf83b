"""The result of a chaos experiment: one line for each fault and path, over all its valid trials. Frozen data."""

from dataclasses import dataclass

from orchestrator.model.trials import Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class ChaosRun:
    """One run of the matrix."""

    number: int
    fault: str
    trial: int
    run_id: str
    directory: str
    """Relative to the matrix's own."""
    verdict: str
    targets: tuple[str, ...]
    problem: str
    """Why it is not valid; empty otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChaosResult:
    """What one path lost to one fault, over the valid trials; of each trial the worst connection class."""

    number: int
    fault: str
    path: str
    is_negative_control: bool
    valid_trials: int
    lost: Estimate
    """Requests, count; of a fault that strikes several times, all of them."""
    convergence: Estimate
    """Seconds from the first strike on; infinite where a trial did not converge; of a rescale none."""
    bound_s: float | None
    """Until when the settings let a loss happen, of the trials the latest; None: no bound is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChaosMatrix:
    name: str
    question: str
    seed: int
    trials: int
    planned: int
    """Runs that the experiment has; fewer have run when it was interrupted."""
    method: str
    """When each fault strikes and is healed, and under what load, in words."""
    runs: tuple[ChaosRun, ...]
    results: tuple[ChaosResult, ...]
