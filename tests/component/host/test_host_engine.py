"""Which engine is taken, and what a user is told where none answers and starting one is not ours to do."""

from dataclasses import replace

import pytest

from orchestrator.errors import EnvironmentUnmetError, ExitCode
from orchestrator.host.dockerd import EnginePaths
from orchestrator.host.endpoint import EngineEndpoint
from orchestrator.host.engine import Machine, ensure_engine

USER = Machine(platform="linux", is_root=False, is_debian=True, has_dockerd=True, has_systemd=True)
DEFAULT = EngineEndpoint(url="unix:///var/run/docker.sock", origin="default socket")
ROOTLESS = EngineEndpoint(url="unix:///run/user/1000/docker.sock", origin="rootless socket")
REMOTE = EngineEndpoint(url="tcp://198.51.100.7:2376", origin="DOCKER_HOST", chosen=True)
CONTEXT = EngineEndpoint(url="ssh://lab", origin="docker context lab", chosen=True)


def mute(endpoint: EngineEndpoint) -> str | None:
    return "Connection refused"


def test_first_endpoint_that_answers_is_taken() -> None:
    asked = []

    def silence(endpoint: EngineEndpoint) -> str | None:
        asked.append(endpoint)
        return "No such file or directory" if endpoint is DEFAULT else None

    assert ensure_engine([DEFAULT, ROOTLESS], silence, machine=USER) is ROOTLESS
    assert asked == [DEFAULT, ROOTLESS]


@pytest.mark.parametrize(
    ("endpoint", "reason", "machine", "hint"),
    [
        (DEFAULT, "Connection refused", USER, "sudo systemctl start docker"),
        (DEFAULT, "Connection refused", replace(USER, has_systemd=False), "sudo dockerd"),
        (DEFAULT, "Permission denied", USER, "sudo usermod -aG docker $USER"),
        (
            DEFAULT,
            "No such file or directory",
            replace(USER, has_dockerd=False),
            "sudo apt-get update && sudo apt-get install --no-install-recommends docker.io iptables",
        ),
        (DEFAULT, "No such file", replace(USER, has_dockerd=False, is_debian=False), "https://docs.docker.com/engine/install/"),
        (
            DEFAULT,
            "No such file",
            replace(USER, has_dockerd=False, is_debian=False, is_root=True),
            "docs.docker.com/engine/install",
        ),
        (DEFAULT, "No such file or directory", replace(USER, platform="darwin"), "start Docker Desktop"),
        (REMOTE, "timed out", replace(USER, is_root=True), "unset DOCKER_HOST"),
        (CONTEXT, "timed out", replace(USER, is_root=True), "docker context use default"),
    ],
)
def test_hint_has_the_command_for_the_case(endpoint: EngineEndpoint, reason: str, machine: Machine, hint: str) -> None:
    with pytest.raises(EnvironmentUnmetError) as caught:
        ensure_engine([endpoint], lambda _: reason, machine=machine)
    assert hint in str(caught.value.hint)
    assert f"{endpoint.url} ({endpoint.origin}): {reason}" in str(caught.value)
    assert caught.value.exit_code == ExitCode.ENVIRONMENT_UNMET


def test_engine_that_the_user_chose_elsewhere_is_never_replaced_by_one_of_this_machine() -> None:
    told: list[str] = []
    with pytest.raises(EnvironmentUnmetError):
        ensure_engine([REMOTE], mute, machine=replace(USER, is_root=True), tell=told.append)
    assert told == []


def test_every_endpoint_that_was_tried_is_named_with_its_reason() -> None:
    with pytest.raises(
        EnvironmentUnmetError, match=r"default socket\): Connection refused; .*rootless socket\): Connection refused"
    ):
        ensure_engine([DEFAULT, ROOTLESS], mute, machine=USER)


def test_other_sockets_than_its_own_are_not_started_by_paths() -> None:
    paths = EnginePaths(socket=EnginePaths().socket.with_name("other.sock"))
    with pytest.raises(EnvironmentUnmetError):
        ensure_engine([DEFAULT], mute, paths=paths, machine=replace(USER, is_root=True))
