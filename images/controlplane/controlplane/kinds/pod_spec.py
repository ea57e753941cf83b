"""The pod spec, alone and in templates: type, defaults and rules (kubernetes, pkg/apis/core/v1/defaults.go, validation.go)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from controlplane.errors import FieldError, duplicate, invalid_value, required
from controlplane.kinds.affinity import AFFINITY, check_affinity
from controlplane.kinds.names import check_choice, check_label_value, check_name, check_port_name, check_port_number
from controlplane.objects import Object
from controlplane.schema.meta import LABEL_SELECTOR, OBJECT_META
from controlplane.schema.types import (
    BOOL,
    INT32,
    INT64,
    INT_OR_STRING,
    OPAQUE,
    OPAQUES,
    QUANTITIES,
    STRING,
    STRING_MAP,
    STRINGS,
    ListOf,
    Type,
    applied,
    keyed,
    opaques,
    strings,
    struct,
)

_HTTP_GET = struct("HTTPGetAction", **strings("path host scheme"), port=INT_OR_STRING, httpHeaders=ListOf(item=OPAQUE))
_SOCKET = struct("TCPSocketAction", port=INT_OR_STRING, host=STRING)
_EXEC = struct("ExecAction", command=STRINGS)
_PROBE = struct(
    "Probe",
    exec=_EXEC,
    httpGet=_HTTP_GET,
    tcpSocket=_SOCKET,
    grpc=OPAQUE,
    initialDelaySeconds=INT32,
    timeoutSeconds=INT32,
    periodSeconds=INT32,
    successThreshold=INT32,
    failureThreshold=INT32,
    terminationGracePeriodSeconds=INT64,
)
_HOOK = struct("LifecycleHandler", exec=_EXEC, httpGet=_HTTP_GET, tcpSocket=_SOCKET, sleep=struct("SleepAction", seconds=INT64))
_CONTAINER_PORT = struct("ContainerPort", **strings("name protocol hostIP"), containerPort=INT32, hostPort=INT32)
CONTAINER = struct(
    "Container",
    **strings("name image workingDir terminationMessagePath terminationMessagePolicy imagePullPolicy restartPolicy"),
    command=STRINGS,
    args=STRINGS,
    ports=keyed(_CONTAINER_PORT, "containerPort", "containerPort", "protocol"),
    envFrom=ListOf(item=OPAQUE),
    env=keyed(struct("EnvVar", name=STRING, value=STRING, valueFrom=OPAQUE), "name"),
    resources=struct("ResourceRequirements", limits=QUANTITIES, requests=QUANTITIES, claims=OPAQUES),
    resizePolicy=OPAQUES,
    volumeMounts=keyed(OPAQUE, "mountPath"),
    volumeDevices=keyed(OPAQUE, "devicePath"),
    livenessProbe=_PROBE,
    readinessProbe=_PROBE,
    startupProbe=_PROBE,
    lifecycle=struct("Lifecycle", postStart=_HOOK, preStop=_HOOK, stopSignal=STRING),
    securityContext=OPAQUE,
    stdin=BOOL,
    stdinOnce=BOOL,
    tty=BOOL,
)
TOLERATION = struct("Toleration", **strings("key operator value effect"), tolerationSeconds=INT64)
_SPREAD = struct(
    "TopologySpreadConstraint",
    maxSkew=INT32,
    **strings("topologyKey whenUnsatisfiable nodeAffinityPolicy nodeTaintsPolicy"),
    labelSelector=LABEL_SELECTOR,
    minDomains=INT32,
    matchLabelKeys=STRINGS,
)
POD_SPEC = struct(
    "PodSpec",
    **strings(
        "restartPolicy dnsPolicy serviceAccountName serviceAccount nodeName hostname subdomain schedulerName priorityClassName "
        "runtimeClassName preemptionPolicy hostnameOverride"
    ),
    volumes=keyed(OPAQUE, "name"),
    initContainers=keyed(CONTAINER, "name"),
    containers=keyed(CONTAINER, "name"),
    ephemeralContainers=keyed(OPAQUE, "name"),
    terminationGracePeriodSeconds=INT64,
    activeDeadlineSeconds=INT64,
    nodeSelector=STRING_MAP,
    automountServiceAccountToken=BOOL,
    hostNetwork=BOOL,
    hostPID=BOOL,
    hostIPC=BOOL,
    hostUsers=BOOL,
    shareProcessNamespace=BOOL,
    setHostnameAsFQDN=BOOL,
    enableServiceLinks=BOOL,
    imagePullSecrets=keyed(struct("LocalObjectReference", name=STRING), "name"),
    tolerations=ListOf(item=TOLERATION),
    hostAliases=keyed(OPAQUE, "ip"),
    priority=INT32,
    overhead=QUANTITIES,
    topologySpreadConstraints=keyed(_SPREAD, "topologyKey", "topologyKey", "whenUnsatisfiable"),
    schedulingGates=keyed(struct("PodSchedulingGate", name=STRING), "name"),
    readinessGates=ListOf(item=struct("PodReadinessGate", conditionType=STRING)),
    affinity=AFFINITY,
    resourceClaims=OPAQUES,
    **opaques("securityContext dnsConfig os resources"),
)
POD_TEMPLATE = struct("PodTemplateSpec", metadata=OBJECT_META, spec=POD_SPEC)
POD_IPS: Type = applied(struct("PodIP", ip=STRING), "ip")

DEFAULT_GRACE_S = 30


def default_pod_spec(spec: Object) -> None:
    spec.setdefault("restartPolicy", "Always")
    spec.setdefault("terminationGracePeriodSeconds", DEFAULT_GRACE_S)
    spec.setdefault("dnsPolicy", "ClusterFirst")
    spec.setdefault("schedulerName", "default-scheduler")
    spec.setdefault("securityContext", {})
    for container in [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]:
        _default_container(container, is_host_network=bool(spec.get("hostNetwork")))


def _default_container(container: Object, *, is_host_network: bool) -> None:
    image = str(container.get("image", ""))
    _, _, tag = image.rpartition("/")[2].partition(":")
    container.setdefault("imagePullPolicy", "Always" if tag in ("", "latest") and "@" not in image else "IfNotPresent")
    container.setdefault("resources", {})
    container.setdefault("terminationMessagePath", "/dev/termination-log")
    container.setdefault("terminationMessagePolicy", "File")
    for port in container.get("ports") or ():
        port.setdefault("protocol", "TCP")
        if is_host_network and port.get("containerPort"):
            port.setdefault("hostPort", port["containerPort"])
    for name in ("livenessProbe", "readinessProbe", "startupProbe"):
        if (probe := container.get(name)) is not None:
            _default_probe(probe)
    for hook in (container.get("lifecycle") or {}).values():
        if isinstance(hook, dict) and (get := hook.get("httpGet")) is not None:
            get.setdefault("scheme", "HTTP")


def _default_probe(probe: Object) -> None:
    probe.setdefault("timeoutSeconds", 1)
    probe.setdefault("periodSeconds", 10)
    probe.setdefault("successThreshold", 1)
    probe.setdefault("failureThreshold", 3)
    if (get := probe.get("httpGet")) is not None:
        get.setdefault("path", "/")
        get.setdefault("scheme", "HTTP")


def check_pod_spec(spec: Object, field: str) -> Iterator[FieldError]:
    containers = spec.get("containers") or []
    if not containers:
        yield required(f"{field}.containers")
    seen: set[str] = set()
    for group in ("initContainers", "containers"):
        for index, container in enumerate(spec.get(group) or ()):
            place = f"{field}.{group}[{index}]"
            yield from _check_container(container, place)
            name = container.get("name", "")
            if name and name in seen:
                yield duplicate(f"{place}.name", name)
            seen.add(name)
    yield from check_choice(spec.get("restartPolicy"), ("Always", "OnFailure", "Never"), f"{field}.restartPolicy")
    grace = spec.get("terminationGracePeriodSeconds", DEFAULT_GRACE_S)
    if grace < 0:
        yield invalid_value(f"{field}.terminationGracePeriodSeconds", grace, "must be greater than or equal to 0")
    if node := spec.get("nodeName"):
        yield from check_name("subdomain", node, f"{field}.nodeName")
    for key, value in (spec.get("nodeSelector") or {}).items():
        yield from check_label_value(value, f"{field}.nodeSelector.{key}")
    for index, toleration in enumerate(spec.get("tolerations") or ()):
        yield from _check_toleration(toleration, f"{field}.tolerations[{index}]")
    if (affinity := spec.get("affinity")) is not None:
        yield from check_affinity(affinity, f"{field}.affinity")
    yield from _check_host_ports(containers, field)


def _check_container(container: Object, field: str) -> Iterator[FieldError]:
    name = container.get("name", "")
    if not name:
        yield required(f"{field}.name")
    else:
        yield from check_name("label", name, f"{field}.name")
    if not container.get("image"):
        yield required(f"{field}.image")
    names: set[str] = set()
    for index, port in enumerate(container.get("ports") or ()):
        place = f"{field}.ports[{index}]"
        if text := port.get("name"):
            yield from check_port_name(text, f"{place}.name")
            if text in names:
                yield duplicate(f"{place}.name", text)
            names.add(text)
        if not port.get("containerPort"):
            yield required(f"{place}.containerPort")
        else:
            yield from check_port_number(port["containerPort"], f"{place}.containerPort")
        if port.get("hostPort"):
            yield from check_port_number(port["hostPort"], f"{place}.hostPort")
        yield from check_choice(port.get("protocol"), ("TCP", "UDP", "SCTP"), f"{place}.protocol")
    for probe in ("livenessProbe", "readinessProbe", "startupProbe"):
        if (found := container.get(probe)) is not None:
            yield from _check_probe(found, f"{field}.{probe}")


def _check_probe(probe: Object, field: str) -> Iterator[FieldError]:
    kinds = [name for name in ("exec", "httpGet", "tcpSocket", "grpc") if probe.get(name) is not None]
    if not kinds:
        yield required(field, "must specify a handler type")
    for name in kinds[1:]:
        yield FieldError(
            reason="FieldValueForbidden", field=f"{field}.{name}", message="Forbidden: may not specify more than 1 handler type"
        )
    for name in ("httpGet", "tcpSocket"):
        if (action := probe.get(name)) is not None:
            yield from check_target_port(action.get("port", 0), f"{field}.{name}.port")
    for name in ("initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"):
        if (value := probe.get(name, 1)) < 0:
            yield invalid_value(f"{field}.{name}", value, "must be greater than or equal to 0")


def check_target_port(port: Any, field: str) -> Iterator[FieldError]:
    """A number, or the name of a container's port."""
    if isinstance(port, int):
        yield from check_port_number(port, field)
    else:
        yield from check_port_name(port, field)


