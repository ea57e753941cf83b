"""Debian and Ubuntu as a host: what it is, and installing packages on it."""

import os
import shlex
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from orchestrator.errors import CommandError, EnvironmentUnmetError
from orchestrator.host.command import run_command

INSTALL_DEADLINE_S = 900.0
LOCK_TIMEOUT_S = 120  # a fresh machine is often still upgrading itself
APT = {"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}


def read_os_release(file: Path = Path("/etc/os-release")) -> Mapping[str, str]:
    """Fields of os-release(5); empty where there is no such file."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    pairs = (line.partition("=") for line in lines if "=" in line and not line.startswith("#"))
    return {key: value.strip("\"'") for key, _, value in pairs}


def is_debian_like(release: Mapping[str, str]) -> bool:
    family = {release.get("ID", ""), *release.get("ID_LIKE", "").split()}
    return bool(family & {"debian", "ubuntu"})


def can_install() -> bool:
    """True where apt-get may be used: root on Debian or Ubuntu."""
    return os.geteuid() == 0 and is_debian_like(read_os_release()) and shutil.which("apt-get") is not None


def install_command(packages: Sequence[str]) -> str:
    """What a user types to install Debian packages."""
    return "sudo apt-get update && sudo apt-get install --no-install-recommends " + shlex.join(packages)


def install_packages(packages: Sequence[str], *, reason: str) -> None:
    """Install Debian packages without recommendations.

    Raises:
        EnvironmentUnmetError: this is not ours to do. CommandError: apt-get failed, with lists just fetched.
    """
    if not can_install():
        raise EnvironmentUnmetError(f"{reason} needs {', '.join(packages)}", hint=f"install it: {install_command(packages)}")
    try:
        _install(packages)
    except CommandError:  # no lists, or lists so old that the mirror has other versions by now
        run_command(["apt-get", "update", "--quiet=2"], deadline_s=INSTALL_DEADLINE_S, environment=APT)
        _install(packages)


def _install(packages: Sequence[str]) -> None:
    argv = [
        "apt-get",
        "install",
        "--yes",
        "--quiet=2",
        "--no-install-recommends",
        f"--option=DPkg::Lock::Timeout={LOCK_TIMEOUT_S}",
    ]
    run_command([*argv, *packages], deadline_s=INSTALL_DEADLINE_S, environment=APT)
