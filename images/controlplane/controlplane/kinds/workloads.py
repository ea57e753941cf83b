"""Deployment and ReplicaSet (apps/v1), and Scale (autoscaling/v1)."""

from __future__ import annotations

from typing import Any

from controlplane.kinds.columns import AGE, NAME, show_selector
from controlplane.kinds.pod import show_containers, show_images
from controlplane.kinds.pod_spec import POD_TEMPLATE, default_pod_spec
from controlplane.kinds.resource import Column, Resource
from controlplane.kinds.workload_rules import check_deployment, check_replicaset
from controlplane.objects import Object, spec_of, status_of
from controlplane.schema.meta import LABEL_SELECTOR, conditions, kind
from controlplane.schema.types import COUNT, INT32, INT64, INT_OR_STRING, STRING, SWITCH, struct

_COUNTS = dict.fromkeys(("replicas", "readyReplicas", "availableReplicas", "terminatingReplicas"), INT32)
_ROLLING = struct("RollingUpdateDeployment", maxUnavailable=INT_OR_STRING, maxSurge=INT_OR_STRING)
DEPLOYMENT = kind(
    "Deployment",
    spec=struct(
        "DeploymentSpec",
        replicas=INT32,
        selector=LABEL_SELECTOR,
        template=POD_TEMPLATE,
        strategy=struct("DeploymentStrategy", type=STRING, rollingUpdate=_ROLLING),
        minReadySeconds=COUNT,
        revisionHistoryLimit=INT32,
        paused=SWITCH,
        progressDeadlineSeconds=INT32,
    ),
    status=struct(
        "DeploymentStatus",
        **_COUNTS,
        observedGeneration=INT64,
        updatedReplicas=INT32,
        unavailableReplicas=INT32,
        collisionCount=INT32,
        conditions=conditions("DeploymentCondition", "lastUpdateTime"),
    ),
)
REPLICASET = kind(
    "ReplicaSet",
    spec=struct("ReplicaSetSpec", replicas=INT32, minReadySeconds=COUNT, selector=LABEL_SELECTOR, template=POD_TEMPLATE),
    status=struct(
        "ReplicaSetStatus",
        **_COUNTS,
        fullyLabeledReplicas=INT32,
        observedGeneration=INT64,
        conditions=conditions("ReplicaSetCondition"),
    ),
)
SCALE = kind(
    "Scale",
    spec=struct("ScaleSpec", replicas=INT32),
    status=struct("ScaleStatus", replicas=INT32, selector=STRING),
)


def default_deployment(deployment: Object) -> None:
    spec = deployment.setdefault("spec", {})
    spec.setdefault("replicas", 1)
    spec.setdefault("revisionHistoryLimit", 10)
    spec.setdefault("progressDeadlineSeconds", 600)
    strategy = spec.setdefault("strategy", {})
    if strategy.setdefault("type", "RollingUpdate") == "RollingUpdate":
        rolling = strategy.setdefault("rollingUpdate", {})
        rolling.setdefault("maxUnavailable", "25%")
        rolling.setdefault("maxSurge", "25%")
    _default_template(spec)


def default_replicaset(replicaset: Object) -> None:
    replicaset["status"] = {"replicas": 0} | status_of(replicaset)
    spec = replicaset.setdefault("spec", {})
    spec.setdefault("replicas", 1)
    _default_template(spec)


def _default_template(spec: Object) -> None:
    template = spec.setdefault("template", {})
    template.setdefault("metadata", {})
    default_pod_spec(template.setdefault("spec", {}))


def resolve_share(value: Any, total: int, *, round_up: bool) -> int:
    """A number, or a percentage of `total` (apimachinery, intstr.GetScaledValueFromIntOrPercent)."""
    if isinstance(value, int):
        return value
    percent = int(str(value).removesuffix("%"))
    return -(-percent * total // 100) if round_up else percent * total // 100


def _shape_columns() -> tuple[Column, ...]:
    return (
        Column(name="Containers", cell=lambda item, _: show_containers(spec_of(item).get("template") or {}), priority=1),
        Column(name="Images", cell=lambda item, _: show_images(spec_of(item).get("template") or {}), priority=1),
        Column(name="Selector", cell=lambda item, _: show_selector(spec_of(item).get("selector")), priority=1),
    )


def _of_status(title: str, field: str, *, type_: str = "integer") -> Column:
    return Column(name=title, cell=lambda item, _: status_of(item).get(field) or 0, type=type_)


SCALES = Resource(
    group="autoscaling",
    kind="Scale",
    plural="scales",
    schema=SCALE,
    columns=(
        NAME,
        Column(name="Desired", cell=lambda item, _: spec_of(item).get("replicas", 0), type="integer"),
        Column(name="Available", cell=lambda item, _: status_of(item).get("replicas", 0), type="integer"),
        AGE,
    ),
)
"""A subresource: it is in no registry."""
DEPLOYMENTS = Resource(
    group="apps",
    kind="Deployment",
    plural="deployments",
    short_names=("deploy",),
    categories=("all",),
    schema=DEPLOYMENT,
    has_status=True,
    has_generation=True,
    default=default_deployment,
    validate=check_deployment,
    columns=(
        NAME,
        Column(
            name="Ready", cell=lambda item, _: f"{status_of(item).get('readyReplicas') or 0}/{spec_of(item).get('replicas', 1)}"
        ),
        # Numbers in columns of texts, there too (printers/internalversion).
        _of_status("Up-to-date", "updatedReplicas", type_="string"),
        _of_status("Available", "availableReplicas", type_="string"),
        AGE,
        *_shape_columns(),
    ),
)
REPLICASETS = Resource(
    group="apps",
    kind="ReplicaSet",
    plural="replicasets",
    short_names=("rs",),
    categories=("all",),
    schema=REPLICASET,
    has_status=True,
    has_generation=True,
    selectable={"status.replicas": "0"},
    default=default_replicaset,
    validate=check_replicaset,
    columns=(
        NAME,
        Column(name="Desired", cell=lambda item, _: spec_of(item).get("replicas", 1), type="integer"),
        _of_status("Current", "replicas"),
        _of_status("Ready", "readyReplicas"),
        AGE,
        *_shape_columns(),
    ),
)
