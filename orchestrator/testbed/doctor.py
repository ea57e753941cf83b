"""What the engine and its kernel have and lack, and what a lack costs. Every kernel feature is tried, not read from a list."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Network
from typing import Any

import docker  # noqa: TID251 - this package is docker's only importer
import docker.errors  # noqa: TID251

from orchestrator.addresses import MGMT_POOL
from orchestrator.errors import EngineError
from orchestrator.scenario.schema import Cluster
from orchestrator.testbed.border import engine_border

OLDEST_API = (1, 41)
ENOUGH_DISK_BYTES = 3 * 2**30
ENOUGH_INOTIFY = 128
ENOUGH_FILES = 65536


class State(StrEnum):
    OK = "ok"
    LIMITED = "limited"
    MISSING = "missing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One prerequisite. `cost`: what its lack means; empty when it is there. A required one that is missing stops every run."""

    name: str
    state: State
    found: str
    cost: str = ""
    required: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature:
    """A kernel feature: the shell command that tries it inside a network namespace of its own, and what its lack costs."""

    name: str
    attempt: str
    cost: str
    required: bool = True


FEATURES = (
    Feature(name="nf_tables", attempt="nft add table ip probe", cost="no service rules: nothing can run"),
    Feature(
        name="conntrack",
        attempt="nft 'add table ip flows; add chain ip flows c {type filter hook input priority 0;}; add rule ip flows c ct state new'",
        cost="no destination NAT: nothing can run",
    ),
    Feature(name="veth", attempt="ip link add probe0 type veth peer name probe1", cost="no pods: nothing can run"),
    Feature(name="bridge", attempt="ip link add probebr type bridge", cost="no pods: nothing can run"),
    Feature(name="network namespaces", attempt="unshare --net true", cost="no pods: nothing can run"),
    Feature(
        name="br_netfilter",
        attempt="test -e /proc/sys/net/bridge/bridge-nf-call-iptables",
        cost="none for the testbed: bridged frames pass the host's rules unseen",
        required=False,
    ),
    Feature(
        name="iptables",
        attempt="iptables -t nat -N PROBE",
        cost="no second rule writer (kube_proxy mode iptables)",
        required=False,
    ),
    Feature(
        name="tbf",
        attempt="ip link add t0 type veth peer name t1 && tc qdisc add dev t0 root tbf rate 10mbit burst 32k latency 50ms",
        cost="no rate faults",
        required=False,
    ),
    Feature(
        name="netem",
        attempt="ip link add n0 type veth peer name n1 && tc qdisc add dev n0 root netem delay 1ms",
        cost="loss is made with nftables instead; delay and reordering need another means",
        required=False,
    ),
    Feature(
        name="vxlan",
        attempt="ip link add v0 type vxlan id 42 dev lo dstport 4789",
        cost="no runs over several engines",
        required=False,
    ),
)

_PROBE = """\
import json, os, subprocess, sys
def attempt(command):
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True)
    return None if done.returncode == 0 else (done.stderr.strip().splitlines() or ["refused"])[-1]
def read(path):
    try:
        with open(path) as file:
            return file.read().strip()
    except OSError:
        return None
paths = json.loads(sys.argv[2])
disk = os.statvfs("/")
print(json.dumps({
    "features": {name: attempt(command) for name, command in json.loads(sys.argv[1]).items()},
    "files": {path: read(path) for path in paths},
    "disk_free_bytes": disk.f_bavail * disk.f_frsize,
}))
"""
_ROUTES = "ip -json -4 route show table all"
_SETTINGS = {
    "/proc/sys/fs/inotify/max_user_instances": ENOUGH_INOTIFY,
    "/proc/sys/fs/file-max": ENOUGH_FILES,
}
_CLOCK_SOURCE = "/sys/devices/system/clocksource/clocksource0/current_clocksource"


def check_environment(*, image: str | None, client: docker.APIClient | None = None) -> tuple[Check, ...]:
    """All prerequisites, weightiest first. `image`: our base image, in which the kernel is tried; None: not built yet.

    Raises EngineError only when the probe's container itself cannot be run.
    """
    try:
        with engine_border("be reached"):
            api: Any = client or docker.APIClient(version="auto", timeout=60)
            version, about = api.version(), api.info()
    except EngineError as error:
        return (Check(name="engine", state=State.MISSING, found=str(error), cost="nothing can run", required=True),)
    checks = [*_engine_checks(version, about)]
    if image is None:
        checks.append(
            Check(name="images", state=State.MISSING, found="not built", cost="kernel features not tried: run `make images`")
        )
    else:
        checks += _kernel_checks(api, image)
    return (*checks, *_subnet_checks(api, image))


