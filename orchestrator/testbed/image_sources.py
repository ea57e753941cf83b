"""What goes into an image, as data: build contexts and the hashes that name images. Reads the repository, nothing else."""

import hashlib
import io
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.model.plan import Role

REPOSITORY = "ingress-testbed"
BASE = "base"
ROOT = "root"
ROLES: tuple[str, ...] = tuple(str(role) for role in Role)
LOCK = "requirements.lock"
REQUIREMENTS = "requirements.txt"
CONTEXT_LIST = "context.txt"
HASH_LENGTH = 16
_SKIPPED = {"__pycache__", "wheels", ".mypy_cache", ".ruff_cache"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The files of one image: path in the build context -> file in the repository.

    `lock`: the versions that its requirements.txt is resolved with, so that an image has what the tests ran with.
    """

    name: str
    files: Mapping[str, Path]
    lock: Path | None = None

    @property
    def requirements(self) -> Path | None:
        return self.files.get(REQUIREMENTS)

    def content_hash(self, *parents: str) -> str:
        """Names the image: changes with any file's path, content or mode, with the lock, and with what it is built on."""
        digest = hashlib.sha256("\0".join(parents).encode())
        files = {**self.files, **({LOCK: self.lock} if self.lock is not None else {})}
        for path, file in sorted(files.items()):
            content = file.read_bytes()
            digest.update(f"{path}\0{_mode(file):o}\0{len(content)}\0".encode())
            digest.update(content)
        return digest.hexdigest()[:HASH_LENGTH]


def read_source(repository: Path, name: str) -> Source:
    """`images/<name>/` and what its context.txt adds. Raises FileNotFoundError for a line that matches nothing."""
    folder = repository / "images" / name
    files = _match(folder, "**/*")
    if (listing := files.pop(CONTEXT_LIST, None)) is not None:
        for pattern in read_lines(listing):
            if not (found := _match(repository, pattern)):
                raise FileNotFoundError(f"{listing}: {pattern} matches no file of the repository")
            files.update(found)
    lock = repository / LOCK
    return Source(name=name, files=files, lock=lock if REQUIREMENTS in files and lock.is_file() else None)


def read_lines(file: Path) -> tuple[str, ...]:
    """The entries of a list with `#` comments."""
    lines = (line.partition("#")[0].strip() for line in file.read_text(encoding="utf-8").splitlines())
    return tuple(line for line in lines if line)


def image_tag(name: str, content_hash: str) -> str:
    return f"{REPOSITORY}/{name}:{content_hash}"


def plan_tags(base: Source, root_hash: str, sources: Mapping[str, Source]) -> tuple[str, Mapping[str, str]]:
    """The tag of the base image, and of each role's, which depends on it."""
    base_tag = image_tag(BASE, base.content_hash(root_hash))
    return base_tag, {role: image_tag(role, source.content_hash(base_tag)) for role, source in sources.items()}


def pack_context(source: Source, wheels: Sequence[Path] = (), extra: Mapping[str, bytes] | None = None) -> bytes:
    """The build context as a tar; times and owners are fixed, so that equal content makes equal layers."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:
        for path, file in sorted(source.files.items()):
            _add(archive, path, file.read_bytes(), mode=_mode(file))
        for wheel in sorted(wheels):
            _add(archive, f"wheels/{wheel.name}", wheel.read_bytes(), mode=0o644)
        for path, content in sorted((extra or {}).items()):
            _add(archive, path, content, mode=0o644)
    return target.getvalue()


def _match(folder: Path, pattern: str) -> dict[str, Path]:
    """Files by their path below `folder`, without what tools leave between sources."""
    found = {path.relative_to(folder): path for path in sorted(folder.glob(pattern)) if path.is_file() and path.suffix != ".pyc"}
    return {str(relative): path for relative, path in found.items() if not _SKIPPED & set(relative.parts)}


def _mode(file: Path) -> int:
    # Only executable or not, as git has it: what else the user's umask makes of a checkout must not change an image.
    return 0o755 if file.stat().st_mode & 0o100 else 0o644


def _add(archive: tarfile.TarFile, path: str, content: bytes, *, mode: int) -> None:
    entry = tarfile.TarInfo(path)
    entry.size, entry.mode = len(content), mode
    archive.addfile(entry, io.BytesIO(content))
