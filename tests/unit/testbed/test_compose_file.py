"""compose/testbed.yaml and its reader."""

from pathlib import Path

import pytest
import yaml

from orchestrator.errors import ScenarioError
from orchestrator.model.plan import NetworkName, Role
from orchestrator.testbed.compose import load_compose
from tests.unit.testbed.scripted_cluster import ROOT, compose_file

FILE = ROOT / "compose" / "testbed.yaml"


def changed(tmp_path: Path, change: str) -> Path:
    """The file with `path.to.key=value` in place."""
    document = yaml.safe_load(FILE.read_text())
    path, _, value = change.partition("=")
    *parents, key = path.split(".")
    place = document
    for parent in parents:
        place = place[parent]
    place[key] = yaml.safe_load(value)
    file = tmp_path / "testbed.yaml"
    file.write_text(yaml.safe_dump(document))
    return file


def test_every_role_and_network_has_its_settings() -> None:
    compose = compose_file()
    assert set(compose.services) == set(Role)
    assert set(compose.networks) == set(NetworkName)


def test_no_role_keeps_capabilities_that_it_does_not_name() -> None:
    for service in compose_file().services.values():
        assert service.cap_drop == ("ALL",)
        assert "SYS_MODULE" not in service.cap_add


def test_only_nodes_may_mount() -> None:
    services = compose_file().services
    assert [role for role, service in services.items() if "SYS_ADMIN" in service.cap_add] == [Role.NODE]
    assert [role for role, service in services.items() if service.security_opt] == [Role.NODE]


def test_only_the_warden_reaches_the_host_and_the_engine() -> None:
    services = compose_file().services
    assert [role for role, service in services.items() if service.network_mode == "host"] == [Role.WARDEN]
    assert [role for role, service in services.items() if service.volumes] == [Role.WARDEN]


def test_only_the_control_plane_is_published_and_only_on_loopback() -> None:
    published = {role: service.published for role, service in compose_file().services.items() if service.published}
    assert published == {Role.CONTROLPLANE: (("127.0.0.1", 6443),)}


def test_the_client_outweighs_every_other_role() -> None:
    services = compose_file().services
    client = services[Role.CLIENT].cpu_shares
    assert client is not None
    assert all((service.cpu_shares or 1024) * 4 <= client for role, service in services.items() if role is not Role.CLIENT)


def test_testbed_bridges_give_the_host_no_address() -> None:
    networks = compose_file().networks
    inhibited = {name for name, network in networks.items() if network.driver_opts.get("com.docker.network.bridge.inhibit_ipv4")}
    assert inhibited == {NetworkName.CLIENTS, NetworkName.NODES}


def test_the_client_outweighs_the_engine_and_the_kernels_workers_too() -> None:
    """Shares count among siblings: in the engine's own group they would be nothing beside what runs outside of it."""
    parents = {role: service.cgroup_parent for role, service in compose_file().services.items()}
    assert parents.pop(Role.CLIENT) == "/"
    assert set(parents.values()) == {None}


@pytest.mark.parametrize("name", list(NetworkName))
def test_no_network_masquerades(name: NetworkName) -> None:
    assert compose_file().networks[name].driver_opts["com.docker.network.bridge.enable_ip_masquerade"] == "false"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("services.node.privileged=true", "services.node.privileged: Extra inputs are not permitted"),
        ("services.node.network_mode=host", "needs either network_mode or networks"),
        ("services.node.networks={}", "needs either network_mode or networks"),
        ("services.node.init=true", "services.node.init"),
        ("services.node.pids_limit=0", "services.node.pids_limit"),
        ("services={}", "services: missing client, controlplane, gateway, loadbalancer, node, warden"),
        ("networks.nodes.internal=true", "networks.nodes.internal: Extra inputs are not permitted"),
        ("volumes={}", "volumes: Extra inputs are not permitted"),
    ],
)
def test_a_key_that_is_not_realised_is_refused(tmp_path: Path, change: str, message: str) -> None:
    with pytest.raises(ScenarioError, match=message):
        load_compose(changed(tmp_path, change))


def test_extension_keys_are_ignored_as_the_specification_says(tmp_path: Path) -> None:
    assert load_compose(changed(tmp_path, "x-anything={a: 1}")) == compose_file()


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match=r"nowhere\.yaml: no such file"):
        load_compose(tmp_path / "nowhere.yaml")
