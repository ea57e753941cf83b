"""The engine seam on a Docker Engine (API 1.41, Docker 20.10, to current). Effects only: nothing is decided here."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import docker  # noqa: TID251 - this package is docker's only importer
import docker.errors  # noqa: TID251
from docker.types import IPAMConfig, IPAMPool, LogConfig  # noqa: TID251
from docker.types import Ulimit as DockerUlimit  # noqa: TID251

from orchestrator.errors import EngineError
from orchestrator.testbed.border import engine_border, explain
from orchestrator.testbed.connection import CALL_TIMEOUT_S
from orchestrator.testbed.docker_streams import DockerAttachment, DockerEvents, DockerExecution, DockerLog
from orchestrator.testbed.engine import (
    Attachment,
    ContainerSpec,
    EventFeed,
    Execution,
    Found,
    Labels,
    NetworkSpec,
    PoolOverlapError,
)


class DockerEngine:
    """One engine. Its methods are called from several threads."""

    def __init__(self, client: docker.APIClient) -> None:
        # The library's own annotations are partial; the seam's types hold from here on.
        self._api: Any = client

    def close(self) -> None:
        self._api.close()

    def newest_image(self, repository: str) -> str | None:
        """The image of a repository that was made last; None where there is none."""
        with engine_border(f"look for images of {repository}"):
            found = self._api.images(name=repository)
        return str(max(found, key=lambda image: image["Created"])["Id"]) if found else None

    def create_network(self, spec: NetworkSpec) -> str:
        pool = IPAMPool(subnet=str(spec.subnet), gateway=str(spec.router))
        with engine_border(f"create network {spec.name} {spec.subnet}"):
            try:
                answer = self._api.create_network(
                    spec.name,
                    driver=spec.driver,
                    options=dict(spec.driver_opts),
                    ipam=IPAMConfig(pool_configs=[pool]),
                    check_duplicate=True,
                    labels=dict(spec.labels),
                )
            except docker.errors.APIError as error:
                if "overlap" in explain(error).lower():
                    raise PoolOverlapError(explain(error)) from error
                raise
        return str(answer["Id"])

    def remove_network(self, network: str) -> None:
        with engine_border(f"remove network {network}"), _absent_is_fine():
            self._api.remove_network(network)

    def networks(self, labels: Labels) -> tuple[Found, ...]:
        with engine_border("list networks"):
            answer = self._api.networks(filters={"label": _label_filter(labels)})
        return tuple(Found(id=item["Id"], name=item["Name"], labels=item["Labels"] or {}) for item in answer)

    def create_container(self, spec: ContainerSpec) -> str:
        first, *others = [*spec.networks, None]
        with engine_border(f"create container {spec.name}"):
            answer = self._api.create_container(
                spec.image,
                command=list(spec.command) if spec.command is not None else None,
                name=spec.name or None,
                hostname=spec.hostname if first else None,
                labels=dict(spec.labels),
                stdin_open=spec.stdin,
                ports=[port for _, port in spec.published],
                host_config=self._host_config(spec, first[0] if first else "host"),
                networking_config=self._endpoint(*first) if first else None,
            )
            # One network at creation: engines before API 1.44 refuse more. The others join before the start.
            for item in others:
                if item is not None:
                    network, address = item
                    self._api.connect_container_to_network(answer["Id"], network, ipv4_address=str(address))
        return str(answer["Id"])

    def _endpoint(self, network: str, address: object) -> Any:
        endpoint = self._api.create_endpoint_config(ipv4_address=str(address))
        return self._api.create_networking_config({network: endpoint})

    def _host_config(self, spec: ContainerSpec, network_mode: str) -> Any:
        return self._api.create_host_config(
            network_mode=network_mode,
            auto_remove=spec.auto_remove,
            cap_add=list(spec.cap_add),
            cap_drop=list(spec.cap_drop),
            security_opt=list(spec.security_opt),
            sysctls=dict(spec.sysctls),
            ulimits=[DockerUlimit(name=item.name, soft=item.soft, hard=item.hard) for item in spec.ulimits],
            cpu_shares=spec.cpu_shares,
            cgroup_parent=spec.cgroup_parent if spec.cgroup_parent and self._makes_cgroups else None,
            mem_limit=spec.mem_limit,
            pids_limit=spec.pids_limit,
            dns=list(spec.dns) or None,
            binds=list(spec.binds) or None,
            port_bindings={port: (host, None) for host, port in spec.published},
            log_config=LogConfig(type="json-file", config=dict(spec.log_options)),
            init=False,
        )

    @cached_property
    def _makes_cgroups(self) -> bool:
        """Whether a group can be named by its path. With systemd it would have to be a slice."""
        return bool(self._api.info()["CgroupDriver"] == "cgroupfs")

    def put_archive(self, container: str, archive: bytes) -> None:
        with engine_border(f"put files into {container}"):
            self._api.put_archive(container, "/", archive)

    def get_archive(self, container: str, path: str) -> bytes | None:
        with engine_border(f"fetch {path} from {container}"):
            try:
                chunks, _ = self._api.get_archive(container, path)
            except docker.errors.NotFound:
                return None
            return b"".join(chunks)

    def attach(self, container: str, *, stdin: bool = False) -> Attachment:
        params = {"stdout": 1, "stderr": 1, "stream": 1, "stdin": int(stdin)}
        with engine_border(f"attach to {container}"):
            return DockerAttachment(container, self._api.attach_socket(container, params=params))

    def replay(self, container: str) -> Attachment:
        with engine_border(f"read the log of {container}"):
            response = self._api.get(
                f"{self._api.base_url}/v{self._api.api_version}/containers/{container}/logs",
                params={"stdout": 1, "stderr": 1, "follow": 1},
                stream=True,
                timeout=(CALL_TIMEOUT_S, None),
            )
            docker_raise_for_status(response)
        return DockerLog(container, response)

    def start(self, container: str) -> None:
        with engine_border(f"start container {container[:12]}"):
            self._api.start(container)

    def stop(self, container: str, grace_s: float) -> None:
        with engine_border(f"stop {container}"), _absent_is_fine():
            self._api.stop(container, timeout=round(grace_s))

    def remove_container(self, container: str) -> None:
        with engine_border(f"remove {container}"), _absent_is_fine():
            self._api.remove_container(container, v=True, force=True)

    def containers(self, labels: Labels) -> tuple[Found, ...]:
        with engine_border("list containers"):
            answer = self._api.containers(all=True, filters={"label": _label_filter(labels)})
        return tuple(
            Found(
                id=item["Id"],
                name=item["Names"][0].removeprefix("/") if item["Names"] else item["Id"][:12],
                labels=item["Labels"] or {},
                running=item["State"] == "running",
                never_started=item["State"] == "created",
            )
            for item in answer
        )

    def is_running(self, container: str) -> bool:
        with engine_border(f"inspect {container}"):
            return bool(self._api.inspect_container(container)["State"]["Running"])

    def host_port(self, container: str, port: int) -> int:
        with engine_border(f"inspect {container}"):
            bindings = self._api.inspect_container(container)["NetworkSettings"]["Ports"].get(f"{port}/tcp")
        if not bindings:
            raise EngineError(f"the engine did not publish port {port} of {container}")
        return int(bindings[0]["HostPort"])

    def wait_removed(self, container: str, deadline_s: float) -> bool:
        deadline = time.monotonic() + deadline_s
        with engine_border(f"inspect {container}"):
            while time.monotonic() < deadline:
                try:
                    self._api.inspect_container(container)
                except docker.errors.NotFound:
                    return True
                time.sleep(0.02)
        return False

    def execute(self, container: str, argv: Sequence[str]) -> Execution:
        with engine_border(f"run {argv[0]} in {container}"):
            execution = self._api.exec_create(container, list(argv))["Id"]
            # Without the library's own `Upgrade` header: it reads the raw socket past the buffered headers, and output that
            # arrives together with them is lost.
            response = self._api.post(
                f"{self._api.base_url}/v{self._api.api_version}/exec/{execution}/start",
                json={"Detach": False, "Tty": False},
                stream=True,
                timeout=(CALL_TIMEOUT_S, None),
            )
            docker_raise_for_status(response)
        return DockerExecution(self._api, container, execution, response)

    def events(self, labels: Labels) -> EventFeed:
        with engine_border("follow events"):
            stream = self._api.events(decode=True, filters={"type": "container", "label": _label_filter(labels)})
        return DockerEvents(stream)


def docker_raise_for_status(response: Any) -> None:
    """The library's mapping of an HTTP status to its errors, for the one call that is made by hand."""
    if response.status_code >= 400:
        raise docker.errors.APIError(f"status {response.status_code}", response=response, explanation=response.text)


@contextmanager
def _absent_is_fine() -> Iterator[None]:
    """For removals: what is not there any more, or already going (409), is what was wanted."""
    try:
        yield
    except docker.errors.NotFound:
        return
    except docker.errors.APIError as error:
        if error.status_code != 409 or "in progress" not in explain(error):
            raise


def _label_filter(labels: Labels) -> list[str]:
    return [f"{key}={value}" if value else key for key, value in labels.items()]
