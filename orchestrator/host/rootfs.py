"""A Debian root filesystem from the host's own apt configuration, for engines that no registry answers."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from orchestrator.errors import EnvironmentUnmetError
from orchestrator.host.command import run_command
from orchestrator.host.debian import install_packages, is_debian_like, read_os_release

BOOTSTRAP_DEADLINE_S = 900.0


def read_packages(file: Path) -> tuple[str, ...]:
    """Package names of a list with comments."""
    lines = (line.partition("#")[0].strip() for line in file.read_text(encoding="utf-8").splitlines())
    return tuple(line for line in lines if line)


def bootstrap_root(packages: Sequence[str], target: Path) -> None:
    """Write a tar of the host's own suite with these packages (mmdebstrap(1), which uses the host's apt sources and keys).

    Raises:
        EnvironmentUnmetError: the host is not Debian or Ubuntu, or mmdebstrap is missing and not ours to install.
    """
    release = read_os_release()
    suite = release.get("VERSION_CODENAME")
    if not is_debian_like(release) or suite is None:
        raise EnvironmentUnmetError(
            "no image registry answers, and this machine is no Debian or Ubuntu whose packages could make the images",
            hint="make debian:bookworm-slim available to the engine, for example with `docker load`",
        )
    if shutil.which("mmdebstrap") is None:
        install_packages(["mmdebstrap"], reason="building images without a registry")
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(".partial.tar")
    argv = ["mmdebstrap", "--variant=minbase", f"--include={','.join(packages)}"]
    # Documentation would be a third of it.
    argv += ["--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-exclude=/usr/share/man/*"]
    argv += ["--dpkgopt=path-exclude=/usr/share/locale/*", suite, str(partial)]
    run_command(argv, deadline_s=BOOTSTRAP_DEADLINE_S, log=target.with_suffix(".log"))
    partial.replace(target)
