"""Reads a scenario and its manifests. Every mistake in them becomes one ScenarioError that names file, key, found and allowed."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import yaml
from pydantic import ValidationError

from orchestrator.errors import Problem, ScenarioError, UsageError
from orchestrator.scenario.schema import Scenario
from orchestrator.scenario.wording import describe_problems

if TYPE_CHECKING:
    from yaml import SafeLoader as _SafeLoader
else:
    # libyaml's reads the same, several times as fast; not every PyYAML is built with it.
    _SafeLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


MOST_VALUES = 100_000
"""Far more than any scenario or manifest has; a few lines of aliases can stand for millions."""

MOST_LEVELS = 100


class _Loader(_SafeLoader):
    """Safe YAML that refuses a key given twice (YAML 1.2 section 3.2.1.3), which PyYAML lets pass."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[object, object]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value != "<<":
                if key.value in seen:
                    raise yaml.MarkedYAMLError(
                        problem=f"the key {key.value!r} stands twice in one mapping", problem_mark=key.start_mark
                    )
                seen.add(key.value)
        return super().construct_mapping(node, deep)


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """One Kubernetes object and the file it came from."""

    file: Path
    index: int
    body: Mapping[str, object]


def read_yaml(file: Path) -> list[object]:
    """The documents of a YAML file. Raises ScenarioError for a file that is missing, unreadable or not YAML."""
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ScenarioError(file, [Problem(key="", message="no such file")]) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ScenarioError(file, [Problem(key="", message=f"cannot be read: {error}")]) from None
    try:
        return parse_yaml(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise ScenarioError(file, [Problem(key=where, message=f"not valid YAML: {error.problem}")]) from None
    except yaml.YAMLError as error:
        raise ScenarioError(file, [Problem(key="", message=f"not valid YAML: {error}")]) from None


def parse_yaml(text: str) -> list[object]:
    """The documents of a YAML text, none of them empty. Raises yaml.YAMLError."""
    try:
        _check_depth(text)
        documents = [document for document in yaml.load_all(text, Loader=_Loader) if document is not None]
        if sum(_count_values(document, MOST_VALUES) for document in documents) > MOST_VALUES:
            raise yaml.YAMLError(f"with its aliases written out it holds more than {MOST_VALUES} values")
    except RecursionError:
        raise yaml.YAMLError("nested too deep") from None
    except ValueError as error:  # a scalar that its own type refuses, such as the 31st of February
        raise yaml.YAMLError(str(error)) from None
    return documents


def _check_depth(text: str) -> None:
    """libyaml composes by recursion without a bound: a text of nothing but brackets would end the process."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MOST_LEVELS:
            raise yaml.YAMLError(f"nested deeper than {MOST_LEVELS} levels")


def _count_values(value: object, limit: int) -> int:
    """How many values there are when every alias is written out; counting ends above the limit."""
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    count = 1
    for child in children:
        if count > limit:
            break
        count += _count_values(child, limit - count)
    return count


def load_scenario(file: Path, overrides: Mapping[str, object] | None = None) -> Scenario:
    """The scenario in a file, with `--set` overrides by dotted key. Raises ScenarioError."""
    documents = read_yaml(file)
    if len(documents) != 1 or not isinstance(documents[0], dict):
        found = f"{len(documents)} documents" if len(documents) != 1 else type(documents[0]).__name__
        raise ScenarioError(file, [Problem(key="", message="must hold one mapping", found=found)])
    document: dict[str, object] = documents[0]
    for dotted, value in (overrides or {}).items():
        _override(document, dotted, value)
    try:
        return Scenario.model_validate(document)
    except ValidationError as error:
        raise ScenarioError(file, describe_problems(error, Scenario)) from None


def _override(document: dict[str, object], dotted: str, value: object) -> None:
    *parents, last = dotted.split(".")
    target: object = document
    for part in parents:
        if isinstance(target, list):
            target = target[_list_index(dotted, part, target)]
            continue
        if not isinstance(target, dict):
            raise UsageError(f"--set {dotted}: {part} is below a value that has no keys")
        target = target.setdefault(part, {})
    if isinstance(target, list):
        target[_list_index(dotted, last, target)] = value
    elif isinstance(target, dict):
        target[last] = value
    else:
        raise UsageError(f"--set {dotted}: {last} is below a value that has no keys")


def _list_index(dotted: str, part: str, items: list[object]) -> int:
    if part.isdecimal() and int(part) < len(items):
        return int(part)
    allowed = f"0 to {len(items) - 1}" if items else "none: it is empty"
    raise UsageError(f"--set {dotted}: {part!r} is no place in a list of {len(items)}; allowed: {allowed}")


def load_manifests(scenario_file: Path, names: tuple[str, ...]) -> tuple[Manifest, ...]:
    """The objects of the scenario's manifests, in order. Raises ScenarioError for a missing file or a nameless object."""
    manifests: list[Manifest] = []
    for place, name in enumerate(names):
        candidates = (scenario_file.parent / name, scenario_file.parent.parent / "manifests" / name)
        found = next((item for item in candidates if item.is_file()), None)
        if found is None:
            searched = " and ".join(str(item) for item in candidates)
            problem = Problem(key=f"manifests[{place}]", message=f"no such manifest; searched {searched}", found=repr(name))
            raise ScenarioError(scenario_file, [problem])
        for index, body in enumerate(read_yaml(found)):
            manifests.append(Manifest(file=found, index=index, body=_check_identity(found, index, body)))
    return tuple(manifests)


def _check_identity(file: Path, index: int, body: object) -> Mapping[str, object]:
    if not isinstance(body, dict):
        raise ScenarioError(file, [Problem(key=f"document {index}", message="must be a mapping", found=type(body).__name__)])
    problems = [
        Problem(key=f"document {index}.{key}", message="is required", allowed="a string")
        for key in ("apiVersion", "kind")
        if not isinstance(body.get(key), str)
    ]
    metadata = body.get("metadata")
    if not isinstance(metadata, dict) or not isinstance(metadata.get("name"), str):
        problems.append(Problem(key=f"document {index}.metadata.name", message="is required", allowed="a string"))
    if problems:
        raise ScenarioError(file, problems)
    return body
