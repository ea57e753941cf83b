"""What a killed test process has left on the engine goes; what belongs to one that lives stays."""

import subprocess
import sys
import uuid
from collections.abc import Iterator

import docker
import pytest

from orchestrator.testbed.cleaning import sweep_tests
from orchestrator.testbed.connection import answering_client
from orchestrator.testbed.docker_engine import DockerEngine
from orchestrator.testbed.labels import labels_for_test
from role_container import find_image

pytestmark = pytest.mark.integration

MAKE = """
import sys, docker
from orchestrator.testbed.labels import labels_for_test
image, name = sys.argv[1:]
client, labels = docker.from_env(), dict(labels_for_test())
client.networks.create(name, internal=True, labels=labels)
client.containers.run(image, ["600"], entrypoint="sleep", name=name, network="none", labels=labels, detach=True)
print("made", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def client() -> Iterator[docker.DockerClient]:
    client = docker.from_env()
    yield client
    client.close()


def test_what_a_killed_test_process_has_left_is_swept_and_ours_is_not(client: docker.DockerClient) -> None:
    image, name = find_image(client, "base"), f"itb-test-{uuid.uuid4().hex[:12]}"
    own = client.networks.create(f"{name}-own", internal=True, labels=dict(labels_for_test()))
    engine = DockerEngine(answering_client())
    try:
        argv = [sys.executable, "-c", MAKE, image, name]
        with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "made\n"
            assert name not in sweep_tests(engine)
            process.kill()
        swept = sweep_tests(engine)
        assert swept.count(name) == 2
        assert own.name not in swept
        assert client.containers.list(all=True, filters={"name": name}) == []
        assert [network.name for network in client.networks.list(filters={"name": name})] == [own.name]
    finally:
        own.remove()
        engine.close()
