"""Deployment and ReplicaSet (apps/v1), and Scale (autoscaling/v1)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from controlplane.errors import FieldError, invalid_value, required
from controlplane.kinds.columns import AGE, NAME, show_selector
from controlplane.kinds.names import check_choice, check_labels, check_selector
from controlplane.kinds.pod import show_containers, show_images
from controlplane.kinds.pod_spec import POD_TEMPLATE, check_pod_spec, default_pod_spec
from controlplane.kinds.resource import Column, Resource
from controlplane.objects import Object, spec_of, status_of
from controlplane.schema.meta import LABEL_SELECTOR, conditions, kind
from controlplane.schema.types import BOOL, INT32, INT64, INT_OR_STRING, STRING, struct
from controlplane.selectors import matches_selector

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
        minReadySeconds=INT32,
        revisionHistoryLimit=INT32,
        paused=BOOL,
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
    spec=struct("ReplicaSetSpec", replicas=INT32, minReadySeconds=INT32, selector=LABEL_SELECTOR, template=POD_TEMPLATE),
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
    spec = replicaset.setdefault("spec", {})
    spec.setdefault("replicas", 1)
    _default_template(spec)


def _default_template(spec: Object) -> None:
    template = spec.setdefault("template", {})
    template.setdefault("metadata", {})
    default_pod_spec(template.setdefault("spec", {}))


def check_deployment(deployment: Object, before: Object | None) -> Iterable[FieldError]:
    spec = spec_of(deployment)
    yield from _check_common(spec, before)
    strategy = spec.get("strategy") or {}
    yield from check_choice(strategy.get("type"), ("Recreate", "RollingUpdate"), "spec.strategy.type")
    rolling = strategy.get("rollingUpdate")
    if strategy.get("type") == "Recreate" and rolling is not None:
        yield FieldError(
            reason="FieldValueForbidden",
            field="spec.strategy.rollingUpdate",
            message="Forbidden: may not be specified when strategy `type` is 'Recreate'",
        )
    elif rolling is not None:
        yield from _check_rolling(rolling)
    if spec.get("progressDeadlineSeconds", 600) <= spec.get("minReadySeconds", 0):
        yield invalid_value(
            "spec.progressDeadlineSeconds", spec["progressDeadlineSeconds"], "must be greater than minReadySeconds"
        )


def check_replicaset(replicaset: Object, before: Object | None) -> Iterable[FieldError]:
    yield from _check_common(spec_of(replicaset), before)


def _check_common(spec: Object, before: Object | None) -> Iterator[FieldError]:
    for name in ("replicas", "minReadySeconds", "revisionHistoryLimit"):
        if (value := spec.get(name, 0)) < 0:
            yield invalid_value(f"spec.{name}", value, "must be greater than or equal to 0")
    selector = spec.get("selector")
    labels = (spec["template"].get("metadata") or {}).get("labels")
    if selector is None:
        yield required("spec.selector")
        yield invalid_value("spec.template.metadata.labels", labels or {}, "`selector` does not match template `labels`")
    else:
        errors = list(check_selector(selector, "spec.selector"))
        yield from errors
        if not selector.get("matchLabels") and not selector.get("matchExpressions"):
            yield invalid_value("spec.selector", {}, "empty selector is invalid for deployment")
        elif not errors and not matches_selector(selector, labels or {}):
            yield invalid_value("spec.template.metadata.labels", labels or {}, "`selector` does not match template `labels`")
        if before is not None and selector != spec_of(before).get("selector"):
            yield invalid_value("spec.selector", selector, "field is immutable")
    yield from check_labels(labels, "spec.template.metadata.labels")
    pod_spec = spec_of(spec["template"])
    yield from check_pod_spec(pod_spec, "spec.template.spec")
    if pod_spec.get("restartPolicy") in ("OnFailure", "Never"):
        yield from check_choice(pod_spec["restartPolicy"], ("Always",), "spec.template.spec.restartPolicy")


def _check_rolling(rolling: Object) -> Iterator[FieldError]:
    place = "spec.strategy.rollingUpdate"
    for name in ("maxUnavailable", "maxSurge"):
        value = rolling.get(name, 0)
        if isinstance(value, str) and not re.fullmatch("[0-9]+%", value):
            yield invalid_value(
                f"{place}.{name}", value, "a valid percent string must be a numeric string followed by an ending '%'"
            )
        elif isinstance(value, int) and value < 0:
            yield invalid_value(f"{place}.{name}", value, "must be greater than or equal to 0")
        elif name == "maxUnavailable" and isinstance(value, str) and int(value[:-1]) > 100:
            yield invalid_value(f"{place}.{name}", value, "must not be greater than 100%")
    if rolling.get("maxUnavailable") in (0, "0%") and rolling.get("maxSurge") in (0, "0%"):
        yield invalid_value(f"{place}.maxUnavailable", rolling["maxUnavailable"], "may not be 0 when `maxSurge` is 0")


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


def _of_status(title: str, field: str, type_: str = "integer") -> Column:
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
        _of_status("Up-to-date", "updatedReplicas", "string"),
        _of_status("Available", "availableReplicas", "string"),
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
