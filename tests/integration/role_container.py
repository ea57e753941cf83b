"""Containers of one role for tests of what runs inside them: configured, started, asked, and always removed."""

from __future__ import annotations

import io
import json
import tarfile
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import docker
import pytest
from docker.models.containers import Container

from orchestrator.testbed.image_sources import BASE
from orchestrator.testbed.images import plan_images
from orchestrator.testbed.labels import labels_for_test
from tests.kept_output import execute

ROOT = Path(__file__).resolve().parents[2]


@cache
def image_tags() -> Mapping[str, str]:
    """Of the sources as they stand: the engine may have images of others, and newer ones."""
    plan = plan_images(ROOT)
    return {BASE: plan.base_tag, **plan.tags}


def find_image(client: docker.DockerClient, role: str) -> str:
    """The image that the present sources ask for."""
    tag = image_tags()[role]
    try:
        client.images.get(tag)
    except docker.errors.ImageNotFound:
        pytest.fail(f"no image {tag}: run `make images`")
    return tag


def pack(files: Mapping[str, str | bytes]) -> bytes:
    """A tar archive of files by absolute path, mode 0600 as the orchestrator puts them."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path, content in files.items():
            body = content.encode() if isinstance(content, str) else content
            member = tarfile.TarInfo(path.lstrip("/"))
            member.size, member.mode = len(body), 0o600
            archive.addfile(member, io.BytesIO(body))
    return buffer.getvalue()


@dataclass(frozen=True, slots=True)
class RoleContainer:
    """A running container."""

    container: Container

    def run(self, *argv: str) -> str:
        """Standard output of a command inside; anything but status 0 fails the test."""
        status, output, errors = execute(self.container, argv)
        assert status == 0, f"{argv} gave {status}: {errors}{output}"
        return output

    def background(self, *argv: str) -> Background:
        """Start a command inside and go on; its output is kept in a file there."""
        output = f"/tmp/{uuid.uuid4().hex}"
        self.container.exec_run(["sh", "-c", f'exec "$@" > {output}', "sh", *argv], detach=True)
        return Background(self, output)

    def ctl(self, **request: object) -> dict[str, Any]:
        """Ask init."""
        status, output, errors = execute(self.container, ["testbed-ctl", json.dumps(request)])
        assert output, f"{request} gave {status}: {errors}"
        answer: dict[str, Any] = json.loads(output)
        return answer

    def events(self, name: str | None = None) -> list[dict[str, Any]]:
        """The events so far, oldest first."""
        lines = self.container.logs(stderr=False).decode().splitlines()
        events = [json.loads(line) for line in lines if line.startswith('{"t_mono_ns"') and line.endswith("}")]
        return [event for event in events if name in (None, event["event"])]

    def wait_event(self, name: str, *, count: int = 1, deadline_s: float = 30.0, **fields: object) -> dict[str, Any]:
        """Wait for the `count`th event of that name with these fields and return it."""
        until_s = time.monotonic() + deadline_s
        while True:
            found = [event for event in self.events(name) if fields.items() <= event["fields"].items()]
            if len(found) >= count:
                return found[count - 1]
            if time.monotonic() > until_s:
                log = self.container.logs(tail=40).decode()
                pytest.fail(f"no {name} {fields} within {deadline_s:g} s; {len(found)} of {count}; log:\n{log}")
            time.sleep(0.02)

    def wait_exit(self, deadline_s: float = 30.0) -> int:
        """The exit status of init."""
        status: int = self.container.wait(timeout=deadline_s)["StatusCode"]
        return status

    @property
    def address(self) -> str:
        """Its address on its only network."""
        self.container.reload()
        (network,) = self.container.attrs["NetworkSettings"]["Networks"].values()
        address: str = network["IPAddress"]
        return address


@dataclass(frozen=True, slots=True)
class Background:
    """A command that runs inside a container."""

    container: RoleContainer
    output: str

    def line(self, number: int, *, deadline_s: float = 15.0) -> str:
        """Wait for the `number`th complete line of its output (from 1) and return it."""
        until_s = time.monotonic() + deadline_s
        while True:
            lines = self.container.run("sh", "-c", f"cat {self.output} 2>/dev/null || true").split("\n")[:-1]
            if len(lines) >= number:
                return lines[number - 1]
            if time.monotonic() > until_s:
                pytest.fail(f"no line {number} of output within {deadline_s:g} s: {lines}")
            time.sleep(0.05)


def render_config(**changes: object) -> str:
    """`/etc/testbed/config.json` of a container with nothing to do."""
    base = {
        "run_id": "test",
        "container": "subject",
        "role": "test",
        "expires_in_s": 120,
        "default_via": None,
        "routes": [],
        "processes": [],
        "settings": {},
    }
    return json.dumps(base | changes)


@contextmanager
def started(
    client: docker.DockerClient,
    role: str,
    *,
    config: str,
    network: str = "none",
    files: Mapping[str, str | bytes] | None = None,
    cap_add: Sequence[str] = ("NET_ADMIN", "KILL"),
    sysctls: Mapping[str, str] | None = None,
    security_opt: Sequence[str] = (),
    outweighs: bool = False,
) -> Iterator[RoleContainer]:
    """A container of the role with no more capabilities than these, started; removed at the end whatever happens.

    `outweighs`: it has the client's weight on the machine (compose/testbed.yaml), whatever else runs there.
    """
    weight: dict[str, Any] = {"cpu_shares": 8192} if outweighs else {}
    if outweighs and client.info()["CgroupDriver"] == "cgroupfs":
        weight["cgroup_parent"] = "/"
    container = client.containers.create(
        find_image(client, role),
        name=f"itb-test-{uuid.uuid4().hex[:12]}",
        network=network,
        cap_drop=["ALL"],
        cap_add=list(cap_add),
        sysctls=dict(sysctls or {}),
        security_opt=list(security_opt),
        labels=dict(labels_for_test()),
        **weight,
    )
    try:
        container.put_archive("/", pack({"/etc/testbed/config.json": config, **(files or {})}))
        container.start()
        yield RoleContainer(container)
    finally:
        container.remove(force=True)


@contextmanager
def private_network(client: docker.DockerClient) -> Iterator[str]:
    """A bridge network of the test's own, without a way out."""
    network = client.networks.create(
        f"itb-test-{uuid.uuid4().hex[:12]}", driver="bridge", internal=True, labels=dict(labels_for_test())
    )
    try:
        yield network.name
    finally:
        network.remove()
