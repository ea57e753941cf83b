"""The files that HAProxy reads besides its configuration: maps, lists of certificates, and the certificates themselves."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from pathlib import Path


def write_files(files: Mapping[Path, str]) -> None:
    """Write those that are not there, or say something else; each is replaced whole. They hold keys, so only root reads them."""
    for path, content in files.items():
        if _read(path) == content:
            continue
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        candidate = path.with_name(f"{path.name}.new")
        descriptor = os.open(candidate, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as stream:
            stream.write(content)
        candidate.replace(path)


def changed_files(files: Mapping[Path, str]) -> Mapping[Path, str]:
    """Those that are there and say something else."""
    return {path: content for path, content in files.items() if _read(path) not in (None, content)}


def keep_only(directory: Path, wanted: Collection[Path]) -> None:
    """Remove every other file: a certificate must not outlive its Secret."""
    if directory.is_dir():
        for path in sorted(directory.iterdir()):
            if path not in wanted:
                path.unlink()


def _read(path: Path) -> str | None:
    try:
        return path.read_text()
    except FileNotFoundError:
        return None
