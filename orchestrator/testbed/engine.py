"""The container engine as this package uses it: a small seam with data on both sides. No docker here."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network
from typing import Protocol

Labels = Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkSpec:
    """A network to create."""

    name: str
    subnet: IPv4Network
    router: IPv4Address
    driver: str
    driver_opts: Mapping[str, str]
    labels: Labels


@dataclass(frozen=True, slots=True, kw_only=True)
class Ulimit:
    name: str
    soft: int
    hard: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerSpec:
    """A container to create, attached to its networks with fixed addresses, not started."""

    name: str
    image: str
    hostname: str
    labels: Labels
    networks: tuple[tuple[str, IPv4Address], ...] = ()
    """Network names and the address in each, in the order of the plan; none: the host's network."""
    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    security_opt: tuple[str, ...] = ()
    sysctls: Mapping[str, str] = field(default_factory=dict)
    ulimits: tuple[Ulimit, ...] = ()
    cpu_shares: int | None = None
    cgroup_parent: str | None = None
    """Where its control group stands, if the engine makes groups itself (driver cgroupfs); None: in the engine's own."""
    mem_limit: str | None = None
    pids_limit: int | None = None
    dns: tuple[str, ...] = ()
    published: tuple[tuple[str, int], ...] = ()
    """Host address and container port; the host's port is the engine's choice."""
    binds: tuple[str, ...] = ()
    log_options: Mapping[str, str] = field(default_factory=dict)
    stdin: bool = False
    """Standard input stays open for one attached client and ends with it."""
    auto_remove: bool = False
    command: tuple[str, ...] | None = None


class OutputStream(StrEnum):
    STDOUT = "stdout"
    STDERR = "stderr"


class Attachment(Protocol):
    """The connection to a container's standard streams, from before its start to its end."""

    def read(self) -> Iterator[tuple[OutputStream, bytes]]:
        """Output as it comes, until the container ends. Raises EngineError."""
        ...

    def send(self, text: bytes) -> None: ...

    def end_input(self) -> None:
        """End of file on the container's standard input."""
        ...


class Execution(Protocol):
    """A command that runs in a container."""

    def read(self) -> Iterator[tuple[OutputStream, bytes]]: ...

    def status(self) -> int | None:
        """The exit status, None while it runs."""
        ...

    def close(self) -> None:
        """Give up the connection; the command is not touched."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineEvent:
    """Something that the engine saw, with its own wall clock."""

    t_wall_ns: int
    action: str
    labels: Labels


class EventFeed(Protocol):
    def read(self) -> Iterator[EngineEvent]: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A container or network that is there."""

    id: str
    name: str
    labels: Labels
    running: bool = False
    never_started: bool = False


class PoolOverlapError(Exception):
    """The engine refused a subnet because another network has it."""


class Engine(Protocol):
    """Every method raises EngineError; removing what is not there is no error."""

    def create_network(self, spec: NetworkSpec) -> str:
        """Returns the id. Raises PoolOverlapError."""
        ...

    def remove_network(self, network: str) -> None: ...

    def networks(self, labels: Labels) -> tuple[Found, ...]:
        """Those with all these labels; an empty value asks for the label alone."""
        ...

    def create_container(self, spec: ContainerSpec) -> str: ...

    def put_archive(self, container: str, archive: bytes) -> None:
        """Unpack a tar archive at the container's root."""
        ...

    def get_archive(self, container: str, path: str) -> bytes | None:
        """A tar archive of the path, None when it is not there."""
        ...

    def attach(self, container: str, *, stdin: bool = False) -> Attachment:
        """Before the start, so that not one line is missed."""
        ...

    def replay(self, container: str) -> Attachment:
        """What the container has said since it was created, and what it goes on saying. Takes no input."""
        ...

    def start(self, container: str) -> None: ...

    def stop(self, container: str, grace_s: float) -> None: ...

    def remove_container(self, container: str) -> None:
        """With SIGKILL when it runs, and with its volumes."""
        ...

    def containers(self, labels: Labels) -> tuple[Found, ...]: ...

    def is_running(self, container: str) -> bool: ...

    def host_port(self, container: str, port: int) -> int: ...

    def wait_removed(self, container: str, deadline_s: float) -> bool: ...

    def execute(self, container: str, argv: Sequence[str]) -> Execution: ...

    def events(self, labels: Labels) -> EventFeed: ...
