"""Pod (core/v1)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from controlplane.errors import FieldError, Rendered, as_go, duplicate, forbidden_field, invalid_value
from controlplane.kinds.addresses import check_address
from controlplane.kinds.amounts import default_requests, quality_of
from controlplane.kinds.columns import AGE, NAME, NONE, join_or_none
from controlplane.kinds.names import check_qualified_key
from controlplane.kinds.pod_spec import DEADLINE_LIMIT_S, POD_IPS, POD_SPEC, check_pod_spec, default_pod_spec
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
OWN_CONDITIONS = frozenset({"PodScheduled", "Ready", "Initialized"})


def default_pod(pod: Object) -> None:
    spec = pod.setdefault("spec", {})
    default_pod_spec(spec, is_pod=True)
    default_requests(spec)
    if (status := pod.get("status")) is not None:
        pod["status"] = _with_addresses(status)
    spec.setdefault("enableServiceLinks", True)
    spec.setdefault("preemptionPolicy", "PreemptLowerPriority")
    spec.setdefault("priority", 0)


def _with_addresses(status: Object) -> Object:
    """The first of `podIPs` is `podIP`: of two that differ the older field counts (core/v1/conversion.go)."""
    address, addresses = status.get("podIP"), status.get("podIPs") or []
    if address and (not addresses or addresses[0].get("ip") != address):
        return {**status, "podIPs": [{"ip": address}]}
    if addresses and not address:
        return {**status, "podIP": addresses[0].get("ip", "")}
    return status


def prepare_pod(pod: Object) -> None:
    """A new pod is pending, whatever status the client sent."""
    pod["status"] = {"phase": "Pending", "qosClass": quality_of(pod["spec"])}


def keep_quality(pod: Object, before: Object) -> None:
    """Whoever writes the status need not know the class (registry/core/pod/strategy.go, PrepareForUpdate)."""
    if quality := status_of(before).get("qosClass"):
        pod["status"] = {**status_of(pod), "qosClass": status_of(pod).get("qosClass", quality)}


def check_pod(pod: Object, before: Object | None) -> Iterable[FieldError]:
    spec = spec_of(pod)
    yield from check_pod_spec(spec, "spec", is_pod=True)
    for group in ("containers", "initContainers"):
        for index, container in enumerate(spec.get(group) or ()):
            image = container.get("image", "")
            if image != image.strip():
                yield invalid_value(f"spec.{group}[{index}].image", image, "must not have leading or trailing whitespace")
    if before is None:
        return
    yield from _check_change(spec, spec_of(before))
    if status_of(pod) != status_of(before):
        yield from _check_status(status_of(pod), status_of(before))


def _check_status(status: Object, before: Object) -> Iterator[FieldError]:
    """core/validation, ValidatePodStatusUpdate."""
    for index, entry in enumerate(status.get("conditions") or ()):
        if entry.get("type") not in OWN_CONDITIONS:
            yield from check_qualified_key(entry.get("type", ""), f"metadata.conditions[{index}].Type")
    if before.get("qosClass") and status.get("qosClass") != before["qosClass"]:
        yield invalid_value("status.qosClass", status.get("qosClass", ""), "field is immutable")
    for group in ("podIPs", "hostIPs"):
        yield from _check_addresses(status.get(group) or [], f"status.{group}")


def _check_addresses(entries: list[Object], field: str) -> Iterator[FieldError]:
    texts = [entry.get("ip", "") for entry in entries]
    for index, text in enumerate(texts):
        yield from check_address(text, f"{field}[{index}]")
    if len(texts) > 2 or len({":" in text for text in texts}) < len(texts):
        shown = Rendered(f"[{','.join(as_go(IP=text) for text in texts)}]")
        yield invalid_value(field, shown, "may specify no more than one IP for each IP family")
    for index, text in enumerate(texts):
        if text in texts[:index]:
            yield duplicate(f"{field}[{index}]", as_go(IP=text))


def _check_change(spec: Object, before: Object) -> Iterator[FieldError]:
    """core/validation, ValidatePodUpdate."""
    for group in ("containers", "initContainers"):
        if len(spec.get(group) or ()) != len(before.get(group) or ()):
            yield forbidden_field(f"spec.{group}", "pod updates may not add or remove containers")
            return
    deadline_s, old_s = spec.get("activeDeadlineSeconds"), before.get("activeDeadlineSeconds")
    if deadline_s is None and old_s is not None:
        yield invalid_value(DEADLINE, None, "must not update from a positive integer to nil value")
    elif deadline_s is not None and not 0 <= deadline_s <= DEADLINE_LIMIT_S:
        yield invalid_value(DEADLINE, deadline_s, f"must be between 0 and {DEADLINE_LIMIT_S}, inclusive")
        return
    elif deadline_s is not None and old_s is not None and deadline_s > old_s:
        yield invalid_value(DEADLINE, deadline_s, "must be less than or equal to previous value")
        return
    if any(_toleration_key(entry) not in _toleration_keys(spec) for entry in before.get("tolerations") or ()):
        yield forbidden_field("spec.tolerations", "existing toleration can not be modified except its tolerationSeconds")
    gates = {gate.get("name", "") for gate in before.get("schedulingGates") or ()}
    for index, gate in enumerate(spec.get("schedulingGates") or ()):
        if gate.get("name", "") not in gates:
            why = f"only deletion is allowed, but found new scheduling gate '{gate.get('name', '')}'"
            yield forbidden_field(f"spec.schedulingGates[{index}].name", why)
    if _fixed_part(spec, before) != _fixed_part(before, before):
        yield forbidden_field(
            "spec",
            "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
            "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
            "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)",
        )


def _fixed_part(spec: Object, before: Object) -> Object:
    fixed = {key: value for key, value in spec.items() if key not in MUTABLE}
    grace_s, old_s = (part.get("terminationGracePeriodSeconds") for part in (spec, before))
    if isinstance(old_s, int) and old_s < 0 and grace_s == 1:
        fixed["terminationGracePeriodSeconds"] = old_s
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
    prepare_update=keep_quality,
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
