"""PodDisruptionBudget (policy/v1): how many pods of a set evictions may take away at a time."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from controlplane.field_errors import FieldError, as_go, invalid_value
from controlplane.kinds.columns import AGE, NAME
from controlplane.kinds.names import check_choice, check_selector, check_share, is_more_than_everything
from controlplane.kinds.resource import Column, Resource
from controlplane.objects import Object, spec_of, status_of
from controlplane.schema.meta import CONDITIONS, LABEL_SELECTOR, kind
from controlplane.schema.types import INT32, INT64, INT_OR_STRING, STRING, TIME, MapOf, struct

COUNTS = ("disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods")
BUDGET = kind(
    "PodDisruptionBudget",
    spec=struct(
        "PodDisruptionBudgetSpec",
        minAvailable=INT_OR_STRING,
        maxUnavailable=INT_OR_STRING,
        selector=LABEL_SELECTOR,
        unhealthyPodEvictionPolicy=STRING,
    ),
    status=struct(
        "PodDisruptionBudgetStatus",
        observedGeneration=INT64,
        disruptedPods=MapOf(value=TIME),
        **dict.fromkeys(COUNTS, INT32),
        conditions=CONDITIONS,
    ),
)
BOUNDS = ("minAvailable", "maxUnavailable")
POLICIES = ("AlwaysAllow", "IfHealthyBudget")


def default_budget(budget: Object) -> None:
    budget.setdefault("spec", {})
    budget["status"] = dict.fromkeys(COUNTS, 0) | status_of(budget)


def check_budget(budget: Object, before: Object | None) -> Iterable[FieldError]:
    """Source: kubernetes, pkg/apis/policy/validation."""
    spec = spec_of(budget)
    if all(spec.get(name) is not None for name in BOUNDS):
        shown = as_go(
            MinAvailable=spec["minAvailable"],
            Selector=spec.get("selector"),
            MaxUnavailable=spec["maxUnavailable"],
            UnhealthyPodEvictionPolicy=spec.get("unhealthyPodEvictionPolicy"),
        )
        yield invalid_value("spec", shown, "minAvailable and maxUnavailable cannot be both set")
    for name in BOUNDS:
        if spec.get(name) is not None:
            yield from check_share(spec[name], f"spec.{name}")
            if is_more_than_everything(spec[name]):
                yield invalid_value(f"spec.{name}", spec[name], "must not be greater than 100%")
    if spec.get("selector") is not None:
        yield from check_selector(spec["selector"], "spec.selector")
    if spec.get("unhealthyPodEvictionPolicy") is not None:
        yield from check_choice(spec["unhealthyPodEvictionPolicy"], POLICIES, "spec.unhealthyPodEvictionPolicy")
    if before is not None and status_of(budget) != status_of(before):
        for name in COUNTS:
            if (count := status_of(budget).get(name, 0)) < 0:
                yield invalid_value(f"status.{name}", count, "must be greater than or equal to 0")


def _bound(name: str) -> Any:
    def show(budget: Object, _: datetime) -> str:
        value = spec_of(budget).get(name)
        return "N/A" if value is None else str(value)

    return show


POD_DISRUPTION_BUDGETS = Resource(
    group="policy",
    kind="PodDisruptionBudget",
    plural="poddisruptionbudgets",
    short_names=("pdb",),
    schema=BUDGET,
    needs_version=True,
    has_status=True,
    has_generation=True,
    default=default_budget,
    validate=check_budget,
    columns=(
        NAME,
        Column(name="Min Available", cell=_bound("minAvailable")),
        Column(name="Max Unavailable", cell=_bound("maxUnavailable")),
        Column(
            name="Allowed Disruptions", cell=lambda budget, _: status_of(budget).get("disruptionsAllowed") or 0, type="integer"
        ),
        AGE,
    ),
)
