"""Images built into the machine's engine: what exists is left alone, what changed is built, and what fails says where."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import docker
import docker.errors
import pytest

from orchestrator.errors import EngineError
from orchestrator.testbed.connection import ready_client
from orchestrator.testbed.helper import run_helper
from orchestrator.testbed.images import Images, build_images

pytestmark = pytest.mark.integration

REPOSITORY = Path(__file__).resolve().parents[2]
ROLE = "images-test"


@pytest.fixture(scope="module")
def client() -> Iterator[docker.APIClient]:
    client = ready_client()
    yield client
    client.close()


@pytest.fixture(scope="module")
def images(client: docker.APIClient) -> Images:
    return build_images(client, repository=REPOSITORY, cache=REPOSITORY / ".cache")


class Repository:
    """A repository with the real base image and one role of the test, whose images are removed again."""

    def __init__(self, root: Path, client: docker.APIClient) -> None:
        self.root = root
        self.client = client
        self.told: list[str] = []
        self.tags: set[str] = set()
        shutil.copytree(REPOSITORY / "images" / "base", root / "images" / "base", ignore=shutil.ignore_patterns("__pycache__"))

    def write(self, name: str, content: str) -> None:
        path = self.root / "images" / ROLE / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)

    def build(self) -> Images:
        built = build_images(
            self.client, repository=self.root, cache=self.root / "cache", roles=[ROLE], progress=self.told.append
        )
        self.tags |= set(built.tags.values())
        return built


@pytest.fixture
def repository(tmp_path: Path, client: docker.APIClient, images: Images) -> Iterator[Repository]:
    repository = Repository(tmp_path, client)
    yield repository
    for tag in repository.tags:
        client.remove_image(tag, force=True)


def image_id(client: docker.APIClient, tag: str) -> str:
    identity: str = client.inspect_image(tag)["Id"]  # type: ignore[no-untyped-call]
    return identity


def test_image_is_built_once_and_again_only_when_its_content_changes(repository: Repository, client: docker.APIClient) -> None:
    repository.write("Dockerfile", "ARG BASE\nFROM ${BASE}\nCOPY greeting /greeting\n")
    repository.write("greeting", "hello")
    first = repository.build()
    assert repository.told == [f"image {ROLE}"], "the base is the real one, which exists"
    identity = image_id(client, first.tags[ROLE])
    assert repository.build() == first
    assert image_id(client, first.tags[ROLE]) == identity
    assert repository.told == [f"image {ROLE}"]
    repository.write("greeting", "good day")
    second = repository.build()
    assert second.tags[ROLE] != first.tags[ROLE]
    assert run_helper(client, second.tags[ROLE], ["cat", "/greeting"]).strip() == "good day"


def test_failing_step_is_shown_with_the_end_of_its_output(repository: Repository) -> None:
    repository.write("Dockerfile", "ARG BASE\nFROM ${BASE}\nRUN echo before\nRUN echo the reason && exit 7\n")
    with pytest.raises(EngineError) as caught:
        repository.build()
    message = str(caught.value)
    assert "Step 4/5 : RUN echo the reason && exit 7" in message
    assert message.splitlines()[0].endswith("returned a non-zero code: 7")
    assert "\nthe reason" in message


def test_build_of_a_role_has_no_network(repository: Repository) -> None:
    repository.write("Dockerfile", 'ARG BASE\nFROM ${BASE}\nRUN test "$(ls /sys/class/net)" = lo\n')
    repository.build()


def test_python_packages_come_from_the_host_and_are_recorded(repository: Repository, client: docker.APIClient) -> None:
    (repository.root / "requirements.lock").write_text("idna==3.10\n")
    repository.write("requirements.txt", "idna\n")
    repository.write(
        "Dockerfile",
        "ARG BASE\nFROM ${BASE}\nCOPY wheels /w/wheels\nCOPY requirements.txt /w/\nRUN testbed-install /w/requirements.txt\n",
    )
    built = repository.build()
    assert built.python_packages == {ROLE: {"idna": "3.10"}}
    script = "import idna, json, pathlib; print(json.dumps([idna.__version__, pathlib.Path(idna.__cached__).is_file()]))"
    assert json.loads(run_helper(client, built.tags[ROLE], ["python3", "-c", script])) == ["3.10", True]


def test_base_records_the_versions_that_it_has(images: Images, client: docker.APIClient) -> None:
    script = "dpkg-query -W -f '${Version}' haproxy"
    assert run_helper(client, images.tags["loadbalancer"], ["sh", "-c", script]).strip() == images.packages["haproxy"]
    for package in ("nftables", "nginx-light", "iproute2", "conntrack", "bird2", "keepalived"):
        assert images.packages[package]


@pytest.mark.parametrize("role", ["controlplane", "gateway", "loadbalancer", "client", "node"])
def test_role_starts_with_init_from_compiled_code(images: Images, client: docker.APIClient, role: str) -> None:
    found = client.inspect_image(images.tags[role])  # type: ignore[no-untyped-call]
    assert found["Config"]["Entrypoint"] == ["python3", "-m", "testbed_init"]
    script = "import pathlib, testbed_init; print(pathlib.Path(testbed_init.__cached__).is_file())"
    assert run_helper(client, images.tags[role], ["python3", "-c", script]).strip() == "True"
    assert run_helper(client, images.tags[role], ["sh", "-c", "command -v testbed-ctl"]).strip() == "/usr/local/bin/testbed-ctl"


def test_client_has_the_load_and_not_the_scenarios(images: Images, client: docker.APIClient) -> None:
    found = run_helper(
        client, images.tags["client"], ["find", "/opt/testbed/loadtests", "-name", "*.py", "-o", "-name", "*.yaml"]
    )
    assert "/opt/testbed/loadtests/run.py" in found.split()
    assert not [path for path in found.split() if path.endswith(".yaml")]


def test_helper_s_failure_carries_its_status_and_words(images: Images, client: docker.APIClient) -> None:
    with pytest.raises(EngineError, match=r"`sh` in .* ended with status 3\nout\nerr"):
        run_helper(client, images.base, ["sh", "-c", "echo out; echo err >&2; exit 3"])


def test_helper_leaves_no_container(repository: Repository, client: docker.APIClient) -> None:
    repository.write("Dockerfile", "ARG BASE\nFROM ${BASE}\nLABEL purpose=helper\n")
    image = repository.build().tags[ROLE]
    run_helper(client, image, ["true"])
    with pytest.raises(EngineError):
        run_helper(client, image, ["true"], sysctls={"net.no_such_setting": "1"})
    assert client.containers(all=True, filters={"ancestor": image}) == []
