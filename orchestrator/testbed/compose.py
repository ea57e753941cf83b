"""Reads compose/testbed.yaml: the subset of the Compose Specification that the testbed realises; other keys are refused."""

from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from orchestrator.errors import Problem, ScenarioError
from orchestrator.model.plan import NetworkName, Role
from orchestrator.scenario.loading import read_yaml


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ComposeUlimit(_Strict):
    soft: int
    hard: int


class ComposeLogging(_Strict):
    driver: Literal["json-file"]
    options: dict[str, str] = {}


class ComposeAttachment(_Strict):
    ipv4_address: IPv4Address


class ComposeService(_Strict):
    """Settings of one role. What Compose would default stays out, so that the file says everything."""

    image: str
    init: Literal[False]
    restart: Literal["no"]
    dns: tuple[str, ...]
    logging: ComposeLogging
    cap_drop: tuple[str, ...]
    cap_add: tuple[str, ...]
    security_opt: tuple[str, ...] = ()
    cpu_shares: int | None = Field(default=None, ge=2)
    cgroup_parent: Literal["/"] | None = None
    mem_limit: str
    pids_limit: int = Field(ge=1)
    ulimits: dict[str, ComposeUlimit] = {}
    sysctls: dict[str, str] = {}
    ports: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    network_mode: Literal["host"] | None = None
    stdin_open: bool = False
    networks: dict[NetworkName, ComposeAttachment] = {}

    @model_validator(mode="after")
    def _one_way_to_the_network(self) -> "ComposeService":
        if (self.network_mode is None) == (not self.networks):
            raise ValueError("needs either network_mode or networks")
        return self

    @property
    def published(self) -> tuple[tuple[str, int], ...]:
        """Host address and container port of every `ADDRESS::PORT`."""
        return tuple((host, int(port)) for host, _, port in (item.rpartition("::") for item in self.ports))


class ComposePool(_Strict):
    subnet: IPv4Network
    gateway: IPv4Address


class ComposeIpam(_Strict):
    config: tuple[ComposePool, ...] = Field(min_length=1, max_length=1)


class ComposeNetwork(_Strict):
    driver: Literal["bridge"]
    driver_opts: dict[str, str]
    ipam: ComposeIpam


class ComposeFile(_Strict):
    name: str
    services: dict[Role, ComposeService]
    networks: dict[NetworkName, ComposeNetwork]

    @model_validator(mode="before")
    @classmethod
    def _without_extensions(cls, value: object) -> object:
        """Keys that begin with `x-` carry anchors and are ignored, as the specification says."""
        if isinstance(value, dict):
            return {key: item for key, item in value.items() if not str(key).startswith("x-")}
        return value

    @model_validator(mode="after")
    def _complete(self) -> "ComposeFile":
        if missing := sorted(set(Role) - set(self.services)):
            raise ValueError(f"services: missing {', '.join(missing)}")
        if missing_networks := sorted(set(NetworkName) - set(self.networks)):
            raise ValueError(f"networks: missing {', '.join(missing_networks)}")
        return self


def load_compose(file: Path) -> ComposeFile:
    """Raises ScenarioError naming the file and every key that is wrong."""
    try:
        return ComposeFile.model_validate(next(iter(read_yaml(file)), None))
    except ValidationError as error:
        problems = [
            Problem(key=".".join(str(part) for part in item["loc"]), message=item["msg"])
            for item in error.errors(include_url=False, include_input=False)
        ]
        raise ScenarioError(file, problems) from None
