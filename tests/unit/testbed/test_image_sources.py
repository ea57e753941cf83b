"""What names an image and what goes into its build context, with a small repository of the test's own."""

import io
import os
import tarfile
from pathlib import Path

import pytest

from orchestrator.testbed.image_sources import Source, image_tag, pack_context, plan_tags, read_lines, read_source


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    files = {
        "images/client/Dockerfile": "ARG BASE\nFROM ${BASE}\n",
        "images/client/requirements.txt": "locust==2.47.0\n",
        "images/client/context.txt": "# the load\nloadtests/**/*.py\n",
        "images/client/__pycache__/left.cpython-311.pyc": "",
        "loadtests/run.py": "run = 1\n",
        "loadtests/connections/new.py": "new = 1\n",
        "loadtests/scenarios/node-kill.yaml": "name: node-kill\n",
        "requirements.lock": "locust==2.47.0\n",
    }
    for name, content in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return tmp_path


def client_hash(repository: Path) -> str:
    return read_source(repository, "client").content_hash("parent")


def test_context_holds_the_role_s_folder_and_what_its_list_adds(repository: Path) -> None:
    assert sorted(read_source(repository, "client").files) == [
        "Dockerfile",
        "loadtests/connections/new.py",
        "loadtests/run.py",
        "requirements.txt",
    ]


def test_line_that_matches_nothing_is_an_error(repository: Path) -> None:
    (repository / "images/client/context.txt").write_text("loadtest/*.py\n")
    with pytest.raises(FileNotFoundError, match=r"loadtest/\*\.py matches no file"):
        read_source(repository, "client")


@pytest.mark.parametrize(
    "path", ["images/client/Dockerfile", "images/client/requirements.txt", "loadtests/connections/new.py", "requirements.lock"]
)
def test_hash_changes_with_every_file_that_goes_into_the_image(repository: Path, path: str) -> None:
    before = client_hash(repository)
    (repository / path).write_text("changed\n")
    assert client_hash(repository) != before


def test_hash_changes_when_a_file_becomes_executable_or_is_renamed(repository: Path) -> None:
    hashes = [client_hash(repository)]
    (repository / "loadtests/run.py").chmod(0o755)
    hashes.append(client_hash(repository))
    (repository / "loadtests/run.py").rename(repository / "loadtests/start.py")
    hashes.append(client_hash(repository))
    assert len(set(hashes)) == 3


@pytest.mark.parametrize("path", ["loadtests/scenarios/node-kill.yaml", "images/client/__pycache__/left.cpython-311.pyc"])
def test_hash_does_not_change_with_what_stays_outside(repository: Path, path: str) -> None:
    before = client_hash(repository)
    (repository / path).write_text("changed\n")
    assert client_hash(repository) == before


def test_hash_does_not_depend_on_place_time_or_umask(repository: Path) -> None:
    before = client_hash(repository)
    os.utime(repository / "loadtests/run.py", (0, 0))
    (repository / "loadtests/run.py").chmod(0o600)
    moved = repository.rename(repository.with_name("wheels"))  # even a name that is left out below the repository
    assert client_hash(moved) == before


def test_lock_matters_only_where_python_packages_are_installed(repository: Path) -> None:
    (repository / "images/client/requirements.txt").unlink()
    before = client_hash(repository)
    (repository / "requirements.lock").write_text("locust==2.48.0\n")
    assert client_hash(repository) == before


def test_role_images_follow_the_base_and_the_base_its_root(repository: Path) -> None:
    client = read_source(repository, "client")
    (repository / "images" / "base").mkdir()
    (repository / "images" / "base" / "Dockerfile").write_text("FROM scratch\n")
    base = read_source(repository, "base")
    base_tag, tags = plan_tags(base, "root-1", {"client": client})
    assert base_tag == image_tag("base", base.content_hash("root-1"))
    assert plan_tags(base, "root-1", {"client": client}) == (base_tag, tags)
    other_base, other_tags = plan_tags(base, "root-2", {"client": client})
    assert other_base != base_tag
    assert other_tags["client"] != tags["client"]


def test_packed_contexts_of_equal_content_are_equal_and_complete(repository: Path) -> None:
    wheel = repository / "w-1-py3-none-any.whl"
    wheel.write_bytes(b"wheel")
    (repository / "loadtests/run.py").chmod(0o755)
    source = read_source(repository, "client")
    packed = pack_context(source, [wheel], {"extra.txt": b"extra"})
    os.utime(repository / "loadtests/run.py", (0, 0))
    assert pack_context(source, [wheel], {"extra.txt": b"extra"}) == packed
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        modes = {member.name: member.mode for member in archive}
        content = archive.extractfile("wheels/w-1-py3-none-any.whl")
        assert content is not None
        assert content.read() == b"wheel"
    assert modes["loadtests/run.py"] == 0o755
    assert modes["Dockerfile"] == 0o644
    assert {"wheels/w-1-py3-none-any.whl", "extra.txt", "requirements.txt"} <= modes.keys()


def test_lists_have_comments_and_blank_lines(tmp_path: Path) -> None:
    (tmp_path / "list").write_text("# head\n\nnftables  # rules\n haproxy\n")
    assert read_lines(tmp_path / "list") == ("nftables", "haproxy")


def test_source_without_files_has_a_hash_of_its_parents() -> None:
    empty = Source(name="empty", files={})
    assert empty.content_hash("a") != empty.content_hash("b")
