"""All seams of the orchestrator, as Protocols, and the facts that pass through them. No behaviour here."""

from orchestrator.contracts.context import (
    HostPortFacts,
    IngressFacts,
    IngressRuleFacts,
    PlanContext,
    ServiceFacts,
    ServicePortFacts,
    WorkloadFacts,
)
from orchestrator.contracts.kinds import About, Action, IngressPath, Kinds, PathParts, ReportFormat, Slo
from orchestrator.contracts.world import Clock, Kube, Load, Spawned, Stop, World

__all__ = [
    "About",
    "Action",
    "Clock",
    "HostPortFacts",
    "IngressFacts",
    "IngressPath",
    "IngressRuleFacts",
    "Kinds",
    "Kube",
    "Load",
    "PathParts",
    "PlanContext",
    "ReportFormat",
    "ServiceFacts",
    "ServicePortFacts",
    "Slo",
    "Spawned",
    "Stop",
    "WorkloadFacts",
    "World",
]
