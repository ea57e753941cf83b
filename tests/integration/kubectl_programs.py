"""The kubectl programs that tests speak through: the distribution's own, which is old, and the newest, which comes with them."""

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.host.debian import read_os_release

NEWEST = Path(sys.executable).with_name("kubectl")
PACKAGE = "kubernetes-client"
CACHE = Path(__file__).resolve().parents[2] / "build" / "kubectl"
DEADLINE_S = 300


def find_kubectl(which: str) -> Path:
    """`newest`: of the virtual environment. `distribution`: unpacked from Debian's package, nothing is installed; where the
    distribution has none, the test is skipped and says so."""
    if which == "newest":
        return NEWEST
    program = CACHE / "usr" / "bin" / "kubectl"
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # workers of one test run
        if not program.exists():
            _unpack(CACHE)
    return program


def _unpack(directory: Path) -> None:
    if shutil.which("apt-get") is None:
        pytest.skip(f"no {PACKAGE}: this is not Debian")
    if not _download(directory) and not (os.geteuid() == 0 and _apt_get(directory, "update") and _download(directory)):
        pytest.skip(f"{read_os_release().get('PRETTY_NAME', 'this distribution')} has no package {PACKAGE}")
    (package,) = directory.glob(f"{PACKAGE}_*.deb")
    subprocess.run(["dpkg-deb", "--extract", package, directory], check=True, timeout=DEADLINE_S)
    package.unlink()


def _download(directory: Path) -> bool:
    return _apt_get(directory, "download", PACKAGE)


def _apt_get(directory: Path, *arguments: str) -> bool:
    argv = ["apt-get", "--quiet=2", *arguments]
    return subprocess.run(argv, cwd=directory, check=False, capture_output=True, timeout=DEADLINE_S).returncode == 0
