"""Pod (core/v1)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from controlplane.errors import FieldError, forbidden_field, invalid_value
from controlplane.kinds.columns import AGE, NAME, NONE, join_or_none
from controlplane.kinds.pod_spec import POD_IPS, POD_SPEC, check_pod_spec, default_pod_spec
from controlplane.kinds.resource import Column, Resource
from controlplane.objects import Object, is_terminating, spec_of, status_of
from controlplane.schema.meta import conditions, kind
from controlplane.schema.types import (
    BOOL,
    INT32,
    INT64,
    OPAQUE,
    OPAQUES,
    QUANTITIES,
    STRING,
    TIME,
    ListOf,
    applied,
    strings,
    struct,
)

_STATE = struct(
    "ContainerState",
    waiting=struct("ContainerStateWaiting", reason=STRING, message=STRING),
    running=struct("ContainerStateRunning", startedAt=TIME),
    terminated=struct(
        "ContainerStateTerminated",
        exitCode=INT32,
        signal=INT32,
        **strings("reason message containerID"),
        startedAt=TIME,
        finishedAt=TIME,
    ),
)
_CONTAINER_STATUS = struct(
    "ContainerStatus",
    **strings("name image imageID containerID"),
    state=_STATE,
    lastState=_STATE,
    ready=BOOL,
    restartCount=INT32,
    started=BOOL,
    allocatedResources=QUANTITIES,
    resources=OPAQUE,
    volumeMounts=OPAQUES,
    user=OPAQUE,
)
_STATUS = struct(
    "PodStatus",
    **strings("phase message reason nominatedNodeName hostIP podIP qosClass resize"),
    observedGeneration=INT64,
    conditions=conditions("PodCondition", "lastProbeTime"),
    hostIPs=applied(struct("HostIP", ip=STRING), "ip"),
    podIPs=POD_IPS,
    startTime=TIME,
    initContainerStatuses=ListOf(item=_CONTAINER_STATUS),
    containerStatuses=ListOf(item=_CONTAINER_STATUS),
    ephemeralContainerStatuses=ListOf(item=_CONTAINER_STATUS),
    resourceClaimStatuses=OPAQUES,
)
POD = kind("Pod", spec=POD_SPEC, status=_STATUS)

MUTABLE = frozenset({"activeDeadlineSeconds", "tolerations", "schedulingGates"})
DEADLINE = "spec.activeDeadlineSeconds"
DEADLINE_LIMIT_S = 2**31 - 1


def default_pod(pod: Object) -> None:
    spec = pod.setdefault("spec", {})
    default_pod_spec(spec)
    spec.setdefault("enableServiceLinks", True)
    spec.setdefault("preemptionPolicy", "PreemptLowerPriority")
    spec.setdefault("priority", 0)


def prepare_pod(pod: Object) -> None:
    """A new pod is pending, whatever status the client sent."""
    pod["status"] = {"phase": "Pending", "qosClass": "BestEffort"}


def check_pod(pod: Object, before: Object | None) -> Iterable[FieldError]:
    spec = spec_of(pod)
    yield from check_pod_spec(spec, "spec")
    if before is None:
        deadline_s = spec.get("activeDeadlineSeconds")
        if deadline_s is not None and not 1 <= deadline_s <= DEADLINE_LIMIT_S:
            yield invalid_value(DEADLINE, deadline_s, f"must be between 1 and {DEADLINE_LIMIT_S}, inclusive")
    else:
        yield from _check_change(spec, spec_of(before))


def _check_change(spec: Object, before: Object) -> Iterator[FieldError]:
    """In the order of the API server, which says nothing more where containers come or go, or the deadline is wrong."""
    for group, title in (("containers", "containers"), ("initContainers", "init containers")):
        if len(spec.get(group) or ()) != len(before.get(group) or ()):
            yield forbidden_field(f"spec.{group}", f"pod updates may not add or remove {title}")
            return
    if wrong := list(_check_deadline(spec.get("activeDeadlineSeconds"), before.get("activeDeadlineSeconds"))):
        yield from wrong
        return
    missing = [entry for entry in before.get("tolerations") or () if _toleration_key(entry) not in _toleration_keys(spec)]
    if missing:
        yield forbidden_field("spec.tolerations", "existing toleration can not be modified except its tolerationSeconds")
    if _fixed_part(spec) != _fixed_part(before) or not _may_change_grace(spec, before):
        yield forbidden_field(
            "spec",
            "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
            "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
            "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)",
        )


def _check_deadline(deadline_s: int | None, old_s: int | None) -> Iterator[FieldError]:
    """It may come, and come nearer."""
    if deadline_s is None:
        if old_s is not None:
            yield invalid_value(DEADLINE, None, "must not update from a positive integer to nil value")
    elif not 0 <= deadline_s <= DEADLINE_LIMIT_S:
        yield invalid_value(DEADLINE, deadline_s, f"must be between 0 and {DEADLINE_LIMIT_S}, inclusive")
    elif old_s is not None and old_s < deadline_s:
        yield invalid_value(DEADLINE, deadline_s, "must be less than or equal to previous value")


def _may_change_grace(spec: Object, before: Object) -> bool:
    grace_s, old_s = spec.get("terminationGracePeriodSeconds"), before.get("terminationGracePeriodSeconds")
    return grace_s == old_s or (isinstance(old_s, int) and old_s < 0 and grace_s == 1)


def _fixed_part(spec: Object) -> Object:
    fixed = {key: value for key, value in spec.items() if key not in MUTABLE and key != "terminationGracePeriodSeconds"}
    for group in ("containers", "initContainers"):
        if group in fixed:
            fixed[group] = [{key: value for key, value in entry.items() if key != "image"} for entry in fixed[group]]
    return fixed


def _toleration_key(entry: Object) -> tuple[Any, ...]:
    return tuple(entry.get(name, "") for name in ("key", "operator", "value", "effect"))


def _toleration_keys(spec: Object) -> set[tuple[Any, ...]]:
    return {_toleration_key(entry) for entry in spec.get("tolerations") or ()}


def _show_ready(pod: Object, _: datetime) -> str:
    statuses = status_of(pod).get("containerStatuses") or ()
    ready = sum(1 for entry in statuses if entry.get("ready"))
    return f"{ready}/{len(spec_of(pod).get('containers') or ())}"


def _show_status(pod: Object, _: datetime) -> str:
    """Kubernetes' own order of precedence (printers.go, printPod)."""
    status = status_of(pod)
    text = status.get("reason") or status.get("phase") or ""
    for entry in reversed(status.get("containerStatuses") or []):
        state = entry.get("state") or {}
        waiting, terminated = state.get("waiting") or {}, state.get("terminated") or {}
        if waiting.get("reason"):
            text = waiting["reason"]
        elif terminated:
            text = terminated.get("reason") or (
                f"Signal:{terminated['signal']}" if terminated.get("signal") else f"ExitCode:{terminated.get('exitCode', 0)}"
            )
    if is_terminating(pod):
        return "Unknown" if status.get("reason") == "NodeLost" else "Terminating"
    return str(text)


