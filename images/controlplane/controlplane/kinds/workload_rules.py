"""Rules of Deployments and ReplicaSets (kubernetes, pkg/apis/apps/validation)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from controlplane.field_errors import NIL, FieldError, as_go, forbidden_field, invalid_value, required, unsupported
from controlplane.kinds.names import check_annotations, check_labels, check_selector, check_share, is_more_than_everything
from controlplane.kinds.pod_spec import check_pod_spec
from controlplane.objects import Object, spec_of, status_of
from controlplane.selectors import matches_selector

STRATEGIES = ("Recreate", "RollingUpdate")
DEPLOYMENT_COUNTS = (
    *("observedGeneration", "replicas", "updatedReplicas", "readyReplicas", "availableReplicas", "unavailableReplicas"),
    *("terminatingReplicas", "collisionCount"),
)
REPLICASET_COUNTS = (
    *("replicas", "fullyLabeledReplicas", "readyReplicas", "availableReplicas", "observedGeneration", "terminatingReplicas"),
)
NO_PART = frozenset({"observedGeneration", "replicas", "unavailableReplicas", "terminatingReplicas", "collisionCount"})
"""Of the counts in a status: no part of its `replicas`."""


def check_deployment(deployment: Object, before: Object | None) -> Iterable[FieldError]:
    """apps/validation, ValidateDeployment and ValidateDeploymentStatus."""
    spec = spec_of(deployment)
    yield from _check_count(spec, "replicas", "spec")
    yield from _check_selected(spec)
    yield from _check_strategy(spec.get("strategy") or {})
    for name in ("minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds"):
        yield from _check_count(spec, name, "spec")
    if spec.get("progressDeadlineSeconds", 600) <= spec.get("minReadySeconds", 0):
        yield invalid_value(
            "spec.progressDeadlineSeconds", spec["progressDeadlineSeconds"], "must be greater than minReadySeconds"
        )
    if before is not None:
        yield from _check_change(spec, spec_of(before))
        yield from _check_status(status_of(deployment), status_of(before), DEPLOYMENT_COUNTS)


def check_replicaset(replicaset: Object, before: Object | None) -> Iterable[FieldError]:
    """apps/validation, ValidateReplicaSet and ValidateReplicaSetStatus."""
    spec = spec_of(replicaset)
    for name in ("replicas", "minReadySeconds"):
        yield from _check_count(spec, name, "spec")
    yield from _check_selected(spec)
    if before is not None:
        yield from _check_change(spec, spec_of(before))
        yield from _check_status(status_of(replicaset), status_of(before), REPLICASET_COUNTS)


def _check_count(counts: Object, name: str, field: str) -> Iterator[FieldError]:
    if (value := counts.get(name) or 0) < 0:
        yield invalid_value(f"{field}.{name}", value, "must be greater than or equal to 0")


def _check_selected(spec: Object) -> Iterator[FieldError]:
    """The selector, and the template that it has to select."""
    selector = spec.get("selector")
    labels = (spec["template"].get("metadata") or {}).get("labels")
    errors: list[FieldError] = []
    if selector is None:
        yield required("spec.selector")
        yield _unselected(labels)
    else:
        errors = list(check_selector(selector, "spec.selector"))
        yield from errors
        if errors:
            # What cannot be read selects nothing, and is said so of the whole.
            yield invalid_value("spec.selector", selector, "invalid label selector")
            return
        if not selector.get("matchLabels") and not selector.get("matchExpressions"):
            yield invalid_value("spec.selector", selector, "empty selector is invalid for deployment")
        elif not matches_selector(selector, labels or {}):
            yield _unselected(labels)
    yield from _check_template(spec["template"])


def _unselected(labels: Object | None) -> FieldError:
    shown = NIL if labels is None else labels
    return invalid_value("spec.template.metadata.labels", shown, "`selector` does not match template `labels`")


def _check_template(template: Object) -> Iterator[FieldError]:
    """Of pods that run for ever (core/validation, ValidatePodTemplateSpec; apps, ValidatePodTemplateSpecForReplicaSet)."""
    metadata, pod_spec = template.get("metadata") or {}, spec_of(template)
    yield from check_labels(metadata.get("labels"), "spec.template.labels")
    yield from check_annotations(metadata.get("annotations"), "spec.template.annotations")
    yield from check_pod_spec(pod_spec, "spec.template.spec")
    if pod_spec.get("restartPolicy") != "Always":
        yield unsupported("spec.template.spec.restartPolicy", pod_spec.get("restartPolicy", ""), ("Always",))
    if pod_spec.get("activeDeadlineSeconds") is not None:
        why = "activeDeadlineSeconds in ReplicaSet is not Supported"
        yield forbidden_field("spec.template.spec.activeDeadlineSeconds", why)


def _check_change(spec: Object, before: Object) -> Iterator[FieldError]:
    if spec.get("selector") != before.get("selector"):
        yield invalid_value("spec.selector", spec.get("selector"), "field is immutable")


def _check_strategy(strategy: Object) -> Iterator[FieldError]:
    place, rolling = "spec.strategy", strategy.get("rollingUpdate")
    if strategy.get("type") == "Recreate":
        if rolling is not None:
            yield forbidden_field(f"{place}.rollingUpdate", "may not be specified when strategy `type` is 'Recreate'")
    elif strategy.get("type") != "RollingUpdate":
        yield unsupported(place, as_go(Type=strategy.get("type", ""), RollingUpdate=rolling), STRATEGIES)
    elif rolling is not None:
        yield from _check_rolling(rolling)


def _check_rolling(rolling: Object) -> Iterator[FieldError]:
    place = "spec.strategy.rollingUpdate"
    for name in ("maxUnavailable", "maxSurge"):
        yield from check_share(rolling.get(name, 0), f"{place}.{name}")
    most = rolling.get("maxUnavailable", 0)
    if _share_number(most) == 0 and _share_number(rolling.get("maxSurge", 0)) == 0:
        yield invalid_value(f"{place}.maxUnavailable", most, "may not be 0 when `maxSurge` is 0")
    if is_more_than_everything(most):
        yield invalid_value(f"{place}.maxUnavailable", most, "must not be greater than 100%")


def _check_status(status: Object, before: Object, counts: Sequence[str]) -> Iterator[FieldError]:
    if status == before:
        return
    for name in counts:
        yield from _check_count(status, name, "status")
    for name in counts:
        if name in NO_PART:
            continue
        if (status.get(name) or 0) > (status.get("replicas") or 0):
            yield invalid_value(f"status.{name}", status.get(name) or 0, "cannot be greater than status.replicas")
    if (available := status.get("availableReplicas") or 0) > (status.get("readyReplicas") or 0):
        yield invalid_value("status.availableReplicas", available, "cannot be greater than readyReplicas")
    if (collisions := status.get("collisionCount") or 0) < (before.get("collisionCount") or 0):
        yield invalid_value("status.collisionCount", collisions, "cannot be decremented")


def _share_number(value: Any) -> int:
    """The number, or that of the percentage; 0 of what is neither."""
    return value if isinstance(value, int) else int(value[:-1]) if re.fullmatch("[0-9]+%", value) else 0
