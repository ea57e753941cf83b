"""The plan as a whole."""

from collections.abc import Mapping
from dataclasses import dataclass

from orchestrator.model.plan.containers import ContainerPlan, NetworkName, NetworkPlan, Role
from orchestrator.model.plan.steps import StepPlan
from orchestrator.model.plan.traffic import LoadPlan, PathPlan, SloPlan, StopPlan, TlsSecretPlan


@dataclass(frozen=True, slots=True, kw_only=True)
class TimingsPlan:
    """The profile's name and every interval in it, in seconds."""

    profile: str
    values: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Same scenario, seed and address slot: the same plan, byte for byte."""

    scenario: str
    question: str
    seed: int
    slot: int
    trial: int
    timings: TimingsPlan
    cluster: Mapping[str, object]
    """kube-proxy mode and the like, as reported."""
    networks: tuple[NetworkPlan, ...]
    containers: tuple[ContainerPlan, ...]
    objects: tuple[Mapping[str, object], ...]
    """Kubernetes objects of the manifests, applied when the nodes are ready."""
    paths: tuple[PathPlan, ...]
    control_path: str
    load: LoadPlan
    timeline: tuple[StepPlan, ...]
    slos: tuple[SloPlan, ...]
    stops: tuple[StopPlan, ...] = ()
    convergence_validation_s: float = 1.0
    """Every request must be ok for this long before a path counts as converged (RFC 6412 section 3.5.4)."""
    kernel_features: tuple[str, ...] = ()
    """Features of the engine's kernel that the plan needs, beyond those of every testbed."""
    tls_secrets: tuple[TlsSecretPlan, ...] = ()
    """Names only: certificates and keys are the run's."""

    def container(self, name: str) -> ContainerPlan:
        return next(item for item in self.containers if item.name == name)

    def of_role(self, role: Role) -> tuple[ContainerPlan, ...]:
        return tuple(item for item in self.containers if item.role is role)

    def path(self, name: str) -> PathPlan:
        return next(item for item in self.paths if item.name == name)

    def network(self, name: NetworkName) -> NetworkPlan:
        return next(item for item in self.networks if item.name is name)
