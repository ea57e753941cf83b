"""The published JSON Schema is the one that the code makes, and says of every shipped scenario what the code says."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from orchestrator.planner.json_schema import scenario_json_schema
from orchestrator.registry import KINDS

ROOT = Path(__file__).resolve().parents[3]
PUBLISHED = ROOT / "loadtests" / "scenarios" / "scenario.schema.json"
SCENARIOS = sorted([*(ROOT / "loadtests" / "scenarios").glob("*.yaml"), *(ROOT / "tests" / "e2e" / "scenarios").glob("*.yaml")])


@cache
def schema() -> dict[str, Any]:
    return scenario_json_schema(KINDS)


@cache
def validator() -> jsonschema.Draft202012Validator:
    jsonschema.Draft202012Validator.check_schema(schema())
    return jsonschema.Draft202012Validator(schema())


def test_published_schema_is_up_to_date() -> None:
    published = json.loads(PUBLISHED.read_text(encoding="utf-8"))
    assert published == json.loads(json.dumps(schema())), "run `testbed schema` and save what it prints"


@pytest.mark.parametrize("file", SCENARIOS, ids=lambda file: file.stem)
def test_shipped_scenario_is_valid_under_the_schema(file: Path) -> None:
    validator().validate(yaml.safe_load(file.read_text(encoding="utf-8")))


@pytest.mark.parametrize("change", [{"bogus": 1}, {"paths": {"x": {"kind": "y"}}}, {"timeline": [{"at": "1s", "fault": "z"}]}])
def test_schema_refuses_what_the_code_refuses(change: dict[str, object]) -> None:
    document = {**yaml.safe_load(SCENARIOS[0].read_text(encoding="utf-8")), **change}
    with pytest.raises(jsonschema.ValidationError):
        validator().validate(document)
