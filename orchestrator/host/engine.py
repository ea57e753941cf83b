"""Finds a Docker Engine, or installs and starts one where this machine is ours to change. Must not talk to the engine itself."""

import os
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from orchestrator.errors import EnvironmentUnmetError
from orchestrator.host.debian import install_command, install_packages, is_debian_like, read_os_release
from orchestrator.host.dockerd import SYSTEMD, EnginePaths, one_at_a_time, start_dockerd
from orchestrator.host.endpoint import EngineEndpoint

PACKAGES = ("docker.io", "iptables")

Silence = Callable[[EngineEndpoint], str | None]
"""Why an engine does not answer at an endpoint, or None where it does; the caller's, since it has the client library."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What decides whether an engine may be installed and started here."""

    platform: str
    is_root: bool
    is_debian: bool
    has_dockerd: bool
    has_systemd: bool

    @property
    def may_start_engine(self) -> bool:
        return self.platform == "linux" and self.is_root and (self.has_dockerd or self.is_debian)


def read_machine() -> Machine:
    return Machine(
        platform=sys.platform,
        is_root=os.geteuid() == 0,
        is_debian=is_debian_like(read_os_release()),
        has_dockerd=shutil.which("dockerd") is not None,
        has_systemd=SYSTEMD.is_dir(),
    )


def ensure_engine(
    endpoints: Sequence[EngineEndpoint],
    silence: Silence,
    *,
    paths: EnginePaths | None = None,
    machine: Machine | None = None,
    tell: Callable[[str], None] = lambda text: None,
) -> EngineEndpoint:
    """The first endpoint whose engine answers; where none does, an engine of this machine, installed and started. Idempotent.

    `paths` are those of the engine to start, whose socket must be among the endpoints (default: dockerd's own).
    Raises:
        EnvironmentUnmetError: none answers and starting one is not ours to do, or it does not start; the hint has the command.
        CommandError: the installation failed.
    """
    paths, machine = paths or EnginePaths(), machine or read_machine()
    reasons: list[tuple[EngineEndpoint, str]] = []
    for endpoint in endpoints:
        reason = silence(endpoint)
        if reason is None:
            return endpoint
        reasons.append((endpoint, reason))
    local = next((endpoint for endpoint in endpoints if _listens_at(endpoint, paths)), None)
    if local is None or not machine.may_start_engine:
        raise _unmet(reasons, local, machine)
    with one_at_a_time(paths):
        if silence(local) is not None:  # another starter may have been at it
            if not machine.has_dockerd:
                tell(f"installing {', '.join(PACKAGES)}")
                install_packages(PACKAGES, reason="running containers")
            tell("starting the Docker Engine")
            start_dockerd(paths, lambda: silence(local))
    return local


def _listens_at(endpoint: EngineEndpoint, paths: EnginePaths) -> bool:
    return endpoint.url == f"unix://{paths.socket}" or (paths.is_default and endpoint.is_default)


def _unmet(
    reasons: Sequence[tuple[EngineEndpoint, str]], local: EngineEndpoint | None, machine: Machine
) -> EnvironmentUnmetError:
    tried = "; ".join(f"{endpoint}: {reason}" for endpoint, reason in reasons)
    return EnvironmentUnmetError(f"no Docker Engine answers: {tried}", hint=_advise(reasons, local, machine))


def _advise(reasons: Sequence[tuple[EngineEndpoint, str]], local: EngineEndpoint | None, machine: Machine) -> str:
    """The exact command for the next step."""
    if local is None:
        instead = "unset DOCKER_HOST" if reasons[0][0].origin == "DOCKER_HOST" else "docker context use default"
        return f"start that engine, or use this machine's: {instead}"
    if any("permission denied" in reason.lower() for endpoint, reason in reasons if endpoint is local):
        return "let your user speak to it, then log in again: sudo usermod -aG docker $USER"
    if machine.platform != "linux":
        return "start Docker Desktop"
    if machine.has_dockerd:
        return "start it: " + ("sudo systemctl start docker" if machine.has_systemd else "sudo dockerd")
    if machine.is_debian:
        return f"install one: {install_command(PACKAGES)}"
    return "install one: https://docs.docker.com/engine/install/"
