"""The plan: everything that a run will do, decided before the first container starts. Must not hold secrets or run ids."""

from orchestrator.model.plan.containers import Attachment, ContainerPlan, NetworkName, NetworkPlan, ProgramPlan, Role
from orchestrator.model.plan.steps import ENDING, MOMENTARY, ORDERS_S, StepPlan, TriggerPlan
from orchestrator.model.plan.traffic import Expectation, LoadClassPlan, LoadPlan, PathPlan, SloPlan, StopPlan, TlsSecretPlan
from orchestrator.model.plan.whole import Plan, TimingsPlan

__all__ = [
    "ENDING",
    "MOMENTARY",
    "ORDERS_S",
    "Attachment",
    "ContainerPlan",
    "Expectation",
    "LoadClassPlan",
    "LoadPlan",
    "NetworkName",
    "NetworkPlan",
    "PathPlan",
    "Plan",
    "ProgramPlan",
    "Role",
    "SloPlan",
    "StepPlan",
    "StopPlan",
    "TimingsPlan",
    "TlsSecretPlan",
    "TriggerPlan",
]
