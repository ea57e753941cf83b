"""Giving up a command in a container: it may end at the same moment, and its reader in another thread closes the connection."""

import socket
from types import SimpleNamespace

import pytest

from orchestrator.testbed.docker_streams import DockerExecution


def response(sock: socket.socket | None) -> SimpleNamespace:
    """As docker-py takes the socket from it; None: the response has let go of it."""
    held = None if sock is None else SimpleNamespace(raw=SimpleNamespace(_sock=sock))
    return SimpleNamespace(raw=SimpleNamespace(closed=False, _fp=SimpleNamespace(fp=held)))


def execution(sock: socket.socket | None) -> DockerExecution:
    return DockerExecution(None, "node-1", "e1", response(sock))


def test_giving_up_ends_the_connection() -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        execution(ours).close()
        assert theirs.recv(1) == b""
    assert ours.fileno() == -1


@pytest.mark.parametrize("is_closed", [True, False], ids=["closed", "let go of"])
def test_giving_up_what_its_reader_has_just_closed_is_no_failure(is_closed: bool) -> None:
    ours, theirs = socket.socketpair()
    theirs.close()
    ours.close()
    execution(ours if is_closed else None).close()
