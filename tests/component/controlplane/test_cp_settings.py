"""The configuration: read completely or refused by name; and what the responder is told."""

import json
from ipaddress import IPv4Network
from pathlib import Path

import pytest
from cp_world import make_settings

from controlplane.responder import prepare, render_responder
from controlplane.settings import PortRange, SettingsError, decode_settings

MINIMAL = {"bind": "0.0.0.0:6443", "token": "t", "cluster_cidr": "10.0.0.0/16", "service_cidr": "10.3.240.0/20"}


def decode(**changes: object) -> object:
    settings = {key: value for key, value in {**MINIMAL, **changes}.items() if value is not None}
    return decode_settings(json.dumps({"run_id": "r", "container": "c", "settings": settings}).encode())


def test_what_is_left_out_is_as_in_kubernetes() -> None:
    settings = decode()
    assert settings.node_port_range == PortRange(first=30000, last=32767)
    assert (settings.node_port_range.size, settings.node_cidr_mask_size) == (2768, 24)
    assert settings.timings.node_monitor_grace_period_s == 50.0
    assert (settings.external_ip_pool, settings.insecure_bind, settings.control_responder_port) == (None, None, None)


def test_all_keys_are_read() -> None:
    settings = decode(
        insecure_bind="127.0.0.1:8080", external_ip_pool="198.18.0.128/26", timings={"toleration_s": 30}, node_port_range="1-2"
    )
    assert settings.insecure_bind.port == 8080
    assert settings.external_ip_pool == IPv4Network("198.18.0.128/26")
    assert settings.timings.toleration_s == 30.0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bnid": 1}, "unknown keys ['bnid']"),
        ({"bind": "6443"}, "bind: must be ADDRESS:PORT, got '6443'"),
        ({"token": ""}, "token: must be a text that is not empty, got ''"),
        ({"token": None}, "token: must be a text"),
        ({"cluster_cidr": "10.0.0.1/16"}, "cluster_cidr: 10.0.0.1/16 has host bits set"),
        ({"node_port_range": "9-1"}, "node_port_range: must be FIRST-LAST within 1-65535, got '9-1'"),
        ({"node_cidr_mask_size": 8}, "node_cidr_mask_size: must be an integer from 16 to 30, got 8"),
        ({"timings": {"toleration_s": 0}}, "timings.toleration_s: must be a number above 0, got 0"),
        ({"timings": {"patience_s": 1}}, "timings: unknown keys ['patience_s']"),
        ({"objects": {}}, "objects: must be a list of Kubernetes objects, got {}"),
        ({"control_responder_port": 0}, "control_responder_port: must be an integer from 1 to 65535, got 0"),
    ],
)
def test_what_cannot_be_used_is_named(change: dict, message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        decode(**change)
    assert message in str(caught.value)


def test_text_that_is_no_json_is_refused() -> None:
    with pytest.raises(SettingsError, match="not JSON"):
        decode_settings(b"{")


def test_responder_answers_without_files_logs_or_other_users(tmp_path: Path) -> None:
    text = render_responder(port=8090, run_dir=Path("/run/testbed"))
    assert "listen 8090 " in text
    assert 'return 200 "ok\\n";' in text
    for line in ("daemon off;", "master_process off;", "user root;", "access_log off;"):
        assert f"{line}\n" in text
    argv = prepare(make_settings(control_responder_port=8090), tmp_path)
    assert argv[-2:] == ["-c", str(tmp_path / "responder.conf")]
    assert (tmp_path / "responder.conf").read_text(encoding="utf-8") == render_responder(port=8090, run_dir=tmp_path)
    with pytest.raises(SettingsError, match="control_responder_port"):
        prepare(make_settings(), tmp_path)
