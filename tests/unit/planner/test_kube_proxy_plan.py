"""A kube-proxy of the user's own: checked before anything is planned, put into every node, fingerprinted in the plan."""

import dataclasses
import hashlib
import json
import struct
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from orchestrator.errors import EnvironmentUnmetError, ScenarioError
from orchestrator.experiment import load_request
from orchestrator.model.plan import Plan, ProgramPlan, Role
from orchestrator.planner.kube_proxy import PLANNED, kube_proxy_argv
from orchestrator.scenario.programs import read_program
from orchestrator.scenario.schema import KubeProxy
from orchestrator.testbed.programs import read_programs

ROOT = Path(__file__).resolve().parents[3]
KEY = "cluster.kube_proxy.binary"
SCENARIO = """\
name: own-proxy
question: Does my kube-proxy do as well?
cluster:
  kube_proxy: {mode: iptables, binary: bin/kube-proxy, min_sync_period: 200ms, node_port_addresses: [10.100.0.0/16, 127.0.0.0/8]}
manifests: [%s]
paths: {nodeport: {}}
timeline: [{at: 5s, scale: {nodes: 4}}]
duration: 20s
"""


def elf(machine: int = 62, *, kind: int = 2, width: int = 2) -> bytes:
    return struct.pack("<4sBB10xHH", b"\x7fELF", width, 1, kind, machine) + b"the program"


def test_program_that_nodes_can_run_is_planned_by_its_fingerprint(tmp_path: Path) -> None:
    content = elf()
    (tmp_path / "kube-proxy").write_bytes(content)
    planned = read_program(tmp_path / "s.yaml", "kube-proxy", key=KEY, into="/bin/kp", machine="x86_64")
    assert planned == ProgramPlan(path="/bin/kp", source=str(tmp_path / "kube-proxy"), sha256=hashlib.sha256(content).hexdigest())
    assert read_programs([planned]) == {"/bin/kp": content}


@pytest.mark.parametrize(
    ("content", "machine", "message"),
    [
        (None, "x86_64", "no such file; found {file}"),
        (b"#!/bin/sh\n", "x86_64", "is not a program that nodes can run; found {file}: no ELF file; allowed: a 64-bit ELF for x86_64"),
        (b"", "x86_64", "found {file}: no ELF file"),
        (elf(183), "x86_64", "found {file}: aarch64; allowed: a 64-bit ELF for x86_64"),
        (elf(62), "arm64", "found {file}: x86_64; allowed: a 64-bit ELF for aarch64"),
        (elf(8), "x86_64", "found {file}: an ELF file for machine 8"),
        (elf(kind=1), "x86_64", "found {file}: an ELF file that is not executable"),
        (elf(width=1), "x86_64", "found {file}: an ELF file that is not 64-bit little-endian"),
    ],
)  # fmt: skip
def test_what_nodes_could_not_run_is_one_error_with_file_and_key(
    tmp_path: Path, content: bytes | None, machine: str, message: str
) -> None:
    program = tmp_path / "kube-proxy"
    if content is not None:
        program.write_bytes(content)
    with pytest.raises(ScenarioError) as caught:
        read_program(tmp_path / "s.yaml", "kube-proxy", key=KEY, into="/bin/kp", machine=machine)
    assert str(caught.value).startswith(f"{tmp_path / 's.yaml'}: {KEY}: ")
    assert message.format(file=program) in str(caught.value)


def test_directory_is_no_program(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match=r"cluster\.kube_proxy\.binary: is not a regular file"):
        read_program(tmp_path / "s.yaml", ".", key=KEY, into="/bin/kp", machine="x86_64")


def test_program_that_changed_since_the_plan_goes_into_no_node(tmp_path: Path) -> None:
    program = tmp_path / "kube-proxy"
    program.write_bytes(elf())
    planned = read_program(tmp_path / "s.yaml", "kube-proxy", key=KEY, into="/bin/kp", machine="x86_64")
    with pytest.raises(EnvironmentUnmetError, match="has changed since the run was planned"):
        read_programs([dataclasses.replace(planned, sha256="0" * 64)])
    program.unlink()
    with pytest.raises(EnvironmentUnmetError, match="No such file"):
        read_programs([planned])


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    directory = tmp_path_factory.mktemp("own-proxy")
    (directory / "bin").mkdir()
    # This machine's own: whatever runs the tests is an ELF for it.
    (directory / "bin/kube-proxy").write_bytes(Path("/proc/self/exe").read_bytes())
    scenario = directory / "own.yaml"
    scenario.write_text(SCENARIO % (ROOT / "loadtests/manifests/service-test.yaml"), encoding="utf-8")
    return load_request(scenario, {}, None).plan()


