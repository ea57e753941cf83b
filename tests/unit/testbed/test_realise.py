"""Plan and compose file -> what the engine is asked for."""

import dataclasses
import datetime
import json
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from orchestrator.errors import InternalError
from orchestrator.model.plan import NetworkName, Role
from orchestrator.testbed.pki import Secrets, make_secrets
from orchestrator.testbed.realise import container_files, container_spec, network_spec, warden_files, warden_spec
from tests.unit.testbed.scripted_cluster import compose_file, make_run, node_kill_plan


@pytest.fixture(scope="module")
def secrets() -> Secrets:
    return make_secrets(
        addresses=[IPv4Address("127.0.0.1")],
        now=datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC),
        lifetime=datetime.timedelta(minutes=10),
    )


def test_networks_get_the_slots_subnet_and_a_bridge_name_of_the_run(tmp_path: Path) -> None:
    plan, run = node_kill_plan(slot=7), make_run(tmp_path)
    spec = network_spec(plan.network(NetworkName.NODES), compose_file(), run)
    assert (str(spec.subnet), str(spec.router)) == ("10.100.7.0/24", "10.100.7.254")
    assert spec.name == "itb-t0000001-nodes"
    assert spec.driver_opts["com.docker.network.bridge.name"] == "itbt0000001n"
    assert spec.labels["ingress-testbed.run"] == "t0000001"


def test_a_node_has_its_planned_address_and_the_roles_settings(tmp_path: Path) -> None:
    plan, run = node_kill_plan(), make_run(tmp_path)
    spec = container_spec(plan.container("node-2"), compose_file(), run)
    assert spec.networks == (("itb-t0000001-nodes", IPv4Address("10.100.0.3")),)
    assert spec.hostname == "node-2"
    assert spec.image == "image-of-node"
    assert spec.sysctls["net.ipv4.icmp_ratelimit"] == "0"
    assert spec.security_opt == ("apparmor=unconfined",)
    assert spec.labels == {
        "ingress-testbed.run": "t0000001",
        "ingress-testbed.role": "node",
        "ingress-testbed.container": "node-2",
        "ingress-testbed.expires": "1800000000",
        "ingress-testbed.owner-pid": "1",
    }


def test_the_gateway_stands_in_both_networks(tmp_path: Path) -> None:
    spec = container_spec(node_kill_plan().container("gateway"), compose_file(), make_run(tmp_path))
    assert [str(address) for _, address in spec.networks] == ["198.18.0.1", "10.100.0.1"]


def test_the_warden_has_the_hosts_network_and_removes_itself(tmp_path: Path) -> None:
    spec = warden_spec(compose_file(), make_run(tmp_path))
    assert (spec.networks, spec.dns, spec.stdin, spec.auto_remove) == ((), (), True, True)
    config = json.loads(warden_files(make_run(tmp_path))["/etc/testbed/config.json"])
    assert config["settings"]["guard"].startswith("table inet ingress_testbed_t0000001")


@pytest.mark.parametrize(
    ("container", "has_token", "has_server_key"),
    [
        ("controlplane", True, True),
        ("node-1", True, False),
        ("loadbalancer", True, False),
        ("gateway", False, False),
        ("client", False, False),
    ],
)
def test_secrets_go_only_where_they_are_needed(
    tmp_path: Path, secrets: Secrets, container: str, has_token: bool, has_server_key: bool
) -> None:
    files = container_files(node_kill_plan().container(container), make_run(tmp_path), secrets)
    config = json.loads(files["/etc/testbed/config.json"])
    assert (config["settings"].get("token") == secrets.token) is has_token
    assert ("/etc/testbed/pki/server.key" in files) is has_server_key
    assert (config["run_id"], config["expires_in_s"], config["container"]) == ("t0000001", 600, container)


def test_the_plan_itself_holds_no_secret(secrets: Secrets) -> None:
    assert "token" not in json.dumps([item.config for item in node_kill_plan().containers], default=str)


def test_a_plan_that_disagrees_with_the_compose_file_is_refused(tmp_path: Path) -> None:
    client = node_kill_plan().container("client")
    wrong = dataclasses.replace(client, role=Role.NODE)
    with pytest.raises(InternalError, match=r"client: planned on networks clients, but compose/testbed\.yaml has nodes"):
        container_spec(wrong, compose_file(), make_run(tmp_path))
