"""Fixtures of whole runs: the command, the engine, and what is left of a run."""

from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from docker.models.containers import Container
from testbed_command import RUN_LABEL, Left, Testbed

from orchestrator.testbed.labels import labels_for_test
from role_container import find_image
from tests.integration.leftovers import swept
from tests.kept_output import execute

__all__ = ["swept"]


@pytest.fixture
def testbed(tmp_path: Path) -> Iterator[Testbed]:
    runner = Testbed(tmp_path / "results")
    yield runner
    runner.stop_all()


@pytest.fixture(scope="session")
def engine() -> Iterator[docker.DockerClient]:
    client = docker.from_env()
    yield client
    client.close()


@pytest.fixture(scope="session")
def engine_host(engine: docker.DockerClient) -> Iterator[Container]:
    """A container in the network of the engine's host, which itself need not have nft; started once, asked often."""
    host = engine.containers.run(
        find_image(engine, "warden"),
        ["3600"],
        entrypoint="sleep",
        network_mode="host",
        cap_add=["NET_ADMIN"],
        detach=True,
        remove=True,
        labels=dict(labels_for_test()),
    )
    yield host
    host.kill()


@pytest.fixture(scope="session")
def left_of(engine: docker.DockerClient, engine_host: Container) -> Left:
    """What the engine and its host still hold of a run: containers, networks, volumes, guard tables."""

    def look(run_id: str) -> list[str]:
        chosen = {"label": f"{RUN_LABEL}={run_id}"}
        things = [f"container {item.name}" for item in engine.containers.list(all=True, filters=chosen, ignore_removed=True)]
        things += [f"network {item.name}" for item in engine.networks.list(filters=chosen)]
        things += [f"volume {item.name}" for item in engine.volumes.list(filters=chosen)]
        status, listing, errors = execute(engine_host, ["nft", "list", "tables"])
        assert status == 0, errors
        return things + [f"table {line}" for line in listing.splitlines() if run_id in line]

    return look
