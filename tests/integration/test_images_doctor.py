"""The doctor on the machine's own engine and kernel."""

import json
from collections.abc import Iterator
from ipaddress import IPv4Network
from pathlib import Path

import docker
import pytest

from orchestrator.errors import EnvironmentUnmetError
from orchestrator.testbed.connection import ready_client
from orchestrator.testbed.doctor import check_engine, check_environment, read_engine, read_kernel, read_subnets, require_features
from orchestrator.testbed.helper import run_helper
from orchestrator.testbed.images import build_images
from orchestrator.testbed.kernel_features import FEATURES
from orchestrator.testbed.labels import labels_for_test
from orchestrator.testbed.prerequisites import State

pytestmark = pytest.mark.integration

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def client() -> Iterator[docker.APIClient]:
    client = ready_client()
    yield client
    client.close()


@pytest.fixture(scope="module")
def image(client: docker.APIClient) -> str:
    return build_images(client, repository=REPOSITORY, cache=REPOSITORY / ".cache").base


def test_machine_that_runs_the_testbed_has_what_every_run_needs(image: str) -> None:
    checks = check_environment(repository=REPOSITORY)
    assert [check for check in checks if check.required and check.state is State.MISSING] == []
    assert {feature.name for feature in FEATURES} <= {check.name for check in checks}
    assert all(check.cost for check in checks if check.state is not State.OK)


def test_feature_is_refused_where_the_kernel_really_refuses(client: docker.APIClient, image: str) -> None:
    request = {
        "attempts": {feature.name: feature.attempt for feature in FEATURES if feature.name in ("nf_tables", "veth", "bridge")},
        "files": ["/proc/sys/kernel/osrelease", "/no/such/file"],
    }
    # Without the power to configure the network, the same commands must not go through.
    answer = json.loads(run_helper(client, image, ["python3", "-m", "kernel_probe", json.dumps(request)]))
    assert set(answer["refusals"]) == {"nf_tables", "veth", "bridge"}
    assert all("not permitted" in refusal for refusal in answer["refusals"].values())
    assert answer["files"]["/proc/sys/kernel/osrelease"] == read_engine(client).kernel
    assert answer["files"]["/no/such/file"] is None
    assert answer["disk_free_bytes"] > 0


def test_a_plan_is_refused_before_anything_starts_exactly_when_the_kernel_lacks_what_it_needs(
    client: docker.APIClient, image: str
) -> None:
    refusals = read_kernel(client, image).refusals
    require_features(client, image, [name for name, refusal in refusals.items() if refusal is None])
    for name, refusal in refusals.items():
        if refusal is not None:
            with pytest.raises(EnvironmentUnmetError, match=f"the timeline needs what this kernel lacks: {name} ") as caught:
                require_features(client, image, [name])
            assert caught.value.hint == next(feature.cost for feature in FEATURES if feature.name == name)


def test_without_images_the_kernel_is_not_judged(client: docker.APIClient) -> None:
    checks = {check.name: check for check in check_engine(client, None)}
    assert checks["kernel features"].state is State.LIMITED
    assert "make images" in checks["kernel features"].cost
    assert "nf_tables" not in checks


def test_subnets_of_the_engine_and_routes_of_the_machine_are_seen(client: docker.APIClient, image: str) -> None:
    name, subnet = "itb-doctor-test", IPv4Network("192.168.213.0/24")
    pool = docker.types.IPAMPool(subnet=str(subnet))
    ipam = docker.types.IPAMConfig(pool_configs=[pool])
    network = client.create_network(name, ipam=ipam, labels=dict(labels_for_test()))["Id"]
    try:
        owners = [taken.owner for taken in read_subnets(client, image) if taken.network == subnet]
    finally:
        client.remove_network(network)
    assert owners == [f"docker network {name}", f"host route dev br-{network[:12]}"]
