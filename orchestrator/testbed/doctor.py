"""Finds out what the engine and its kernel have and lack. Every kernel feature is tried in a container, not read from a list."""

import json
import os
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import docker  # noqa: TID251 - this package is docker's only importer
import docker.errors  # noqa: TID251

from orchestrator.errors import EngineError, EnvironmentUnmetError
from orchestrator.host.endpoint import find_endpoints
from orchestrator.scenario.schema import Cluster
from orchestrator.testbed.border import engine_border
from orchestrator.testbed.connection import open_client, plain_reason
from orchestrator.testbed.helper import run_helper
from orchestrator.testbed.images import plan_images
from orchestrator.testbed.kernel_features import FEATURES, Feature
from orchestrator.testbed.labels import RUN
from orchestrator.testbed.prerequisites import (
    PROBED_FILES,
    Check,
    EngineFacts,
    KernelFacts,
    State,
    TakenSubnet,
    judge_engine,
    judge_kernel,
    judge_steal,
    judge_subnets,
)

__all__ = ["Check", "State", "check_engine", "check_environment"]

SAMPLE_CPU = "head -n 1 /proc/stat; sleep 1; head -n 1 /proc/stat"
BRIDGE_NAME = "com.docker.network.bridge.name"


def check_environment(*, repository: Path) -> tuple[Check, ...]:
    """All prerequisites of the user's engine, weightiest first. Starts, builds and changes nothing.

    Raises EngineError only when an engine answers and then refuses a question.
    """
    try:
        client = _find_client()
    except EnvironmentUnmetError as error:
        cost = f"nothing can run; {error.hint}" if error.hint else "nothing can run"
        return (Check(name="engine", state=State.MISSING, found=str(error), cost=cost, required=True),)
    with closing(client):
        image = plan_images(repository).base_tag
        return check_engine(client, image if _exists(client, image) else None)


def check_engine(client: docker.APIClient, image: str | None) -> tuple[Check, ...]:
    """The prerequisites of one engine. `image`: our base image, in which its kernel is tried; None: it is not built yet."""
    engine = judge_engine(read_engine(client))
    if image is None:
        untried = Check(
            name="kernel features", state=State.LIMITED, found="not tried: no images", cost="run `make images`, then this again"
        )
        return (*engine, untried, _judge_subnets(read_subnets(client, None)))
    with ThreadPoolExecutor(max_workers=3) as pool:
        kernel, subnets = pool.submit(read_kernel, client, image), pool.submit(read_subnets, client, image)
        samples = pool.submit(run_helper, client, image, ["sh", "-c", SAMPLE_CPU])
        steal = judge_steal(samples.result())
        return (*engine, steal, *judge_kernel(kernel.result()), _judge_subnets(subnets.result()))


def _judge_subnets(taken: Sequence[TakenSubnet]) -> Check:
    defaults = Cluster()
    return judge_subnets(taken, client_pool=defaults.client_pool, node_pool=defaults.node_pool)


def _find_client() -> docker.APIClient:
    reasons = []
    for endpoint in find_endpoints(os.environ, Path.home()):
        try:
            return open_client(endpoint)
        except EngineError as error:
            reasons.append(f"{endpoint}: {plain_reason(error)}")
    raise EnvironmentUnmetError(f"none answers: {'; '.join(reasons)}", hint="make engine")


def _exists(api: Any, image: str) -> bool:
    with engine_border(f"look for image {image}"):
        try:
            api.inspect_image(image)
        except docker.errors.ImageNotFound:
            return False
    return True


def read_engine(api: Any) -> EngineFacts:
    with engine_border("describe itself"):
        version, about = api.version(), api.info()
    return EngineFacts(
        version=str(version["Version"]),
        api_version=str(version["ApiVersion"]),
        kernel=str(about.get("KernelVersion", "unknown")),
        cgroup_version=str(about.get("CgroupVersion", "1")),
        cgroup_driver=str(about.get("CgroupDriver", "none")),
        cores=int(about["NCPU"]),
        memory_bytes=int(about["MemTotal"]),
        rootless=any("name=rootless" in option for option in about.get("SecurityOptions") or ()),
    )


def require_features(api: Any, image: str, names: Collection[str]) -> None:
    """Try what a plan needs of the kernel beyond what every testbed does; asks nothing when there is nothing.

    Raises EnvironmentUnmetError with what the kernel said, and what to use instead; EngineError.
    """
    wanted = tuple(feature for feature in FEATURES if feature.name in names)
    if not wanted:
        return
    facts = read_kernel(api, image, wanted)
    lacking = [feature for feature in wanted if facts.refusals[feature.name] is not None]
    if lacking:
        said = "; ".join(f"{feature.name} ({facts.refusals[feature.name]})" for feature in lacking)
        hint = "; ".join(feature.cost for feature in lacking)
        raise EnvironmentUnmetError(f"the timeline needs what this kernel lacks: {said}", hint=hint)


def read_kernel(api: Any, image: str, features: Sequence[Feature] = FEATURES) -> KernelFacts:
    """Tries features with the powers and settings that nodes have (compose/testbed.yaml says why they have them)."""
    request = {"attempts": {feature.name: feature.attempt for feature in features}, "files": PROBED_FILES}
    answer = run_helper(
        api,
        image,
        ["python3", "-m", "kernel_probe", json.dumps(request)],
        capabilities=("NET_ADMIN", "NET_RAW", "SYS_ADMIN", "DAC_OVERRIDE"),
        security=("apparmor=unconfined",),
        sysctls={"net.ipv4.ip_forward": "1"},
    )
    return KernelFacts(**json.loads(answer))


def read_subnets(api: Any, image: str | None) -> tuple[TakenSubnet, ...]:
    """What the engine gave to networks and, where `image` exists to ask from, what its machine routes."""
    with engine_border("list networks"):
        networks: Sequence[Mapping[str, Any]] = api.networks()
    taken = decode_networks(networks)
    if image is None:
        return taken
    answer = run_helper(api, image, ["ip", "-json", "-4", "route", "show", "table", "all"], network="host")
    return (*taken, *decode_routes(json.loads(answer or "[]"), networks))


def decode_networks(networks: Sequence[Mapping[str, Any]]) -> tuple[TakenSubnet, ...]:
    """IPv4 subnets of the engine's networks (`GET /networks`), other than those of testbeds: their slots come back."""
    return tuple(
        TakenSubnet(network=IPv4Network(pool["Subnet"]), owner=f"docker network {network['Name']}")
        for network in networks
        if not _is_ours(network)
        for pool in (network.get("IPAM") or {}).get("Config") or ()
        if ":" not in pool.get("Subnet", ":")
    )


def decode_routes(routes: Sequence[Mapping[str, Any]], networks: Sequence[Mapping[str, Any]]) -> tuple[TakenSubnet, ...]:
    """Subnets that the machine routes (`ip -json route`), other than by default and to the bridges of testbeds."""
    ours = {(network.get("Options") or {}).get(BRIDGE_NAME) for network in networks if _is_ours(network)}
    return tuple(
        TakenSubnet(network=IPv4Network(route["dst"], strict=False), owner=f"host route dev {route.get('dev', '?')}")
        for route in routes
        if route.get("type", "unicast") == "unicast" and route["dst"] != "default" and route.get("dev", "?") not in ours
    )


def _is_ours(network: Mapping[str, Any]) -> bool:
    return RUN in (network.get("Labels") or {})
