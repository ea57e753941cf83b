"""What stands: roles, networks and containers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network


class Role(StrEnum):
    """What a container is there for. The only one of its role has its name."""

    CONTROLPLANE = "controlplane"
    GATEWAY = "gateway"
    LOADBALANCER = "loadbalancer"
    CLIENT = "client"
    NODE = "node"
    WARDEN = "warden"


class NetworkName(StrEnum):
    CLIENTS = "clients"
    NODES = "nodes"
    MGMT = "mgmt"


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkPlan:
    """One bridge network. `router` is the address that Docker's IPAM takes for itself; no container uses it as next hop."""

    name: NetworkName
    subnet: IPv4Network
    router: IPv4Address


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    network: NetworkName
    address: IPv4Address


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramPlan:
    """A program of the user's own that is put into a container. The plan holds its fingerprint, the file its content."""

    path: str
    """In the container."""
    source: str
    """On the user's machine."""
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerPlan:
    """One container. `config` is its /etc/testbed/config.json less run id, token and expiry, which the run adds."""

    name: str
    role: Role
    attachments: tuple[Attachment, ...]
    config: Mapping[str, object]
    at_bring_up: bool = True
    """False: created later, by a step that adds nodes."""
    programs: tuple[ProgramPlan, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    """Absolute path -> text, put into the container beside its configuration."""
    sysctls: Mapping[str, str] = field(default_factory=dict)
    """Over those of compose/testbed.yaml."""

    @property
    def address(self) -> IPv4Address:
        """The address in the first network of its role."""
        return self.attachments[0].address
