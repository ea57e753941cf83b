"""The border to the engine's client library: nothing of docker, requests or urllib3 passes it as an exception."""

from collections.abc import Iterator
from contextlib import contextmanager

import docker.errors  # noqa: TID251 - this package is docker's only importer
import requests.exceptions
import urllib3.exceptions
from docker.utils.socket import SocketError  # noqa: TID251

from orchestrator.errors import EngineError

FOREIGN_ERRORS: tuple[type[Exception], ...] = (
    docker.errors.DockerException,
    docker.errors.StreamParseError,  # a RuntimeError, outside docker's own tree
    requests.exceptions.RequestException,  # docker's APIError is one of them
    urllib3.exceptions.HTTPError,  # comes through unwrapped while a body is streamed
    urllib3.exceptions.ProxySchemeUnsupported,  # a ValueError, outside urllib3's own tree
    SocketError,
    OSError,  # raw sockets of attached streams
)


@contextmanager
def engine_border(what: str) -> Iterator[None]:
    """Raises EngineError for every error of the libraries below. `what` completes "could not ..."."""
    try:
        yield
    except FOREIGN_ERRORS as error:
        raise EngineError(f"the engine could not {what}: {explain(error)}") from error


def explain(error: BaseException) -> str:
    """The engine's own words where it answered, the library's where it did not."""
    if isinstance(error, docker.errors.APIError) and error.explanation:
        return str(error.explanation)
    return str(error) or type(error).__name__
