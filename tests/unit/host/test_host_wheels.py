"""Which wheels an image gets, without downloading any."""

from pathlib import Path

import pytest

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


def test_no_requirements_need_no_network_and_what_was_downloaded_is_kept(tmp_path: Path) -> None:
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("# nothing\n")
    assert download_wheels(requirements, lock=None, python="3.11", architecture="x86_64", cache=tmp_path / "cache") == ()
    (kept,) = (tmp_path / "cache").iterdir()
    (kept / "marker-1-py3-none-any.whl").touch()
    again = download_wheels(requirements, lock=None, python="3.11", architecture="x86_64", cache=tmp_path / "cache")
    assert [wheel.name for wheel in again] == ["marker-1-py3-none-any.whl"]