def _engine_checks(version: Mapping[str, Any], about: Mapping[str, Any]) -> list[Check]:
    api = tuple(int(part) for part in str(version["ApiVersion"]).split("."))
    cores = int(about.get("NCPU", 0))
    return [
        Check(
            name="engine",
            state=State.OK,
            found=f"{version['Version']}, kernel {version.get('KernelVersion', '?')}",
            required=True,
        ),
        Check(
            name="engine API",
            state=State.OK if api >= OLDEST_API else State.MISSING,
            found=str(version["ApiVersion"]),
            cost="" if api >= OLDEST_API else "needs 1.41 (engine 20.10) or newer: nothing can run",
            required=True,
        ),
        Check(
            name="cgroups", state=State.OK, found=f"version {about.get('CgroupVersion', '1')}, {about.get('CgroupDriver', '?')}"
        ),
        Check(
            name="CPU cores",
            state=State.OK if cores >= 2 else State.LIMITED,
            found=str(cores),
            cost="" if cores >= 2 else "sender and system under test share one core: lower the rates",
        ),
    ]


def _kernel_checks(api: Any, image: str) -> list[Check]:
    attempts = {feature.name: feature.attempt for feature in FEATURES}
    paths = [*_SETTINGS, _CLOCK_SOURCE]
    found = json.loads(_run(api, image, ["python3", "-c", _PROBE, json.dumps(attempts), json.dumps(paths)], network="none"))
    checks = [_feature_check(feature, found["features"][feature.name]) for feature in FEATURES]
    for path, enough in _SETTINGS.items():
        value = int(found["files"][path] or 0)
        state = State.OK if value >= enough else State.LIMITED
        cost = (
            ""
            if state is State.OK
            else f"large testbeds may fail; raise it to {enough}: sysctl -w {path[10:].replace('/', '.')}={enough}"
        )
        checks.append(Check(name=path.rpartition("/")[2], state=state, found=str(value), cost=cost))
    disk = int(found["disk_free_bytes"])
    state = State.OK if disk >= ENOUGH_DISK_BYTES else State.LIMITED
    cost = "" if state is State.OK else "images need about 1 GiB, results some MiB a run"
    checks.append(Check(name="disk of the engine", state=state, found=f"{disk / 2**30:.1f} GiB free", cost=cost))
    source = found["files"][_CLOCK_SOURCE] or "unknown"
    slow = source in ("hpet", "acpi_pm", "jiffies")
    cost = "time stamps cost microseconds each" if slow else ""
    checks.append(Check(name="clock source", state=State.LIMITED if slow else State.OK, found=source, cost=cost))
    return checks


def _feature_check(feature: Feature, refusal: str | None) -> Check:
    if refusal is None:
        return Check(name=feature.name, state=State.OK, found="tried, works", required=feature.required)
    state = State.MISSING if feature.required else State.LIMITED
    return Check(name=feature.name, state=state, found=refusal, cost=feature.cost, required=feature.required)


def _subnet_checks(api: Any, image: str | None) -> list[Check]:
    """Free pools: what the host routes already and what the engine gave to other networks."""
    with engine_border("list networks"):
        taken = {
            f"docker network {network['Name']}": IPv4Network(config["Subnet"])
            for network in api.networks()
            for config in (network.get("IPAM", {}).get("Config") or [])
            if "." in config.get("Subnet", "") and "ingress-testbed.run" not in (network.get("Labels") or {})
        }
    if image is not None:
        for route in json.loads(_run(api, image, ["sh", "-c", _ROUTES], network="host") or "[]"):
            if route.get("dst") not in (None, "default") and route.get("type", "unicast") == "unicast":
                taken[f"host route {route['dst']} dev {route.get('dev', '?')}"] = IPv4Network(route["dst"], strict=False)
    defaults = Cluster()
    pools = {"client networks": defaults.client_pool, "node networks": defaults.node_pool, "management networks": MGMT_POOL}
    checks = []
    for name, pool in pools.items():
        overlapping = [who for who, network in taken.items() if network.overlaps(pool)]
        state = State.LIMITED if overlapping else State.OK
        cost = "slots that overlap are skipped; cluster.client_pool and cluster.node_pool choose others" if overlapping else ""
        checks.append(
            Check(
                name=name,
                state=state,
                found=f"{pool}" + (f" overlaps {', '.join(overlapping)}" if overlapping else " free"),
                cost=cost,
            )
        )
    return checks


def _run(api: Any, image: str, argv: list[str], *, network: str) -> str:
    """Output of a short-lived container with NET_ADMIN in a network namespace of its own (or the host's, only read)."""
    with engine_border("run the kernel probe"):
        capabilities = ["NET_ADMIN", "SYS_ADMIN"] if network == "none" else []
        host_config = api.create_host_config(network_mode=network, cap_add=capabilities)
        container = api.create_container(image, entrypoint=[argv[0]], command=argv[1:], host_config=host_config)["Id"]
        try:
            api.start(container)
            status = api.wait(container, timeout=60)["StatusCode"]
            output = api.logs(container, stdout=True, stderr=status != 0).decode(errors="replace")
        finally:
            api.remove_container(container, force=True)
    if status != 0:
        raise EngineError(f"the kernel probe ended with status {status}: {output.strip()[-500:]}")
    return str(output)
