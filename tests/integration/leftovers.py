"""What a killed test session has left on the engine is removed before the next one begins, as `testbed clean` does it."""

from contextlib import closing

import pytest

from orchestrator.errors import EnvironmentUnmetError
from orchestrator.testbed.cleaning import sweep_tests
from orchestrator.testbed.connection import answering_client
from orchestrator.testbed.docker_engine import DockerEngine


@pytest.fixture(scope="session", autouse=True)
def swept() -> None:
    """Without an engine there is nothing; what needs one says so itself."""
    try:
        client = answering_client()
    except EnvironmentUnmetError:
        return
    with closing(DockerEngine(client)) as engine:
        sweep_tests(engine)
