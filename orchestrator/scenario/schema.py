"""A scenario as a user writes it (pydantic models; the published JSON Schema is made from them). Options of paths, faults and
objectives stay undecoded here: their kinds own them, and the planner checks them through the registry."""

from ipaddress import IPv4Network
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, StrictBool, StrictInt, model_validator

from orchestrator.scenario.entries import Entry
from orchestrator.scenario.quantities import DurationS, PositiveDurationS, RateRps


def _network_text(value: object) -> object:
    """A network is written as text: pydantic itself takes a number for an address."""
    if not isinstance(value, str | IPv4Network):
        raise ValueError("is not a network; allowed: text such as 10.0.0.0/16")
    return value


Network = Annotated[IPv4Network, BeforeValidator(_network_text, json_schema_input_type=IPv4Network)]
NAME = r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"
_LABEL = r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?"
LabelKey = Annotated[str, Field(pattern=rf"^([a-z0-9.-]{{1,253}}/)?{_LABEL}$")]
"""Source: kubernetes.io, "Labels and Selectors", syntax and character set."""
LabelValue = Annotated[str, Field(pattern=rf"^({_LABEL})?$")]
Name = Annotated[str, Field(pattern=NAME, max_length=50)]


class Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class KubeProxy(Strict):
    """The node's rule writer."""

    mode: Literal["nftables", "iptables"] = "nftables"
    binary: str | None = Field(
        default=None, min_length=1, description="a kube-proxy of your own, beside the scenario, that writes the nodes' rules"
    )
    args: tuple[str, ...] = Field(default=(), description="flags for that kube-proxy beside the testbed's own, such as --v=4")
    detect_local: Literal["ClusterCIDR", "NodeCIDR", "BridgeInterface", "InterfaceNamePrefix", "none"] = Field(
        default="ClusterCIDR", description="how the rules tell a pod's packets; none: ClusterCIDR without a --cluster-cidr"
    )
    masquerade_all: StrictBool = Field(default=False, description="also what pods send to cluster IPs")
    node_port_addresses: Literal["primary", "all"] | Annotated[tuple[Network, ...], Field(min_length=1)] | None = Field(
        default=None,
        description="of each node, or the networks that they are in; by default primary in nftables mode, all in iptables mode",
    )
    min_sync_period: DurationS | None = Field(default=None, description="overrides the timings profile")
    sync_period: PositiveDurationS | None = Field(default=None, description="overrides the timings profile")


class Timings(Strict):
    """A profile and single intervals that differ from it."""

    profile: Literal["kubernetes", "fast"] = "fast"
    lease_renew: PositiveDurationS | None = None
    lease_duration: PositiveDurationS | None = None
    status_update: PositiveDurationS | None = None
    node_monitor_period: PositiveDurationS | None = None
    node_monitor_grace_period: PositiveDurationS | None = None
    node_startup_grace_period: PositiveDurationS | None = None
    toleration: DurationS | None = None


class Cluster(Strict):
    nodes: StrictInt = Field(default=3, ge=1, description="nodes at the start")
    timings: Literal["kubernetes", "fast"] | Timings = "fast"
    kube_proxy: KubeProxy = KubeProxy()
    node_labels: dict[str, dict[LabelKey, LabelValue]] = Field(
        default={}, description="labels by node, also of nodes that join later"
    )
    pod_network: Network = IPv4Network("10.0.0.0/16")
    service_network: Network = IPv4Network("10.3.240.0/20")
    node_pool: Network = Field(default=IPv4Network("10.100.0.0/16"), description="node networks: one /24 per address slot")
    client_pool: Network = Field(default=IPv4Network("198.18.0.0/16"), description="client networks: one /24 per slot")

    @property
    def timings_spec(self) -> Timings:
        return self.timings if isinstance(self.timings, Timings) else Timings(profile=self.timings)


class Load(Strict):
    rate: RateRps = Field(default=200.0, validate_default=False, description="of every path and connection class")
    classes: tuple[Literal["new", "keepalive"], ...] = Field(default=("new", "keepalive"), min_length=1)
    timeout: PositiveDurationS = Field(default=1.0, validate_default=False)
    arrivals: Literal["uniform", "poisson"] = "uniform"
    connections: StrictInt = Field(default=20, ge=1, le=1000, description="kept-alive connections of a class")
    control_rate: RateRps = Field(default=50.0, validate_default=False, description="of the control probe")
    lateness_limit: PositiveDurationS = Field(
        default=0.010, validate_default=False, description="p99 of sent minus intended; beyond it the trial is INVALID"
    )
    control_latency_limit: PositiveDurationS = Field(
        default=0.100, validate_default=False, description="p99 of the control probe; beyond it the trial is INVALID"
    )
    in_flight_limit: StrictInt | None = Field(default=None, ge=1, description="default: rates times time-out, and half more")

    @model_validator(mode="after")
    def _classes_once(self) -> Self:
        if len(set(self.classes)) != len(self.classes):
            raise ValueError("names a connection class twice; allowed: each once")
        return self


class StopCondition(Strict):
    """Ends the run early, healed and judged, when going on would cost more than it tells."""

    path: str = Field(description="a path, or `control` for the control probe")
    failed: StrictInt | None = Field(default=None, ge=1, description="so many failed requests of one connection class")
    error_budget: Annotated[str, Field(pattern=r"^\d+(\.\d+)?%$", examples=["100%"])] | None = Field(
        default=None, description="this share of what the path's availability objective lets fail over the whole load"
    )

    @model_validator(mode="after")
    def _one_limit(self) -> Self:
        if (self.failed is None) == (self.error_budget is None):
            raise ValueError("needs one limit; allowed: either `failed: 100` or `error_budget: 100%`")
        return self


class Scenario(Strict):
    name: Name
    question: str = Field(min_length=1, description="what the experiment answers, in one sentence")
    cluster: Cluster = Cluster()
    manifests: tuple[str, ...] = Field(min_length=1, description="Kubernetes YAML files, beside the scenario or in ../manifests")
    paths: dict[Name, dict[str, JsonValue]] = Field(
        min_length=1, description="ingress paths; a key is the kind unless the value names a `kind`"
    )
    load: Load = Load()
    timeline: tuple[Entry, ...] = ()
    stop_when: tuple[StopCondition, ...] = Field(default=(), description="conditions that end the run early")
    duration: PositiveDurationS
    convergence_validation: PositiveDurationS = Field(
        default=1.0, validate_default=False, description="every request ok for this long counts as converged (RFC 6412)"
    )
    slo: dict[str, dict[str, JsonValue]] = Field(default={}, description="objectives by path, or by path/class")
    trials: StrictInt = Field(default=1, ge=1, le=1000)
    seed: StrictInt = Field(default=0, ge=0, lt=2**63)
