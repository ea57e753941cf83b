"""Programs of the user's own in containers: executable, with the way to the API beside them, and nowhere else."""

import base64
import dataclasses
import datetime
import io
import tarfile
from ipaddress import IPv4Address
from pathlib import Path

import pytest
import yaml

from orchestrator.model.history import Event
from orchestrator.model.plan import ProgramPlan
from orchestrator.planner.kube_proxy import KUBECONFIG, PROGRAM
from orchestrator.testbed.archive import pack
from orchestrator.testbed.pki import make_secrets
from orchestrator.testbed.realise import container_files
from orchestrator.testbed.steady import describe_lost_process
from tests.unit.testbed.scripted_cluster import make_run, node_kill_plan

OWN = ProgramPlan(path=PROGRAM, source="/anywhere", sha256="0" * 64)


def test_node_with_its_own_kube_proxy_has_a_kubeconfig_for_the_api(tmp_path: Path) -> None:
    now = datetime.datetime.now(datetime.UTC)
    secrets = make_secrets(addresses=[IPv4Address("127.0.0.1")], now=now, lifetime=datetime.timedelta(hours=1))
    node = node_kill_plan().container("node-1")
    assert KUBECONFIG not in container_files(node, make_run(tmp_path), secrets)
    files = container_files(dataclasses.replace(node, programs=(OWN,)), make_run(tmp_path), secrets)
    kubeconfig = yaml.safe_load(files[KUBECONFIG])
    cluster = kubeconfig["clusters"][0]["cluster"]
    assert cluster["server"] == "https://10.100.0.250:6443"
    assert base64.b64decode(cluster["certificate-authority-data"]) == secrets.ca_pem
    assert kubeconfig["users"][0]["user"] == {"token": secrets.token}


def test_only_programs_are_executable_and_directories_of_the_image_are_left_alone() -> None:
    archive = pack({"/etc/testbed/config.json": b"{}"}, programs={PROGRAM: b"\x7fELF"})
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        modes = {member.name: member.mode for member in opened if member.isfile()}
        directories = [member.name for member in opened if member.isdir()]
    assert modes == {"etc/testbed/config.json": 0o600, PROGRAM.lstrip("/"): 0o755}
    assert "usr/local/bin" not in directories


@pytest.mark.parametrize(
    ("event", "fields", "lost"),
    [
        ("process-exited", {"status": 1, "restarts_left": 3}, None),
        ("process-exited", {"status": 1, "restarts_left": 0}, "process kube-proxy ended with status 1 and stays dead"),
        ("process-failed", {"error": "ENOENT"}, "process kube-proxy could not be started: ENOENT"),
        ("booted", {}, None),
    ],
)
def test_process_that_nobody_will_see_again_is_not_waited_for(event: str, fields: dict, lost: str | None) -> None:
    told = Event(t_mono_ns=1, source="node-1/init", event=event, fields={"process": "kube-proxy", **fields})
    assert describe_lost_process(told) == lost
