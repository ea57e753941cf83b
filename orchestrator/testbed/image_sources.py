"""What goes into an image, as data: build contexts and the hashes that name images. Reads the repository, nothing else."""

import hashlib
import io
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from orchestrator.model.plan import Role

REPOSITORY = "ingress-testbed"
BASE = "base"
ROLES: tuple[str, ...] = tuple(str(role) for role in Role)
HASH_LENGTH = 16
_SKIPPED = {"__pycache__", "wheels", ".mypy_cache", ".ruff_cache"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The files of one image: path in the build context -> file in the repository."""

    name: str
    files: Mapping[str, Path]

    @property
    def requirements(self) -> Path | None:
        return self.files.get("requirements.txt")

    def content_hash(self, *parents: str) -> str:
        """Names the image: changes with any file's path, content or mode, and with what it is built on."""
        digest = hashlib.sha256("\0".join(parents).encode())
        for path, file in sorted(self.files.items()):
            content = file.read_bytes()
            digest.update(f"{path}\0{file.stat().st_mode & 0o111}\0{len(content)}\0".encode())
            digest.update(content)
        return digest.hexdigest()[:HASH_LENGTH]


def read_source(repository: Path, name: str) -> Source:
    """`images/<name>/` and the further paths that its context.txt lists."""
    folder = repository / "images" / name
    files = dict(_walk(folder, folder))
    if (listing := files.pop("context.txt", None)) is not None:
        for line in filter(None, map(str.strip, listing.read_text(encoding="utf-8").splitlines())):
            files.update(_walk(repository / line, repository))
    return Source(name=name, files=files)


def _walk(folder: Path, root: Path) -> Iterator[tuple[str, Path]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not _SKIPPED & set(path.relative_to(root).parts) and path.suffix != ".pyc":
            yield str(path.relative_to(root)), path


def image_tag(name: str, content_hash: str) -> str:
    return f"{REPOSITORY}/{name}:{content_hash}"


def pack_context(source: Source, wheels: Path | None, extra: Mapping[str, bytes] | None = None) -> bytes:
    """The build context as a tar; times and owners are fixed, so that equal content makes equal layers."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:
        for path, file in sorted(source.files.items()):
            _add(archive, path, file.read_bytes(), mode=0o755 if file.stat().st_mode & 0o111 else 0o644)
        for wheel in sorted(wheels.glob("*.whl")) if wheels is not None else ():
            _add(archive, f"wheels/{wheel.name}", wheel.read_bytes(), mode=0o644)
        for path, content in sorted((extra or {}).items()):
            _add(archive, path, content, mode=0o644)
    return target.getvalue()


def _add(archive: tarfile.TarFile, path: str, content: bytes, *, mode: int) -> None:
    entry = tarfile.TarInfo(path)
    entry.size, entry.mode = len(content), mode
    archive.addfile(entry, io.BytesIO(content))
