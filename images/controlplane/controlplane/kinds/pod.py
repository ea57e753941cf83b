"""Pod (core/v1)."""

from __future__ import annotations

from datetime import datetime

from controlplane.kinds.amounts import default_requests, quality_of
from controlplane.kinds.columns import AGE, NAME, NONE, join_or_none
from controlplane.kinds.pod_rules import check_pod
from controlplane.kinds.pod_spec import POD_IPS, POD_SPEC, default_pod_spec
from controlplane.kinds.resource import Column, Resource
from controlplane.objects import Object, is_terminating, spec_of, status_of
from controlplane.schema.meta import OBJECT_REFERENCE, conditions, kind
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
    schema=kind("Binding", target=OBJECT_REFERENCE),
    columns=(),
)
"""A subresource: it is in no registry."""
EVICTION = kind("Eviction", deleteOptions=OPAQUE)


def show_containers(template: Object) -> str:
    return join_or_none(entry.get("name", "") for entry in spec_of(template).get("containers") or ())


def show_images(template: Object) -> str:
    return join_or_none(entry.get("image", "") for entry in spec_of(template).get("containers") or ())
