"""Messages about a user's values are in the words of the file, with what is allowed, for every option of every kind."""

from collections.abc import Iterator

import pytest
from pydantic import BaseModel, ValidationError

from orchestrator.registry import ACTIONS, PATHS, SLOS
from orchestrator.scenario.chaos import Chaos
from orchestrator.scenario.entries import TargetSelector, Trigger
from orchestrator.scenario.schema import Scenario
from orchestrator.scenario.wording import describe_problems

OURS = (Scenario, Chaos, Trigger, TargetSelector)
KINDS = [*ACTIONS.values(), *PATHS.values(), *SLOS.values()]
MODELS = list(dict.fromkeys([*OURS, *(model for kind in KINDS if (model := getattr(kind, "options", None)) is not None)]))
PYDANTIC = (
    "nput should",
    "should be a valid",
    "should have",
    "union",
    "constrained",
    "literal[",
    "function-",
    "lax-or-strict",
    "None",
)


class Nonsense:
    """Of no type that a file can hold, and the same in every form."""

    def __repr__(self) -> str:
        return "nonsense"


def names_of(model: type[BaseModel]) -> Iterator[str]:
    for name, field in model.model_fields.items():
        yield field.alias or name


def problems_of(model: type[BaseModel], value: object) -> list[str]:
    with pytest.raises(ValidationError) as caught:
        model.model_validate(value)
    return [str(problem) for problem in describe_problems(caught.value, model)]


@pytest.mark.parametrize(("model", "name"), [(model, name) for model in MODELS for name in names_of(model)])
def test_value_of_no_type_is_told_with_its_key_and_what_is_allowed(model: type[BaseModel], name: str) -> None:
    (told,) = [text for text in problems_of(model, {name: Nonsense()}) if text.partition(":")[0] == name]
    assert "; found nonsense; allowed: " in told
    assert not told.endswith("allowed: ")
    assert not any(word in told for word in PYDANTIC)


@pytest.mark.parametrize("model", MODELS)
def test_key_that_no_option_has_is_told_with_those_there_are(model: type[BaseModel]) -> None:
    if model.model_config.get("extra") == "forbid":
        (told,) = [text for text in problems_of(model, {"moon": 1}) if text.startswith("moon")]
        assert told == f"moon: unknown key; allowed: {', '.join(sorted(names_of(model))) or 'none'}"


@pytest.mark.parametrize(
    ("timings", "expected"),
    [
        ("slow", "cluster.timings: is not known; found 'slow'; allowed: kubernetes, fast or a mapping of lease_duration"),
        ({"lease_renew": 3}, "cluster.timings.lease_renew: is not a duration; found 3; allowed: a number with a unit"),
        ({"toleration": "-1s"}, "cluster.timings.toleration: is too small; found -1s; allowed: 0s or more"),
        (3, "cluster.timings: is not known; found 3; allowed: kubernetes, fast or a mapping"),
    ],
)
def test_value_of_several_forms_is_told_once_in_the_nearest(timings: object, expected: str) -> None:
    (told,) = [text for text in problems_of(Scenario, {"cluster": {"timings": timings}}) if "is required" not in text]
    assert told.startswith(expected)


def test_what_is_missing_is_told_with_what_it_can_be() -> None:
    assert "duration: is required; allowed: text such as 500ms, 10s, 1m30s" in problems_of(Scenario, {})
