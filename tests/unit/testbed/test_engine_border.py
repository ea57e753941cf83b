"""Nothing of the libraries below passes the engine's border."""

import inspect
from collections.abc import Iterator
from types import ModuleType
from typing import cast

import docker.errors
import pytest
import requests
import requests.exceptions
import urllib3.exceptions
from docker.utils.socket import SocketError

from orchestrator.errors import EngineError
from orchestrator.testbed.border import engine_border


def errors_of(module: ModuleType) -> Iterator[type[Exception]]:
    for _, member in inspect.getmembers(module, inspect.isclass):
        own = member.__module__ == module.__name__
        if own and issubclass(member, Exception) and not issubclass(member, Warning):
            yield member


ALL = sorted(
    {*errors_of(docker.errors), *errors_of(requests.exceptions), *errors_of(urllib3.exceptions), SocketError, OSError},
    key=lambda error: f"{error.__module__}.{error.__qualname__}",
)


def instance_of(error: type[Exception]) -> Exception:
    """One of its kind, without its constructor, which wants arguments of its own."""
    body = {"__init__": lambda self: None, "__str__": lambda self: "what the library says", "explanation": None}
    return cast(Exception, type(f"Some{error.__name__}", (error,), body)())


def test_the_libraries_still_have_the_errors_that_this_test_walks_over() -> None:
    assert len(ALL) > 60
    assert docker.errors.APIError in ALL
    assert docker.errors.StreamParseError in ALL


@pytest.mark.parametrize("error", ALL, ids=lambda error: f"{error.__module__}.{error.__qualname__}")
def test_every_error_of_the_libraries_becomes_an_engine_error(error: type[Exception]) -> None:
    cause = instance_of(error)
    with (
        pytest.raises(EngineError, match="the engine could not do this: what the library says") as caught,
        engine_border("do this"),
    ):
        raise cause
    assert caught.value.__cause__ is cause


def test_the_engines_own_explanation_is_kept() -> None:
    response = requests.Response()
    response.status_code = 409
    refusal = docker.errors.APIError("409 Client Error", response=response, explanation="container is marked for removal")
    with (
        pytest.raises(EngineError, match="could not start node-1: container is marked for removal"),
        engine_border("start node-1"),
    ):
        raise refusal


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError, AssertionError])
def test_our_own_defects_and_interrupts_pass_unchanged(error: type[BaseException]) -> None:
    with pytest.raises(error), engine_border("do this"):
        raise error
