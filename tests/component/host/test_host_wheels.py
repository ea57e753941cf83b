"""Which wheels an image gets, without downloading any."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from orchestrator.errors import CommandError
from orchestrator.host.wheels import download_argv, download_wheels, wheel_version


def test_wheels_are_for_the_image_s_python_and_machine_not_for_ours() -> None:
    argv = download_argv(Path("r.txt"), lock=Path("l.lock"), python="3.12", architecture="aarch64", target=Path("/w"))
    assert "--only-binary=:all:" in argv
    assert "--python-version=3.12" in argv
    assert "--platform=manylinux_2_28_aarch64" in argv
    assert not [part for part in argv if "x86_64" in part]
    assert argv[-3:] == ("--requirement=r.txt", "--constraint=l.lock", "--dest=/w")


def test_requirements_without_a_lock_are_not_constrained() -> None:
    argv = download_argv(Path("r.txt"), lock=None, python="3.11", architecture="x86_64", target=Path("/w"))
    assert not [part for part in argv if part.startswith("--constraint")]


@pytest.mark.parametrize(
    ("wheel", "expected"),
    [
        ("aiohttp-3.14.5-cp311-cp311-manylinux2014_x86_64.manylinux_2_17_x86_64.whl", ("aiohttp", "3.14.5")),
        ("typing_extensions-4.16.0-py3-none-any.whl", ("typing-extensions", "4.16.0")),
        ("Flask_Login-0.6.3-1-py3-none-any.whl", ("flask-login", "0.6.3")),
    ],
)
def test_wheel_file_names_tell_the_version(wheel: str, expected: tuple[str, str]) -> None:
    assert wheel_version(Path("wheels") / wheel) == expected


class Pip:
    """Writes the wheels that it is told to, where pip would; `fails`: after the first."""

    def __init__(self, *wheels: str, fails: bool = False) -> None:
        self.wheels = wheels
        self.fails = fails
        self.calls = 0

    def __call__(self, argv: Sequence[str], *, deadline_s: float) -> str:
        self.calls += 1
        target = Path(argv[-1].removeprefix("--dest="))
        for wheel in self.wheels:
            (target / wheel).touch()
            if self.fails:
                raise CommandError(argv, 1, "no route to host")
        return ""


@pytest.fixture
def requirements(tmp_path: Path) -> Path:
    file = tmp_path / "requirements.txt"
    file.write_text("idna==3.10\n")
    return file


def download(requirements: Path, pip: Pip, *, python: str = "3.11", lock: Path | None = None) -> list[str]:
    cache = requirements.parent / "cache"
    found = download_wheels(requirements, lock=lock, python=python, architecture="x86_64", cache=cache, run=pip)
    return [wheel.name for wheel in found]


def test_wheels_are_downloaded_once(requirements: Path) -> None:
    pip = Pip("idna-3.10-py3-none-any.whl")
    assert download(requirements, pip) == download(requirements, pip) == ["idna-3.10-py3-none-any.whl"]
    assert pip.calls == 1


def test_wheels_are_downloaded_again_for_other_requirements_locks_and_pythons(requirements: Path, tmp_path: Path) -> None:
    pip = Pip("idna-3.10-py3-none-any.whl")
    download(requirements, pip)
    download(requirements, pip, python="3.12")
    lock = tmp_path / "requirements.lock"
    lock.write_text("idna==3.10\n")
    download(requirements, pip, lock=lock)
    requirements.write_text("idna==3.11\n")
    download(requirements, pip)
    assert pip.calls == 4


def test_download_that_fails_leaves_nothing_that_a_later_one_would_take_for_finished(requirements: Path, tmp_path: Path) -> None:
    with pytest.raises(CommandError):
        download(requirements, Pip("half-1-py3-none-any.whl", fails=True))
    assert list((tmp_path / "cache").iterdir()) == []
    assert download(requirements, Pip("idna-3.10-py3-none-any.whl")) == ["idna-3.10-py3-none-any.whl"]
