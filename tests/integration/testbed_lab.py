"""Real testbeds for integration tests: containers of a plan without their processes, or the whole."""

import dataclasses
import datetime
import os
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Network
from pathlib import Path

import docker
import pytest

from orchestrator.model.plan import Plan, Role
from orchestrator.testbed.bring_up import launched
from orchestrator.testbed.claim import Claim, claim_slot
from orchestrator.testbed.connection import answering_client
from orchestrator.testbed.docker_engine import DockerEngine
from orchestrator.testbed.run import Run
from orchestrator.testbed.world import Testbed
from tests.unit.testbed.scripted_cluster import compose_file, node_kill_plan

CLIENT_POOL = IPv4Network("198.18.0.0/16")
NODE_POOL = IPv4Network("10.100.0.0/16")


def newest_image(role: str) -> str:
    """The newest image of a role; images are built by `make images`, never by a test."""
    client = docker.from_env()
    images = client.images.list(name=f"ingress-testbed/{role}")
    client.close()
    if not images:
        pytest.fail(f"no image ingress-testbed/{role}: run `make images`")
    found = max(images, key=lambda image: image.attrs["Created"]).id
    assert found is not None
    return found


def free_subnet(pool: IPv4Network) -> IPv4Network:
    """A subnet of the pool that no network of the engine has."""
    client = docker.from_env()
    taken = [
        IPv4Network(config["Subnet"])
        for network in client.networks.list()
        for config in (network.attrs["IPAM"]["Config"] or [])
        if ":" not in config["Subnet"]
    ]
    client.close()
    return next(subnet for subnet in pool.subnets(new_prefix=24) if not any(subnet.overlaps(other) for other in taken))


def make_lab_run(directory: Path, *, bare: bool, expires_in_s: int) -> Run:
    """`bare`: every container runs the base image, with init alone."""
    images = {role: newest_image("base" if bare and role is not Role.WARDEN else role) for role in Role}
    return Run(
        run_id=uuid.uuid4().hex[:8],
        directory=directory,
        owner_pid=os.getpid(),
        expires_in_s=expires_in_s,
        expires_unix_s=int(time.time()) + expires_in_s,
        images=images,
    )


def without_processes(plan: Plan) -> Plan:
    return dataclasses.replace(
        plan, containers=tuple(dataclasses.replace(item, config={**item.config, "processes": []}) for item in plan.containers)
    )


@contextmanager
def lab_claim(directory: Path, *, bare: bool = True, expires_in_s: int = 300) -> Iterator[Claim]:
    engine: DockerEngine = DockerEngine(answering_client())
    try:
        with claim_slot(
            engine,
            compose_file(),
            make_lab_run(directory, bare=bare, expires_in_s=expires_in_s),
            client_pool=CLIENT_POOL,
            node_pool=NODE_POOL,
            stop=threading.Event(),
        ) as claim:
            yield claim
    finally:
        engine.close()


@contextmanager
def bare_testbed(directory: Path) -> Iterator[Testbed]:
    """The networks and containers of the default scenario, booted, with nothing but init inside."""
    with lab_claim(directory) as claim:
        plan = without_processes(node_kill_plan(slot=claim.slot))
        with launched(plan, claim, now=datetime.datetime.now(datetime.UTC)) as testbed:
            await_boot(testbed, {item.name for item in plan.containers if item.at_bring_up})
            yield testbed


def await_boot(testbed: Testbed, containers: set[str]) -> None:
    missing = set(containers)

    def lacking() -> list[str]:
        return [f"{name} has not booted" for name in sorted(missing)]

    testbed.wait_state(
        lambda event: missing.discard(event.container) if event.event == "booted" else None, lacking, deadline_s=30, what="boot"
    )
