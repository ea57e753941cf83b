"""Fixtures of whole runs: the command, the engine, and what is left of a run."""

from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from testbed_command import RUN_LABEL, Left, Testbed

from role_container import find_image


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


@pytest.fixture
def left_of(engine: docker.DockerClient) -> Left:
    """What the engine and its host, which itself need not have nft, still hold of a run: containers, networks, volumes, guard
    tables."""
    warden = find_image(engine, "warden")

    def look(run_id: str) -> list[str]:
        chosen = {"label": f"{RUN_LABEL}={run_id}"}
        things = [f"container {item.name}" for item in engine.containers.list(all=True, filters=chosen, ignore_removed=True)]
        things += [f"network {item.name}" for item in engine.networks.list(filters=chosen)]
        things += [f"volume {item.name}" for item in engine.volumes.list(filters=chosen)]
        listing = engine.containers.run(
            warden, ["list", "tables"], entrypoint="nft", network_mode="host", cap_add=["NET_ADMIN"], remove=True
        )
        return things + [f"table {line}" for line in listing.decode().splitlines() if run_id in line]

    return look