def test_every_node_runs_it_with_the_planned_flags_also_one_that_joins_later(plan: Plan) -> None:
    nodes = plan.of_role(Role.NODE)
    assert [item.at_bring_up for item in nodes].count(False) == 1
    for node in nodes:
        processes = node.config["processes"]
        assert isinstance(processes, list)
        assert [process["name"] for process in processes] == ["agent", "kube-proxy"]
        assert processes[1]["argv"] == [
            "/usr/local/bin/kube-proxy",
            "--kubeconfig=/etc/testbed/kubeconfig",
            f"--hostname-override={node.name}",
            "--proxy-mode=iptables",
            "--cluster-cidr=10.0.0.0/16",
            "--nodeport-addresses=10.100.0.0/16,127.0.0.0/8",
            "--iptables-min-sync-period=200ms",
            "--iptables-sync-period=3000ms",
            "--conntrack-max-per-core=0",
            "--conntrack-min=0",
            "--conntrack-tcp-timeout-established=0",
            "--conntrack-tcp-timeout-close-wait=0",
            "--healthz-bind-address=0.0.0.0:10256",
            "--metrics-bind-address=127.0.0.1:10249",
            "--kube-api-content-type=application/json",
        ]
        settings = node.config["settings"]
        assert isinstance(settings, dict)
        assert settings["kube_proxy"] == {
            "mode": "iptables",
            "detect_local": "ClusterCIDR",
            "masquerade_all": False,
            "node_port_addresses": ["10.100.0.0/16", "127.0.0.0/8"],
            "writer": "kube-proxy",
            "min_sync_period_s": 0.2,
            "sync_period_s": 3.0,
        }


@pytest.mark.parametrize(
    ("settings", "flags", "without"),
    [
        ({"detect_local": "none"}, [], "--cluster-cidr=10.0.0.0/16"),
        ({"detect_local": "NodeCIDR"}, ["--detect-local-mode=NodeCIDR"], ""),
        ({"detect_local": "BridgeInterface"}, ["--detect-local-mode=BridgeInterface", "--pod-bridge-interface=cbr0"], ""),
        (
            {"detect_local": "InterfaceNamePrefix"},
            ["--detect-local-mode=InterfaceNamePrefix", "--pod-interface-name-prefix=cbr"],
            "",
        ),
        ({"masquerade_all": True}, ["--masquerade-all"], ""),
        ({"node_port_addresses": "primary"}, ["--nodeport-addresses=primary"], ""),
        ({"node_port_addresses": "all"}, ["--nodeport-addresses=0.0.0.0/0"], ""),
        ({"node_port_addresses": ["10.100.0.0/16", "127.0.0.0/8"]}, ["--nodeport-addresses=10.100.0.0/16,127.0.0.0/8"], ""),
        ({"binary": "kube-proxy", "args": ["--v=4", "--bind-address-hard-fail"]}, ["--v=4", "--bind-address-hard-fail"], ""),
    ],
)
def test_settings_of_the_rules_become_flags(settings: dict[str, object], flags: list[str], without: str) -> None:
    timings = {"min_sync_period_s": 1.0, "sync_period_s": 30.0}
    usual, changed = (
        kube_proxy_argv(node="node-1", spec=KubeProxy.model_validate(item), cluster_cidr="10.0.0.0/16", timings=timings)
        for item in ({}, settings)
    )
    assert set(changed) - set(usual) == set(flags)
    assert set(usual) - set(changed) == ({without} if without else set())


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("args: [--v=4]", "cluster.kube_proxy.args: no program takes them; found '--v=4'; allowed: only beside `binary`"),
        (
            "binary: kube-proxy, args: [-v]",
            "cluster.kube_proxy.args[0]: is not a flag; found '-v'; allowed: --name or --name=value",
        ),
        (
            "binary: kube-proxy, args: [--v=4, --proxy-mode=iptables]",
            "cluster.kube_proxy.args[1]: is the testbed's to set; found '--proxy-mode=iptables'; allowed: any flag but cleanup, ",
        ),
        ("binary: kube-proxy, args: [--help]", "cluster.kube_proxy.args[0]: is the testbed's to set; found '--help'"),
    ],
)
def test_flags_that_make_no_sense_are_refused_with_their_key(tmp_path: Path, setting: str, message: str) -> None:
    (tmp_path / "kube-proxy").write_bytes(Path("/proc/self/exe").read_bytes())
    text = SCENARIO.replace("mode: iptables, binary: bin/kube-proxy", setting) % (ROOT / "loadtests/manifests/service-test.yaml")
    (tmp_path / "own.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(ScenarioError) as caught:
        load_request(tmp_path / "own.yaml", {}, None).plan()
    assert f"own.yaml: {message}" in str(caught.value)


def test_every_flag_that_is_planned_is_refused_as_the_users() -> None:
    spec = KubeProxy.model_validate({"masquerade_all": True, "node_port_addresses": "all", "detect_local": "BridgeInterface"})
    argv = kube_proxy_argv(
        node="n", spec=spec, cluster_cidr="10.0.0.0/16", timings={"min_sync_period_s": 1.0, "sync_period_s": 30.0}
    )
    names = {argument.removeprefix("--").partition("=")[0] for argument in argv[1:]}
    assert {name for name in names if not name.startswith("conntrack-")} <= PLANNED


def test_plan_holds_path_and_fingerprint_and_none_of_the_programs_bytes(plan: Plan) -> None:
    content = Path("/proc/self/exe").read_bytes()
    program = plan.of_role(Role.NODE)[0].programs[0]
    assert program.sha256 == hashlib.sha256(content).hexdigest()
    assert (plan.cluster["kube_proxy_binary"], plan.cluster["kube_proxy_sha256"]) == (program.source, program.sha256)
    saved = json.dumps(TypeAdapter(Plan).dump_python(plan, mode="json"))
    assert len(saved) < 100_000
    assert TypeAdapter(Plan).validate_json(saved) == plan
    assert all(not item.programs for item in plan.containers if item.role is not Role.NODE)
