"""Python wheels for the images, downloaded on the host because an image's build has no network."""

import hashlib
import shutil
import sys
from pathlib import Path

from orchestrator.host.command import run_command

DOWNLOAD_DEADLINE_S = 600.0
# manylinux tags that Debian 12's glibc 2.36 satisfies (PEP 600), newest first.
_GLIBC_TAGS = ("2_36", "2_34", "2_31", "2_28", "2_27", "2_26", "2_24", "2_17", "2_12", "2_5")


def platform_tags(architecture: str) -> tuple[str, ...]:
    """Platform tags for the engine's machine (`x86_64`, `aarch64`)."""
    return (*(f"manylinux_{tag}_{architecture}" for tag in _GLIBC_TAGS), f"manylinux2014_{architecture}")


def download_wheels(requirements: Path, *, python: str, architecture: str, cache: Path) -> Path:
    """A directory with the wheels of all requirements and what they need, for CPython `python` (for example `3.11`).

    The directory is named by the hash of what decides its content; a finished one is not made again.
    Raises CommandError, DeadlineError.
    """
    identity = f"{python} {architecture}\n{requirements.read_text(encoding='utf-8')}"
    target = cache / hashlib.sha256(identity.encode()).hexdigest()[:16]
    if target.is_dir():
        return target
    partial = target.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    argv = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    argv += ["--only-binary=:all:", "--python-version", python, "--implementation", "cp", "--dest", str(partial)]
    for tag in platform_tags(architecture):
        argv += ["--platform", tag]
    run_command([*argv, "-r", str(requirements)], deadline_s=DOWNLOAD_DEADLINE_S)
    partial.replace(target)
    return target
