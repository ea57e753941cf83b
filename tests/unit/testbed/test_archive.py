"""Files to and from containers."""

import io
import tarfile
from pathlib import Path

import pytest

from orchestrator.testbed.archive import files_in, pack, unpack


def members(archive: bytes) -> dict[str, tuple[bytes, int]]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        return {item.name: (item.type, item.mode) for item in opened}


def test_files_are_private_and_only_our_own_directories_come_along() -> None:
    found = members(pack({"/etc/testbed/pki/server.key": b"k", "/opt/x": b"y"}))
    assert found["etc/testbed/pki/server.key"] == (tarfile.REGTYPE, 0o600)
    assert found["etc/testbed/pki"] == (tarfile.DIRTYPE, 0o755)
    assert "etc" not in found
    assert "opt" not in found


def test_what_is_packed_is_found_again() -> None:
    files = {"/etc/testbed/config.json": b"{}", "/run/load/start": b"1\n", "/etc/testbed/empty": b""}
    assert files_in(pack(files)) == files


def archive_of(**files: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name.replace("__", "/"))
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def test_a_directory_is_unpacked_under_the_name_that_was_asked_for(tmp_path: Path) -> None:
    unpack(archive_of(load__samples=b"s", load__sub__x=b"y"), tmp_path / "samples")
    assert (tmp_path / "samples" / "samples").read_bytes() == b"s"
    assert (tmp_path / "samples" / "sub" / "x").read_bytes() == b"y"


def test_a_single_file_is_unpacked_under_the_name_that_was_asked_for(tmp_path: Path) -> None:
    unpack(archive_of(totals=b"t"), tmp_path / "deep" / "totals.json")
    assert (tmp_path / "deep" / "totals.json").read_bytes() == b"t"


def test_a_name_that_leads_out_is_refused(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        entry = tarfile.TarInfo("load/../../escaped")
        archive.addfile(entry, io.BytesIO(b""))
    with pytest.raises(tarfile.FilterError):
        unpack(buffer.getvalue(), tmp_path / "inner" / "samples")
    assert not (tmp_path / "escaped").exists()


def test_links_are_left_out(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        entry = tarfile.TarInfo("load/link")
        entry.type, entry.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(entry)
    unpack(buffer.getvalue(), tmp_path / "samples")
    assert not (tmp_path / "samples" / "link").exists()
