"""What is in the EndpointSlices of a Service: which pods, in which condition, at which ports. Pure.

Source: kubernetes, staging/src/k8s.io/endpointslice, utils.go.
"""

from __future__ import annotations

from controlplane.objects import (
    Object,
    containers_of,
    is_pod_finished,
    is_pod_ready,
    is_terminating,
    labels_of,
    spec_of,
    status_of,
)
from controlplane.selectors import matches_labels

Port = tuple[str, str, int | None, str]
"""Name, protocol, number and application protocol of a slice's port."""


def is_endpoint_of(service: Object, pod: Object) -> bool:
    """Finished pods and pods without an address are left out; not-ready ones stay, and are marked so."""
    return (
        matches_labels(spec_of(service).get("selector"), labels_of(pod))
        and bool(status_of(pod).get("podIP"))
        and not is_pod_finished(pod)
    )


def conditions_of(service: Object, pod: Object) -> Object:
    """serving = Ready; terminating = being deleted; ready = both right, or the Service wants even those that are not."""
    serving, terminating = is_pod_ready(pod), is_terminating(pod)
    publishes_all = bool(spec_of(service).get("publishNotReadyAddresses"))
    return {
        "ready": publishes_all or (serving and not terminating),
        "serving": serving,
        "terminating": terminating,
    }


def ports_of_pod(service: Object, pod: Object) -> tuple[Port, ...]:
    """The Service's ports as this pod has them; a named target port that the pod lacks is left out."""
    found: list[Port] = []
    for port in spec_of(service).get("ports") or ():
        number = find_target_port(port, pod)
        if number is not None:
            found.append((port.get("name", ""), port.get("protocol", "TCP"), number, port.get("appProtocol", "")))
    return tuple(found)


def find_target_port(port: Object, pod: Object) -> int | None:
    """pkg/api/v1/pod, FindPort."""
    target = port.get("targetPort")
    if isinstance(target, int):
        return target
    for container in containers_of(spec_of(pod)):
        for candidate in container.get("ports") or ():
            if candidate.get("name") == target and candidate.get("protocol", "TCP") == port.get("protocol", "TCP"):
                return int(candidate["containerPort"])
    return None


def render_port(port: Port) -> Object:
    name, protocol, number, app_protocol = port
    rendered: Object = {"name": name, "protocol": protocol, "port": number}
    if app_protocol:
        rendered["appProtocol"] = app_protocol
    return rendered


def ports_of_slice(item: Object) -> tuple[Port, ...]:
    return tuple(
        (port.get("name", ""), port.get("protocol", "TCP"), port.get("port"), port.get("appProtocol", ""))
        for port in item.get("ports") or ()
    )
