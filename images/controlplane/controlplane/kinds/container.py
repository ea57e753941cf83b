"""Containers of a pod (core/v1): type, defaults and rules (kubernetes, pkg/apis/core/v1/defaults.go, validation.go)."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from controlplane.field_errors import FieldError, duplicate, forbidden_field, invalid_value, not_found_value, required
from controlplane.kinds.amounts import check_container_resources
from controlplane.kinds.names import check_choice, check_name, check_port_name, check_port_number
from controlplane.objects import Object
from controlplane.schema.types import (
    COUNT,
    INT32,
    INT64,
    INT_OR_STRING,
    OPAQUE,
    OPAQUES,
    QUANTITIES,
    STRING,
    STRINGS,
    SWITCH,
    ListOf,
    keyed,
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
    grpc=struct("GRPCAction", port=INT32, service=STRING),
    initialDelaySeconds=COUNT,
    timeoutSeconds=INT32,
    periodSeconds=INT32,
    successThreshold=INT32,
    failureThreshold=INT32,
    terminationGracePeriodSeconds=INT64,
)
_HOOK = struct("LifecycleHandler", exec=_EXEC, httpGet=_HTTP_GET, tcpSocket=_SOCKET, sleep=struct("SleepAction", seconds=INT64))
_CONTAINER_PORT = struct("ContainerPort", **strings("name protocol hostIP"), containerPort=INT32, hostPort=COUNT)
_MOUNT = struct(
    "VolumeMount", **strings("name mountPath subPath mountPropagation subPathExpr recursiveReadOnly"), readOnly=SWITCH
)
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
    volumeMounts=keyed(_MOUNT, "mountPath"),
    volumeDevices=keyed(OPAQUE, "devicePath"),
    livenessProbe=_PROBE,
    readinessProbe=_PROBE,
    startupProbe=_PROBE,
    lifecycle=struct("Lifecycle", postStart=_HOOK, preStop=_HOOK, stopSignal=STRING),
    securityContext=OPAQUE,
    stdin=SWITCH,
    stdinOnce=SWITCH,
    tty=SWITCH,
)

PROBE_DEFAULTS = {"timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3}
PULL_POLICIES = ("Always", "IfNotPresent", "Never")
MESSAGE_POLICIES = ("File", "FallbackToLogsOnError")
HANDLERS = ("exec", "httpGet", "tcpSocket", "grpc", "sleep")
SCHEMES = ("HTTP", "HTTPS")


def default_container(container: Object, *, opens_host_ports: bool) -> None:
    image = str(container.get("image", ""))
    _, _, tag = image.rpartition("/")[2].partition(":")
    container.setdefault("imagePullPolicy", "Always" if tag in ("", "latest") and "@" not in image else "IfNotPresent")
    container.setdefault("resources", {})
    container.setdefault("terminationMessagePath", "/dev/termination-log")
    container.setdefault("terminationMessagePolicy", "File")
    for port in container.get("ports") or ():
        port.setdefault("protocol", "TCP")
        if opens_host_ports and port.get("containerPort"):
            port.setdefault("hostPort", port["containerPort"])
    for name in ("livenessProbe", "readinessProbe", "startupProbe"):
        if (probe := container.get(name)) is not None:
            _default_probe(probe)
    for hook in (container.get("lifecycle") or {}).values():
        if isinstance(hook, dict):
            _default_get(hook)


def _default_probe(probe: Object) -> None:
    for name, value in PROBE_DEFAULTS.items():
        # Zero is Go's way not to say anything.
        probe[name] = probe.get(name) or value
    _default_get(probe)


def _default_get(handler: Object) -> None:
    if (get := handler.get("httpGet")) is not None:
        get.setdefault("path", "/")
        get.setdefault("scheme", "HTTP")


def check_container(container: Object, field: str, *, volumes: Collection[str], grace_s: int) -> Iterator[FieldError]:
    """`grace_s`: how long the pod may take to end."""
    name = container.get("name", "")
    if not name:
        yield required(f"{field}.name")
    else:
        yield from check_name("label", name, f"{field}.name")
    if not container.get("image"):
        yield required(f"{field}.image")
    yield from check_choice(container.get("terminationMessagePolicy"), MESSAGE_POLICIES, f"{field}.terminationMessagePolicy")
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
        yield from check_choice(port.get("protocol"), ("SCTP", "TCP", "UDP"), f"{place}.protocol")
    for index, variable in enumerate(container.get("env") or ()):
        yield from _check_variable(variable, f"{field}.env[{index}]")
    yield from _check_mounts(container.get("volumeMounts") or [], volumes, f"{field}.volumeMounts")
    yield from check_choice(container.get("imagePullPolicy"), PULL_POLICIES, f"{field}.imagePullPolicy")
    yield from check_container_resources(container.get("resources") or {}, f"{field}.resources")
    for hook in ("postStart", "preStop"):
        if (handler := (container.get("lifecycle") or {}).get(hook)) is not None:
            yield from _check_handler(handler, f"{field}.lifecycle.{hook}", grace_s)
    for probe in ("livenessProbe", "readinessProbe", "startupProbe"):
        if (found := container.get(probe)) is not None:
            yield from _check_probe(found, f"{field}.{probe}", grace_s)
            if probe != "readinessProbe" and found.get("successThreshold", 1) != 1:
                yield invalid_value(f"{field}.{probe}.successThreshold", found["successThreshold"], "must be 1")


def _check_variable(variable: Object, field: str) -> Iterator[FieldError]:
    name = variable.get("name", "")
    if not name:
        yield required(f"{field}.name")
    elif not (name.isascii() and name.isprintable()) or "=" in name:
        why = "a valid environment variable name must consist only of printable ASCII characters other than '='"
        yield invalid_value(f"{field}.name", name, why)
    if variable.get("value") and variable.get("valueFrom") is not None:
        yield invalid_value(f"{field}.valueFrom", "", "may not be specified when `value` is not empty")


def _check_mounts(mounts: list[Object], volumes: Collection[str], field: str) -> Iterator[FieldError]:
    seen: set[str] = set()
    for index, mount in enumerate(mounts):
        name, path = mount.get("name", ""), mount.get("mountPath", "")
        if not name:
            yield required(f"{field}[{index}].name")
        if name not in volumes:
            yield not_found_value(f"{field}[{index}].name", name)
        if not path:
            yield required(f"{field}[{index}].mountPath")
        if path in seen:
            yield invalid_value(f"{field}[{index}].mountPath", path, "must be unique")
        seen.add(path)


def _check_handler(handler: Object, field: str, grace_s: int) -> Iterator[FieldError]:
    """What a probe or a hook does: one thing (core/validation, validateHandler)."""
    kinds = [name for name in HANDLERS if handler.get(name) is not None]
    if not kinds:
        yield required(field, "must specify a handler type")
        return
    for name in kinds[1:]:
        yield forbidden_field(f"{field}.{name}", "may not specify more than 1 handler type")
    action, place = handler[kinds[0]], f"{field}.{kinds[0]}"
    if kinds[0] == "exec" and not action.get("command"):
        yield required(f"{place}.command")
    if kinds[0] in ("httpGet", "tcpSocket", "grpc"):
        yield from check_target_port(action.get("port", 0), f"{place}.port")
    if kinds[0] == "httpGet":
        yield from check_choice(action.get("scheme"), SCHEMES, f"{place}.scheme")
    if kinds[0] == "sleep" and not 0 <= action.get("seconds", 0) <= grace_s:
        why = f"must be non-negative and less than terminationGracePeriodSeconds ({grace_s})"
        yield invalid_value(place, action.get("seconds", 0), why)


def _check_probe(probe: Object, field: str, grace_s: int) -> Iterator[FieldError]:
    yield from _check_handler(probe, field, grace_s)
    for name in ("initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"):
        if (value := probe.get(name, 1)) < 0:
            yield invalid_value(f"{field}.{name}", value, "must be greater than or equal to 0")


def check_target_port(port: Any, field: str) -> Iterator[FieldError]:
    """A number, or the name of a container's port."""
    if isinstance(port, int):
        yield from check_port_number(port, field)
    else:
        yield from check_port_name(port, field)
