"""outcome.json: the outcome whole, for other programs. Its schema is published beside this file."""

from functools import cache
from typing import TYPE_CHECKING, ClassVar

from orchestrator.errors import UsageError
from orchestrator.model.outcome import Outcome
from orchestrator.model.plan import Plan

if TYPE_CHECKING:
    from pydantic import TypeAdapter


@cache
def _adapter() -> "TypeAdapter[Outcome]":
    from pydantic import TypeAdapter

    return TypeAdapter(Outcome)


class OutcomeJson:
    name: ClassVar[str] = "json"
    file: ClassVar[str] = "outcome.json"

    def render(self, outcome: Outcome, plan: Plan) -> str:
        return _adapter().dump_json(outcome, indent=2).decode() + "\n"


def load_outcome(text: str) -> Outcome:
    """The outcome that `OutcomeJson` wrote. Raises UsageError for anything else."""
    from pydantic import ValidationError

    try:
        return _adapter().validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the document"
        raise UsageError(f"not an outcome: {where}: {first['msg']} ({error.error_count()} problems)") from error


def outcome_json_schema() -> dict[str, object]:
    """JSON Schema (draft 2020-12) of outcome.json; published as outcome.schema.json beside this module."""
    schema: dict[str, object] = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return schema | _adapter().json_schema(mode="serialization")
