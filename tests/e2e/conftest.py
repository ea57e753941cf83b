"""Fixtures of whole runs: the command, the engine, and what is left of a run."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from testbed_command import RUN_LABEL, Left, Testbed


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
    """What the engine and the host still hold of a run: containers, networks, volumes, guard tables."""

    def look(run_id: str) -> list[str]:
        chosen = {"label": f"{RUN_LABEL}={run_id}"}
        things = [f"container {item.name}" for item in engine.containers.list(all=True, filters=chosen, ignore_removed=True)]
        things += [f"network {item.name}" for item in engine.networks.list(filters=chosen)]
        things += [f"volume {item.name}" for item in engine.volumes.list(filters=chosen)]
        tables = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=False).stdout
        return things + [f"table {line}" for line in tables.splitlines() if run_id in line]

    return look
