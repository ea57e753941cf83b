"""Collects what is wrong with a scenario, so that the user sees every problem of a stage at once."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from orchestrator.errors import Problem, ScenarioError
from orchestrator.scenario.wording import describe_problems, key_path

_Model = TypeVar("_Model", bound=BaseModel)


class Complaints:
    """Problems of one file; `raise_any` ends the stage."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._problems: list[Problem] = []

    def add(self, *location: int | str, message: str, found: str | None = None, allowed: str | None = None) -> None:
        self._problems.append(Problem(key=key_path(location), message=message, found=found, allowed=allowed))

    @contextmanager
    def at(self, *location: int | str) -> Iterator[None]:
        """Takes a ValueError raised below as a problem at this key; `key: text` in it names a key below."""
        try:
            yield
        except ValueError as error:
            key, separator, rest = str(error).partition(": ")
            below = separator and key.replace("_", "").replace(".", "").isalnum()
            path = (*location, key) if below else location
            self._problems.append(Problem(key=key_path(path), message=rest if below else str(error)))

    @contextmanager
    def moved(self, *location: int | str, to: Mapping[str, tuple[int | str, ...]]) -> Iterator[None]:
        """Problems that are noted below, at a key of this location that stands elsewhere in the user's file, go there."""
        first = len(self._problems)
        yield
        for index, problem in enumerate(self._problems[first:], first):
            for key, place in to.items():
                before = key_path((*location, key))
                rest = problem.key.removeprefix(before)
                if problem.key.startswith(before) and rest[:1] in ("", ".", "["):
                    self._problems[index] = replace(problem, key=key_path(place) + rest)

    def decode(self, model: type[_Model], value: object, *location: int | str) -> _Model | None:
        """The options of a kind, or None after noting every problem in them."""
        try:
            return model.model_validate(value)
        except ValidationError as error:
            self._problems.extend(describe_problems(error, model, location))
            return None

    def raise_any(self) -> None:
        if self._problems:
            # Members of a group and targets of a list may say the same of one key.
            raise ScenarioError(self._file, list(dict.fromkeys(self._problems)))
