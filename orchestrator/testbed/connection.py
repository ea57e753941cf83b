"""Connections to engines: a client for an endpoint, and the way from nothing to an engine that answers."""

import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import docker  # noqa: TID251 - this package is docker's only importer
from docker.constants import DEFAULT_DOCKER_API_VERSION  # noqa: TID251
from docker.tls import TLSConfig  # noqa: TID251
from docker.utils import version_lt  # noqa: TID251

from orchestrator.errors import EngineError, EnvironmentUnmetError
from orchestrator.host.endpoint import EngineEndpoint, TlsFiles, find_endpoints
from orchestrator.host.engine import ensure_engine
from orchestrator.testbed.border import engine_border, explain

OLDEST_API = "1.41"
"""Docker 20.10."""
CONNECT_TIMEOUT_S = 10
CALL_TIMEOUT_S = 90  # an overlay with an address conflict blocks a start for 20 s, a loaded machine longer
PARALLEL_CALLS = 32


def ready_client(*, tell: Callable[[str], None] = lambda text: None) -> docker.APIClient:
    """A client of the user's engine, which is installed and started first where that is ours to do.

    Raises EnvironmentUnmetError, CommandError (see ensure_engine).
    """
    opened: list[docker.APIClient] = []

    def silence(endpoint: EngineEndpoint) -> str | None:
        try:
            opened.append(open_client(endpoint))
        except EngineError as error:
            return plain_reason(error)
        return None

    ensure_engine(find_endpoints(os.environ, Path.home()), silence, tell=tell)
    return opened[0]


def answering_client() -> docker.APIClient:
    """A client of the user's engine; none is installed or started. Raises EnvironmentUnmetError."""
    reasons = []
    for endpoint in find_endpoints(os.environ, Path.home()):
        try:
            return open_client(endpoint)
        except EngineError as error:
            reasons.append(f"{endpoint}: {plain_reason(error)}")
    raise EnvironmentUnmetError(f"no Docker Engine answers: {'; '.join(reasons)}", hint="run `make engine`")


def open_client(endpoint: EngineEndpoint) -> docker.APIClient:
    """A client that speaks the newest API version that both sides know.

    Raises:
        EngineError: nothing answers. EnvironmentUnmetError: what answers is too old.
    """
    if endpoint.url.startswith("ssh://"):
        raise EnvironmentUnmetError(
            f"an engine is not reached by ssh:// itself: {endpoint}",
            hint="forward its socket: ssh -nNT -L /tmp/docker.sock:/var/run/docker.sock HOST & export DOCKER_HOST=unix:///tmp/docker.sock",
        )
    arguments: dict[str, Any] = {"base_url": endpoint.url, "max_pool_size": PARALLEL_CALLS}
    with engine_border(f"be reached at {endpoint}"):
        if endpoint.url.startswith("unix://"):
            _knock(endpoint.url.removeprefix("unix://"))
        if endpoint.tls is not None:
            arguments["tls"] = _tls_config(endpoint.tls)
        try:
            client = docker.APIClient(version=OLDEST_API, timeout=CONNECT_TIMEOUT_S, **arguments)
        except ValueError as error:  # what stands where a port should be
            raise EngineError(f"no engine can be at {endpoint}: {error}") from None
        version = _common_version(client)
        if version_lt(version, OLDEST_API):
            raise EnvironmentUnmetError(
                f"the Docker Engine at {endpoint} is too old: it speaks API {version}, and {OLDEST_API} is needed",
                hint="install Docker Engine 20.10 or newer",
            )
        return docker.APIClient(version=version, timeout=CALL_TIMEOUT_S, **arguments)


def _common_version(client: docker.APIClient) -> str:
    # Not `version="auto"`: a client that fails in its constructor cannot be closed, and leaves its sockets open.
    try:
        newest: str = client.version(api_version=False)["ApiVersion"]
    finally:
        client.close()
    return newest if version_lt(newest, DEFAULT_DOCKER_API_VERSION) else DEFAULT_DOCKER_API_VERSION


def _knock(path: str) -> None:
    # The library's own attempt would leave its socket open when it fails.
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as door:
        door.settimeout(CONNECT_TIMEOUT_S)
        door.connect(path)


def plain_reason(error: BaseException) -> str:
    """What the operating system said, without the three libraries' wrappings; the outermost words where it said nothing."""
    said = [link.strerror for link in _chain(error) if isinstance(link, OSError) and link.strerror]
    return said[-1] if said else explain(error)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _tls_config(files: TlsFiles) -> TLSConfig:
    pair = (str(files.cert), str(files.key)) if files.cert is not None and files.key is not None else None
    return TLSConfig(client_cert=pair, ca_cert=str(files.ca) if files.ca is not None else None, verify=files.verify)
