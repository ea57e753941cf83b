"""A chaos experiment as a user writes it: one scenario's paths under each of several faults, several times."""

from pathlib import Path

from pydantic import Field, StrictInt, ValidationError

from orchestrator.errors import Problem, ScenarioError
from orchestrator.scenario.entries import Member
from orchestrator.scenario.loading import read_yaml
from orchestrator.scenario.quantities import DurationS, PositiveDurationS
from orchestrator.scenario.schema import Name, Strict
from orchestrator.scenario.wording import describe_problems


class Chaos(Strict):
    name: Name
    question: str = Field(min_length=1, description="what the experiment answers, in one sentence")
    scenario: str = Field(description="the scenario whose cluster, manifests, paths and load are used; relative to this file")
    faults: tuple[Member, ...] = Field(min_length=1, description="`fault: <kind>` with its options, as in a timeline")
    at: PositiveDurationS = Field(default=3.0, validate_default=False, description="of undisturbed load before the fault")
    phase: DurationS = Field(default=1.0, validate_default=False, description="a random delay below this, by the seed")
    for_s: PositiveDurationS = Field(
        default=8.0, validate_default=False, alias="for", description="until the heal; a fault that has no end says `for: null`"
    )
    recovery: PositiveDurationS = Field(default=8.0, validate_default=False, description="after the heal")
    trials: StrictInt = Field(default=2, ge=1, le=100, description="of every fault; their order is shuffled by the seed")
    seed: StrictInt = Field(default=0, ge=0, lt=2**63)


def load_chaos(file: Path) -> Chaos:
    """Raises ScenarioError naming file, key, what was found and what is allowed."""
    documents = read_yaml(file)
    if len(documents) != 1 or not isinstance(documents[0], dict):
        raise ScenarioError(file, [Problem(key="", message="must hold one mapping", found=f"{len(documents)} documents")])
    try:
        return Chaos.model_validate(documents[0])
    except ValidationError as error:
        raise ScenarioError(file, describe_problems(error, Chaos)) from None