def _check_toleration(toleration: Object, field: str) -> Iterator[FieldError]:
    operator = toleration.get("operator") or "Equal"
    if operator not in ("Equal", "Exists"):
        yield from check_choice(operator, ("Equal", "Exists"), f"{field}.operator")
    if not toleration.get("key") and operator != "Exists":
        yield invalid_value(
            f"{field}.operator",
            operator,
            'operator must be Exists when `key` is empty, which means "match all values and all keys"',
        )
    if toleration.get("tolerationSeconds") is not None and toleration.get("effect") != "NoExecute":
        yield invalid_value(
            f"{field}.effect", toleration.get("effect", ""), "effect must be 'NoExecute' when `tolerationSeconds` is set"
        )
    if effect := toleration.get("effect"):
        yield from check_choice(effect, ("NoSchedule", "PreferNoSchedule", "NoExecute"), f"{field}.effect")


def _check_host_ports(containers: list[Object], field: str) -> Iterator[FieldError]:
    seen: set[str] = set()
    for number, container in enumerate(containers):
        for index, port in enumerate(container.get("ports") or ()):
            if not port.get("hostPort"):
                continue
            text = f"{port.get('protocol')}/{port.get('hostIP', '')}/{port['hostPort']}"
            if text in seen:
                yield duplicate(f"{field}.containers[{number}].ports[{index}].hostPort", text)
            seen.add(text)
