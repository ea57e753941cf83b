"""Docker keeps the contract that the testbed relies on."""

import io
import tarfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from ipaddress import IPv4Network

import docker
import pytest

from orchestrator.testbed.connection import answering_client
from orchestrator.testbed.docker_engine import DockerEngine
from tests.integration.testbed_lab import free_subnet, newest_image
from tests.unit.testbed.engine_contract import EngineContract, Subject

pytestmark = pytest.mark.integration

DOCKERFILE = """\
FROM {base}
RUN printf '#!/bin/sh\\nexit 3\\n' > /usr/local/bin/fail && chmod 0755 /usr/local/bin/fail
ENTRYPOINT ["sh", "-c", "echo ready; echo warning >&2; exec sleep 600"]
"""


@pytest.fixture(scope="module")
def image() -> Iterator[str]:
    """A small image on our base: the contract's program and commands."""
    client = docker.from_env()
    text = DOCKERFILE.format(base=newest_image("base")).encode()
    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w") as archive:
        entry = tarfile.TarInfo("Dockerfile")
        entry.size = len(text)
        archive.addfile(entry, io.BytesIO(text))
    context.seek(0)
    built, _ = client.images.build(fileobj=context, custom_context=True, rm=True, network_mode="none")
    assert built.id is not None
    yield built.id
    client.images.remove(built.id, force=True)
    client.close()


class TestDockerEngine(EngineContract):
    @pytest.fixture
    def subject(self, image: str) -> Iterator[Subject]:
        engine = DockerEngine(answering_client())
        yield Subject(engine, image, free_subnet(IPv4Network("198.18.192.0/19")))
        engine.close()

    def test_a_container_stands_in_the_named_group_where_the_engine_makes_groups_itself(
        self, subject: Subject, mark: str
    ) -> None:
        container = subject.engine.create_container(self.container(subject, mark, cpu_shares=8192, cgroup_parent="/"))
        subject.engine.start(container)
        client = docker.from_env()
        driver = client.info()["CgroupDriver"]
        settings = client.containers.get(container).attrs["HostConfig"]
        client.close()
        assert settings["CgroupParent"] == ("/" if driver == "cgroupfs" else "")
        assert settings["CpuShares"] == 8192

    def test_a_command_is_given_up_while_another_thread_waits_for_its_output(self, subject: Subject, mark: str) -> None:
        container = subject.engine.create_container(self.container(subject, mark))
        subject.engine.start(container)
        execution = subject.engine.execute(container, ["sleep", "600"])
        with ThreadPoolExecutor() as pool:
            reading = pool.submit(lambda: list(execution.read()))
            time.sleep(0.2)  # it waits inside the socket by then
            assert not reading.done()
            pool.submit(execution.close).result(10)
            wait((reading,), 10)
            assert reading.done()