def _show_restarts(pod: Object, _: datetime) -> str:
    return str(sum(entry.get("restartCount") or 0 for entry in status_of(pod).get("containerStatuses") or ()))


def _show_gates(pod: Object, _: datetime) -> str:
    gates = spec_of(pod).get("readinessGates") or []
    if not gates:
        return NONE
    met = {entry.get("type") for entry in status_of(pod).get("conditions") or () if entry.get("status") == "True"}
    return f"{sum(1 for gate in gates if gate.get('conditionType') in met)}/{len(gates)}"


PODS = Resource(
    kind="Pod",
    plural="pods",
    short_names=("po",),
    categories=("all",),
    schema=POD,
    has_status=True,
    selectable={
        "spec.nodeName": "",
        "spec.restartPolicy": "Always",
        "spec.schedulerName": "default-scheduler",
        "spec.serviceAccountName": "",
        "spec.hostNetwork": "false",
        "status.phase": "",
        "status.podIP": "",
        "status.nominatedNodeName": "",
    },
    default=default_pod,
    validate=check_pod,
    prepare_create=prepare_pod,
    columns=(
        NAME,
        Column(name="Ready", cell=_show_ready),
        Column(name="Status", cell=_show_status),
        Column(name="Restarts", cell=_show_restarts),
        AGE,
        Column(name="IP", cell=lambda pod, _: status_of(pod).get("podIP") or NONE, priority=1),
        Column(name="Node", cell=lambda pod, _: spec_of(pod).get("nodeName") or NONE, priority=1),
        Column(name="Nominated Node", cell=lambda pod, _: status_of(pod).get("nominatedNodeName") or NONE, priority=1),
        Column(name="Readiness Gates", cell=_show_gates, priority=1),
    ),
)

BINDINGS = Resource(
    kind="Binding",
    plural="bindings",
    schema=kind(
        "Binding", target=struct("ObjectReference", **strings("kind namespace name uid apiVersion resourceVersion fieldPath"))
    ),
    columns=(),
)
"""A subresource: it is in no registry."""
EVICTION = kind("Eviction", deleteOptions=OPAQUE)


def show_containers(template: Object) -> str:
    return join_or_none(entry.get("name", "") for entry in spec_of(template).get("containers") or ())


def show_images(template: Object) -> str:
    return join_or_none(entry.get("image", "") for entry in spec_of(template).get("containers") or ())
