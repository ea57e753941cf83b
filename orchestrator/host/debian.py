"""Debian and Ubuntu as a host: what it is, and installing packages on it."""

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from orchestrator.errors import EnvironmentUnmetError
from orchestrator.host.command import run_command

INSTALL_DEADLINE_S = 900.0
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


def install_packages(packages: Sequence[str], *, reason: str) -> None:
    """Install Debian packages without recommendations. Raises EnvironmentUnmetError where that is not ours to do."""
    if not can_install():
        raise EnvironmentUnmetError(
            f"{reason} needs {', '.join(packages)}",
            hint=f"install it, for example: sudo apt-get install --no-install-recommends {' '.join(packages)}",
        )
    run_command(["apt-get", "update", "-qq"], deadline_s=INSTALL_DEADLINE_S, environment=APT)
    argv = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages]
    run_command(argv, deadline_s=INSTALL_DEADLINE_S, environment=APT)
