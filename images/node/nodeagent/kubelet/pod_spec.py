"""What the kubelet reads of a Pod object, with Kubernetes' defaults. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address
from typing import Any

Object = Mapping[str, Any]

PROXY_PROTOCOL = "ingress-testbed.io/proxy-protocol"
"""Annotation of a pod whose program expects a PROXY header on every connection: `true`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """A readiness probe: HTTP when `path` is given, else a TCP connection (core/v1 Probe defaults)."""

    port: int | None
    """None: it names a port that no container declares, and fails every time, as the kubelet's."""
    path: str | None
    initial_delay_s: float
    period_s: float
    timeout_s: float
    success_threshold: int
    failure_threshold: int
    port_name: str = ""
    """What it was named by, if it was."""
    container: str = ""
    """Whose probe it is."""
    proxy_protocol: bool = False
    """The probe says who it is like everybody else: a program that expects PROXY headers closes what has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostPort:
    """A port of the node that leads to one of the pod (core/v1 ContainerPort)."""

    protocol: str
    """In lower case."""
    address: IPv4Address | None
    """`hostIP`; None: every address of the node."""
    port: int
    container_port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PodSpec:
    namespace: str
    name: str
    uid: str
    ports: tuple[int, ...]
    """Where its program listens, each once: it speaks TCP only."""
    host_network: bool
    readiness: Readiness | None
    pre_stop_s: float
    grace_s: float
    containers: tuple[str, ...]
    images: tuple[str, ...] = ()
    """Of its containers, in their order."""
    proxy_protocol: bool = False
    host_ports: tuple[HostPort, ...] = ()

    @property
    def key(self) -> str:
        return f"{self.namespace}/{self.name}"


def read_pod(item: Object) -> PodSpec:
    metadata, spec = item["metadata"], item["spec"]
    containers = spec.get("containers") or ()
    listed = [port for container in containers for port in container.get("ports") or ()]
    names = {port["name"]: port["containerPort"] for port in listed if port.get("name")}
    probed = next((container for container in containers if container.get("readinessProbe")), None)
    sleeps = [
        (((container.get("lifecycle") or {}).get("preStop") or {}).get("sleep") or {}).get("seconds", 0)
        for container in containers
    ]
    grace = spec.get("terminationGracePeriodSeconds")
    proxy_protocol = (metadata.get("annotations") or {}).get(PROXY_PROTOCOL) == "true"
    return PodSpec(
        namespace=metadata.get("namespace", "default"),
        name=metadata["name"],
        uid=metadata["uid"],
        ports=tuple(dict.fromkeys(port["containerPort"] for port in listed if port.get("protocol", "TCP") == "TCP")),
        host_network=bool(spec.get("hostNetwork")),
        readiness=_read_probe(probed, names, proxy_protocol=proxy_protocol) if probed else None,
        pre_stop_s=float(max(sleeps, default=0)),
        grace_s=float(30 if grace is None else grace),
        containers=tuple(container["name"] for container in containers),
        images=tuple(container.get("image", "") for container in containers),
        proxy_protocol=proxy_protocol,
        host_ports=tuple(_read_host_ports(listed)),
    )


def _read_host_ports(ports: Iterable[Object]) -> Iterator[HostPort]:
    for port in ports:
        if not port.get("hostPort"):
            continue
        try:
            address = IPv4Address(port.get("hostIP") or "0.0.0.0")
        except AddressValueError:
            continue  # of the other family: no address of ours
        yield HostPort(
            protocol=port.get("protocol", "TCP").lower(),
            address=None if address.is_unspecified else address,
            port=port["hostPort"],
            container_port=port["containerPort"],
        )


def _read_probe(container: Object, names: Mapping[str, int], *, proxy_protocol: bool) -> Readiness | None:
    probe = container["readinessProbe"]
    http = probe.get("httpGet")
    action = http or probe.get("tcpSocket")
    if action is None:
        return None
    port = action["port"]
    return Readiness(
        port=names.get(port) if isinstance(port, str) else port,
        path=(http.get("path") or "/") if http else None,
        initial_delay_s=float(probe.get("initialDelaySeconds") or 0),
        period_s=float(probe.get("periodSeconds") or 10),
        timeout_s=float(probe.get("timeoutSeconds") or 1),
        success_threshold=int(probe.get("successThreshold") or 1),
        failure_threshold=int(probe.get("failureThreshold") or 3),
        port_name=port if isinstance(port, str) else "",
        container=container["name"],
        proxy_protocol=proxy_protocol,
    )
