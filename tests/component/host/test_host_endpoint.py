"""Which engine the user's own tools would use, from files in a home directory of the test."""

import hashlib
import json
from pathlib import Path

import pytest

from orchestrator.errors import EnvironmentUnmetError
from orchestrator.host.endpoint import EngineEndpoint, TlsFiles, find_endpoints

DEFAULT = EngineEndpoint(url="unix:///var/run/docker.sock", origin="default socket")


def write_context(home: Path, name: str, meta: object, *, tls: tuple[str, ...] = ()) -> Path:
    identity = hashlib.sha256(name.encode()).hexdigest()
    file = home / ".docker" / "contexts" / "meta" / identity / "meta.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps(meta))
    certificates = home / ".docker" / "contexts" / "tls" / identity / "docker"
    if tls:
        certificates.mkdir(parents=True)
    for part in tls:
        (certificates / part).write_text("")
    return certificates


def use_context(home: Path, name: str) -> None:
    (home / ".docker").mkdir(exist_ok=True)
    (home / ".docker" / "config.json").write_text(json.dumps({"currentContext": name}))


def lab(host: str, *, skip_verify: bool = False) -> dict[str, object]:
    return {"Name": "lab", "Metadata": {}, "Endpoints": {"docker": {"Host": host, "SkipTLSVerify": skip_verify}}}


def test_default_socket_is_tried_where_nothing_is_said(tmp_path: Path) -> None:
    assert find_endpoints({}, tmp_path) == (DEFAULT,)


def test_rootless_socket_is_tried_after_the_default_one(tmp_path: Path) -> None:
    (tmp_path / "docker.sock").touch()
    rootless = EngineEndpoint(url=f"unix://{tmp_path}/docker.sock", origin="rootless socket")
    assert find_endpoints({"XDG_RUNTIME_DIR": str(tmp_path)}, tmp_path) == (DEFAULT, rootless)


def test_rootless_socket_that_does_not_exist_is_not_tried(tmp_path: Path) -> None:
    assert find_endpoints({"XDG_RUNTIME_DIR": str(tmp_path)}, tmp_path) == (DEFAULT,)


def test_docker_host_wins_over_every_context(tmp_path: Path) -> None:
    write_context(tmp_path, "lab", lab("tcp://198.51.100.7:2376"))
    use_context(tmp_path, "lab")
    (endpoint,) = find_endpoints({"DOCKER_HOST": "ssh://engine", "DOCKER_CONTEXT": "lab"}, tmp_path)
    assert endpoint == EngineEndpoint(url="ssh://engine", origin="DOCKER_HOST", chosen=True)


@pytest.mark.parametrize("value", ["1", "0", "yes"])
def test_tls_of_docker_host_comes_from_the_certificate_path(tmp_path: Path, value: str) -> None:
    for name in ("ca.pem", "cert.pem", "key.pem"):
        (tmp_path / name).touch()
    environment = {"DOCKER_HOST": "tcp://engine:2376", "DOCKER_TLS_VERIFY": value, "DOCKER_CERT_PATH": str(tmp_path)}
    (endpoint,) = find_endpoints(environment, tmp_path / "home")
    expected = TlsFiles(ca=tmp_path / "ca.pem", cert=tmp_path / "cert.pem", key=tmp_path / "key.pem", verify=True)
    assert endpoint.tls == expected


def test_empty_tls_variables_mean_no_tls(tmp_path: Path) -> None:
    environment = {"DOCKER_HOST": "tcp://engine:2375", "DOCKER_TLS_VERIFY": "", "DOCKER_CERT_PATH": ""}
    assert find_endpoints(environment, tmp_path)[0].tls is None


def test_current_context_is_used_with_its_certificates(tmp_path: Path) -> None:
    certificates = write_context(tmp_path, "lab", lab("tcp://engine:2376"), tls=("ca.pem",))
    use_context(tmp_path, "lab")
    expected = TlsFiles(ca=certificates / "ca.pem", cert=None, key=None, verify=True)
    assert find_endpoints({}, tmp_path) == (
        EngineEndpoint(url="tcp://engine:2376", origin="docker context lab", chosen=True, tls=expected),
    )


def test_context_that_skips_verification_says_so(tmp_path: Path) -> None:
    write_context(tmp_path, "lab", lab("tcp://engine:2376", skip_verify=True), tls=("ca.pem", "cert.pem", "key.pem"))
    (endpoint,) = find_endpoints({"DOCKER_CONTEXT": "lab"}, tmp_path)
    assert endpoint.tls is not None
    assert not endpoint.tls.verify


def test_context_default_means_the_default_socket(tmp_path: Path) -> None:
    use_context(tmp_path, "default")
    assert find_endpoints({}, tmp_path) == (DEFAULT,)


def test_docker_config_names_another_directory(tmp_path: Path) -> None:
    write_context(tmp_path, "lab", lab("unix:///lab.sock"))
    use_context(tmp_path, "lab")
    (endpoint,) = find_endpoints({"DOCKER_CONFIG": str(tmp_path / ".docker")}, tmp_path / "elsewhere")
    assert endpoint.url == "unix:///lab.sock"


def test_context_that_does_not_exist_is_an_error_not_the_default_socket(tmp_path: Path) -> None:
    use_context(tmp_path, "gone")
    with pytest.raises(EnvironmentUnmetError, match="'gone' does not exist") as caught:
        find_endpoints({}, tmp_path)
    assert "docker context use default" in str(caught.value.hint)


def test_configuration_that_is_not_json_is_named(tmp_path: Path) -> None:
    (tmp_path / ".docker").mkdir()
    (tmp_path / ".docker" / "config.json").write_text("{")
    with pytest.raises(EnvironmentUnmetError, match=r"cannot read .*config\.json"):
        find_endpoints({}, tmp_path)


def test_context_without_an_engine_is_named(tmp_path: Path) -> None:
    write_context(tmp_path, "lab", {"Name": "lab", "Endpoints": {"kubernetes": {"Host": "https://198.51.100.7"}}})
    with pytest.raises(EnvironmentUnmetError, match="'lab' names no engine"):
        find_endpoints({"DOCKER_CONTEXT": "lab"}, tmp_path)
