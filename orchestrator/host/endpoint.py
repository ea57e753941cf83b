"""Where the user's own Docker tools would look for an engine. Reads environment and Docker's own files; connects to nothing."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.errors import EnvironmentUnmetError

DEFAULT_SOCKET = Path("/var/run/docker.sock")


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFiles:
    """PEM files of a TLS endpoint; those that Docker's layout names but the disk lacks are None."""

    ca: Path | None
    cert: Path | None
    key: Path | None
    verify: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineEndpoint:
    """One place where an engine may answer, and who said so (`DOCKER_HOST`, `docker context lab`, `default socket`)."""

    url: str
    origin: str
    chosen: bool = False
    """The user chose it: when it does not answer, another one must not be used in its place."""
    tls: TlsFiles | None = None

    @property
    def is_default(self) -> bool:
        """True for the socket that an engine on this machine listens on by default."""
        return self.url in (f"unix://{DEFAULT_SOCKET}", "unix:///run/docker.sock")

    def __str__(self) -> str:
        return f"{self.url} ({self.origin})"


def find_endpoints(
    environment: Mapping[str, str], home: Path, default_socket: Path = DEFAULT_SOCKET
) -> tuple[EngineEndpoint, ...]:
    """The endpoints to try, best first: DOCKER_HOST, DOCKER_CONTEXT, the current context, else the default and rootless sockets.

    Raises:
        EnvironmentUnmetError: the chosen context does not exist or cannot be read.
    Source: docker(1), "Environment variables"; docker-context(1); docs.docker.com, "Rootless mode".
    """
    configuration = Path(environment.get("DOCKER_CONFIG") or home / ".docker")
    if url := environment.get("DOCKER_HOST"):
        return (EngineEndpoint(url=url, origin="DOCKER_HOST", chosen=True, tls=_tls_of_environment(environment, configuration)),)
    context = environment.get("DOCKER_CONTEXT") or _current_context(configuration)
    if context and context != "default":
        return (_read_context(configuration, context),)
    found = [EngineEndpoint(url=f"unix://{default_socket}", origin="default socket")]
    runtime = environment.get("XDG_RUNTIME_DIR")
    if runtime and (Path(runtime) / "docker.sock").exists():
        found.append(EngineEndpoint(url=f"unix://{runtime}/docker.sock", origin="rootless socket"))
    return tuple(found)


def _tls_of_environment(environment: Mapping[str, str], configuration: Path) -> TlsFiles | None:
    # An empty value is an unset one, any other value of DOCKER_TLS_VERIFY means yes: so do Docker's own clients.
    verify = bool(environment.get("DOCKER_TLS_VERIFY"))
    certificates = environment.get("DOCKER_CERT_PATH")
    if not verify and not certificates:
        return None
    return _tls_files(Path(certificates) if certificates else configuration, verify=verify)


def _tls_files(folder: Path, *, verify: bool) -> TlsFiles:
    ca, cert, key = (file if (file := folder / f"{name}.pem").is_file() else None for name in ("ca", "cert", "key"))
    return TlsFiles(ca=ca, cert=cert, key=key, verify=verify)


def _current_context(configuration: Path) -> str | None:
    file = configuration / "config.json"
    name = _read_json(file).get("currentContext") if file.is_file() else None
    return str(name) if name else None


def _read_context(configuration: Path, name: str) -> EngineEndpoint:
    # Docker names a context's folders by the hash of its name.
    identity = hashlib.sha256(name.encode()).hexdigest()
    file = configuration / "contexts" / "meta" / identity / "meta.json"
    if not file.is_file():
        raise EnvironmentUnmetError(
            f"the docker context {name!r} does not exist ({file} is missing)",
            hint="choose another one: docker context ls; docker context use default",
        )
    endpoint = _read_json(file).get("Endpoints", {}).get("docker", {})
    if not isinstance(endpoint, dict) or not endpoint.get("Host"):
        raise EnvironmentUnmetError(
            f"the docker context {name!r} names no engine in {file}", hint="docker context inspect " + name
        )
    certificates = configuration / "contexts" / "tls" / identity / "docker"
    tls = _tls_files(certificates, verify=not endpoint.get("SkipTLSVerify")) if certificates.is_dir() else None
    return EngineEndpoint(url=str(endpoint["Host"]), origin=f"docker context {name}", chosen=True, tls=tls)


def _read_json(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise EnvironmentUnmetError(f"cannot read {file}: {error}", hint="`docker context ls` reads the same file") from None
    return content if isinstance(content, dict) else {}
