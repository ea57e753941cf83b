"""Python wheels for the images, downloaded on the host because an image's build has no network."""

import hashlib
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from orchestrator.host.command import run_command

DOWNLOAD_DEADLINE_S = 600.0
# manylinux tags that Debian 12's glibc 2.36 satisfies (PEP 600); pip takes the newest that a package offers.
_GLIBC_TAGS = ("2_36", "2_35", "2_34", "2_32", "2_31", "2_28", "2_27", "2_26", "2_24", "2_17", "2_12", "2_5")


class Run(Protocol):
    """Runs a command, as run_command does."""

    def __call__(self, argv: Sequence[str], *, deadline_s: float) -> str: ...


def platform_tags(architecture: str) -> tuple[str, ...]:
    """Platform tags for the engine's machine (`x86_64`, `aarch64`)."""
    return (*(f"manylinux_{tag}_{architecture}" for tag in _GLIBC_TAGS), f"manylinux2014_{architecture}")


def download_argv(requirements: Path, *, lock: Path | None, python: str, architecture: str, target: Path) -> tuple[str, ...]:
    """pip's command line: wheels only, for a machine and a Python that need not be ours (pip-download(1))."""
    argv = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--only-binary=:all:"]
    argv += [f"--python-version={python}", "--implementation=cp", *(f"--platform={tag}" for tag in platform_tags(architecture))]
    argv += [f"--requirement={requirements}", *([f"--constraint={lock}"] if lock is not None else []), f"--dest={target}"]
    return tuple(argv)


def download_wheels(
    requirements: Path, *, lock: Path | None, python: str, architecture: str, cache: Path, run: Run = run_command
) -> tuple[Path, ...]:
    """The wheels of all requirements and of what they need, in the locked versions, for CPython `python` (for example `3.11`).

    They are kept in a directory named by the hash of what decides them; a finished one is not made again.
    Raises CommandError, DeadlineError.
    """
    parts = (python, architecture, requirements.read_text(encoding="utf-8"), lock.read_text(encoding="utf-8") if lock else "")
    target = cache / hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
    if not target.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        # A directory of its own: another build may be downloading the same. Renaming makes the finished one appear at once.
        partial = Path(tempfile.mkdtemp(prefix=f"{target.name}.", dir=cache))
        try:
            argv = download_argv(requirements, lock=lock, python=python, architecture=architecture, target=partial)
            run(argv, deadline_s=DOWNLOAD_DEADLINE_S)
            if not target.is_dir():
                partial.replace(target)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return tuple(sorted(target.glob("*.whl")))


def wheel_version(wheel: Path) -> tuple[str, str]:
    """Name and version that a wheel's file name tells (PEP 427)."""
    name, version, *_ = wheel.name.split("-")
    return name.replace("_", "-").lower(), version
