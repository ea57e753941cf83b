"""A Debian root filesystem from the host's own apt configuration, for engines that no registry answers."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from orchestrator.errors import CommandError, EnvironmentUnmetError
from orchestrator.host.command import run_command
from orchestrator.host.debian import APT, INSTALL_DEADLINE_S, install_packages, is_debian_like, read_os_release

BOOTSTRAP_DEADLINE_S = 900.0
ARCHIVES = {"Debian", "Ubuntu"}


def bootstrap_root(packages: Sequence[str], target: Path) -> None:
    """Write a tar of the host's own suite with these packages; its log stays beside it.

    Raises:
        EnvironmentUnmetError: the host is not Debian or Ubuntu, or mmdebstrap is missing and not ours to install.
        CommandError, DeadlineError: mmdebstrap failed.
    """
    release = read_os_release()
    suite = release.get("VERSION_CODENAME")
    if not is_debian_like(release) or suite is None:
        raise EnvironmentUnmetError(
            "this machine is no Debian or Ubuntu, whose packages could make the root filesystem",
            hint="let the engine have debian:bookworm-slim: from a registry, or with `docker load`",
        )
    if shutil.which("mmdebstrap") is None:
        install_packages(["mmdebstrap"], reason="building images without a registry")
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(".partial.tar")
    try:
        argv = bootstrap_argv(packages, suite, find_sources(), partial)
        run_command(argv, deadline_s=BOOTSTRAP_DEADLINE_S, log=target.with_suffix(".log"))
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def bootstrap_argv(packages: Sequence[str], suite: str, sources: Sequence[Path], target: Path) -> tuple[str, ...]:
    """mmdebstrap's command line. Without sources it would go to deb.debian.org, past the mirror that the host uses."""
    options = [
        # Documentation and translations would be a third of it.
        *(f"path-exclude=/usr/share/{part}/*" for part in ("doc", "man", "locale", "info")),
        # A build that is cut short starts over: nothing is gained by waiting for the disk, a third of the time is lost.
        "force-unsafe-io",
    ]
    argv = ["mmdebstrap", "--variant=minbase", f"--include={','.join(packages)}", *(f"--dpkgopt={option}" for option in options)]
    return (*argv, suite, str(target), *map(str, sources))


def find_sources() -> tuple[Path, ...]:
    """Sources files of the host that lead to Debian's or Ubuntu's own archive, on whatever mirror (apt-get(8), indextargets)."""
    query = ["apt-get", "indextargets", "--format=$(SOURCESENTRY)\t$(ORIGIN)", "Created-By: Packages"]
    if not (found := parse_sources(run_command(query, deadline_s=60.0, environment=APT))):
        # No lists have been fetched yet, and only they tell an archive's origin.
        try:
            run_command(["apt-get", "update", "--quiet=2"], deadline_s=INSTALL_DEADLINE_S, environment=APT)
        except CommandError as error:
            raise EnvironmentUnmetError(f"the host's apt cannot fetch its lists: {error}", hint="sudo apt-get update") from error
        found = parse_sources(run_command(query, deadline_s=60.0, environment=APT))
    return found


def parse_sources(listing: str) -> tuple[Path, ...]:
    """Files named by lines of `file:number`, a tab, and the archive's origin; each once, in order."""
    lines = (line.partition("\t") for line in listing.splitlines())
    files = (Path(entry.rpartition(":")[0]) for entry, _, origin in lines if origin in ARCHIVES)
    return tuple(dict.fromkeys(files))
