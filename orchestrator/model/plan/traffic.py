"""What is asked of it and what must come back: paths, load, objectives and limits."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Expectation(StrEnum):
    """What a path must answer while nothing is wrong."""

    OK = "ok"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsSecretPlan:
    """A Secret of type kubernetes.io/tls that an Ingress names and no manifest holds: the run makes it, by its own authority."""

    namespace: str
    name: str
    hosts: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PathPlan:
    """One ingress path of the run: `name` is the scenario's, `kind` the file in orchestrator/ingress."""

    name: str
    kind: str
    url: str
    expect: Expectation
    service: str
    """Namespace/name of the Service that the path reaches; where none is in the way, of the Deployment or pod."""
    entry_nodes: tuple[str, ...]
    """Nodes through which the path enters the cluster; empty: all of them, chosen by the load balancer."""
    frontend: str | None = None
    """HAProxy backend that serves the path, None without a load balancer."""
    settings: Mapping[str, object] = field(default_factory=dict)
    connect_to: str | None = None
    """The address that is called in place of the URL's host, which stays what is asked for."""
    ca_file: str | None = None
    """In the client: who may sign the certificate of an https URL."""

    @property
    def probe_options(self) -> tuple[str, ...]:
        """Words for `loadtests.probe` besides the URL (docs/contracts.md section 5)."""
        given = (("--connect-to", self.connect_to), ("--ca-file", self.ca_file))
        return tuple(word for option, value in given if value is not None for word in (option, value))


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadClassPlan:
    """One Locust user class: an open arrival process of one connection class on one path."""

    path: str
    connection_class: str
    url: str
    rate_rps: float
    connections: int
    arrivals: str = "uniform"
    expect: str = "pod"
    connect_to: str | None = None
    ca_file: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadPlan:
    duration_s: float
    timeout_s: float
    in_flight_limit: int
    seed: int
    classes: tuple[LoadClassPlan, ...]
    lateness_limit_s: float = 0.010
    """p99 of sent minus intended of every class; beyond it nothing is judged."""
    control_latency_limit_s: float = 0.100
    """p99 of the control probe; beyond it the machine was disturbed and nothing is judged."""

    def classes_of(self, path: str) -> tuple[LoadClassPlan, ...]:
        return tuple(item for item in self.classes if item.path == path)


@dataclass(frozen=True, slots=True, kw_only=True)
class StopPlan:
    """A limit of failed requests of one class of a path, beyond which the run ends early."""

    path: str
    connection_class: str | None
    """None: any class of the path."""
    failed: int
    text: str
    """What the user set as the limit."""
    is_objective: bool
    """Beyond it the path's availability objective cannot be met any more, whatever follows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SloPlan:
    """One objective: `<kind> <operator> <threshold>` for a path, or for one connection class of it."""

    path: str
    connection_class: str | None
    kind: str
    text: str
    """As the user wrote it, for example `>= 97%`."""
    operator: str
    threshold: float

    @property
    def subject(self) -> str:
        return self.path if self.connection_class is None else f"{self.path}/{self.connection_class}"
