"""Files to and from containers as tar archives. Pure but for `unpack`, which writes where it is told."""

import io
import tarfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

OWN_DIRECTORIES = ("/etc/testbed", "/run/testbed", "/var/log/testbed", "/run/load")
"""Parents that an archive may bring with it; every other parent is the image's, and its mode is left alone."""


def pack(files: Mapping[str, bytes], *, programs: Mapping[str, bytes] | None = None) -> bytes:
    """Absolute paths and their content, mode 0600 (programs 0755) and root's, as an archive for the container's root."""
    executable = dict(programs or {})
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for directory in _parents(files):
            entry = tarfile.TarInfo(directory.lstrip("/"))
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            archive.addfile(entry)
        for path, content in {**files, **executable}.items():
            entry = tarfile.TarInfo(path.lstrip("/"))
            entry.size, entry.mode = len(content), 0o755 if path in executable else 0o600
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def _parents(files: Mapping[str, bytes]) -> list[str]:
    parents = {str(parent) for path in files for parent in PurePosixPath(path).parents}
    return sorted(parent for parent in parents if any(PurePosixPath(parent).is_relative_to(own) for own in OWN_DIRECTORIES))


def unpack(archive: bytes, into: Path) -> None:
    """Write the archived file, or the content of the archived directory, to `into`.

    Links and special files are left out, and names that point elsewhere are refused (tarfile's data filter).
    """
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        members = [member for member in opened.getmembers() if member.isfile() or member.isdir()]
        for member in members:
            # The first part of every name is that of the file or directory that was asked for.
            below = PurePosixPath(member.name).parts[1:]
            member.name = str(PurePosixPath(into.name, *below))
        into.parent.mkdir(parents=True, exist_ok=True)
        opened.extractall(into.parent, members=members, filter="data")


def files_in(archive: bytes) -> dict[str, bytes]:
    """Absolute path -> content of every file of an archive for the container's root."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        return {f"/{item.name.lstrip('/')}": reader.read() for item in opened if (reader := opened.extractfile(item)) is not None}
