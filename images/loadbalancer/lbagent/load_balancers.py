"""Services of type LoadBalancer: the frontends that they ask for, and whose address is to be told. Pure.

What the control plane and this agent tell each other: docs/contracts.md section 4.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Network

from lbagent.cluster import Object
from lbagent.frontends import Check
from lbagent.frontends.options import TcpOptions
from lbagent.frontends.service import ServiceFrontend
from lbagent.frontends.tcp import TcpFrontend

EXTERNAL_IP = "ingress-testbed.io/external-ip"
SERVED_IP = "ingress-testbed.io/external-ip-served"
RELEASED = "ingress-testbed.io/external-ip-released"
CLEANUP_FINALIZER = "service.kubernetes.io/load-balancer-cleanup"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadBalancer:
    """One Service with its assigned address."""

    namespace: str
    name: str
    address: IPv4Address
    is_told: bool
    """Whether the API knows already that the address is served."""
    frontends: tuple[TcpFrontend, ...]
    further: frozenset[IPv4Address] = frozenset()
    """Addresses of the plan's, at which it is served with other settings."""
    uid: str = ""


def service_path(balancer: LoadBalancer) -> str:
    """Where the API has the Service."""
    return f"/api/v1/namespaces/{balancer.namespace}/services/{balancer.name}"


def find_leaving(services: Mapping[str, Object]) -> tuple[str, ...]:
    """Paths of Services that wait to be let go of: with the finalizer, but deleted or of another type, and not told so yet."""
    return tuple(
        f"/api/v1/namespaces/{metadata.get('namespace', 'default')}/services/{metadata['name']}"
        for _, service in sorted(services.items())
        if CLEANUP_FINALIZER in ((metadata := service["metadata"]).get("finalizers") or ())
        and RELEASED not in (metadata.get("annotations") or {})
        and (metadata.get("deletionTimestamp") or (service.get("spec") or {}).get("type") != "LoadBalancer")
    )


def find_load_balancers(services: Mapping[str, Object], named: Iterable[ServiceFrontend]) -> tuple[LoadBalancer, ...]:
    """Services that have an address and can be served: every port TCP, with a node port. In the order of their names.

    `named`: the plan's own names and settings for some service ports; every other one has HAProxy's defaults. Those that have an
    address come in addition.
    """
    chosen = tuple(named)
    return tuple(found for key in sorted(services) for found in _read(key, services[key], chosen))


def read_service(service: Object) -> tuple[LoadBalancer, ...]:
    """What it asks for, by default settings. Raises KeyError, ValueError and the like where it is no Service."""
    return tuple(_read("default/read", service, ()))


def _read(key: str, service: Object, named: tuple[ServiceFrontend, ...]) -> Iterator[LoadBalancer]:
    metadata, spec = service["metadata"], service.get("spec") or {}
    annotations = metadata.get("annotations") or {}
    text, ports = annotations.get(EXTERNAL_IP), spec.get("ports") or ()
    is_ours = spec.get("type") == "LoadBalancer" and not spec.get("loadBalancerClass") and not metadata.get("deletionTimestamp")
    if not is_ours or not text or not all(_can_serve(port) for port in ports):
        return
    address = IPv4Address(text)
    own = tuple(item for item in named if item.address is None)
    beside = [
        (item.address, port, item)
        for item in named
        for port in ports
        if item.address is not None and item.is_for(key, port, alone=len(ports) == 1)
    ]
    yield LoadBalancer(
        namespace=metadata.get("namespace", "default"),
        name=metadata["name"],
        address=address,
        is_told=annotations.get(SERVED_IP) == text,
        frontends=(
            *(_frontend(key, service, port, address, own) for port in ports),
            *(_frontend(key, service, port, further, (item,)) for further, port, item in beside),
        ),
        further=frozenset(further for further, _, _ in beside),
        uid=metadata.get("uid", ""),
    )


def _can_serve(port: Object) -> bool:
    return port.get("protocol", "TCP") == "TCP" and bool(port.get("nodePort"))


def _frontend(key: str, service: Object, port: Object, address: IPv4Address, named: tuple[ServiceFrontend, ...]) -> TcpFrontend:
    spec = service["spec"]
    own = next((item for item in named if item.is_for(key, port, alone=len(spec["ports"]) == 1)), None)
    # No `/` in a proxy's name (configuration manual, section 4); no `:` in a Service's.
    name = f"{key.replace('/', ':')}:{port['port']}" if own is None else own.name
    options = TcpOptions() if own is None else own.options
    if options.check is None and spec.get("healthCheckNodePort"):
        options = replace(options, check=Check.HEALTH_CHECK_NODE_PORT)
    return TcpFrontend(
        name=name,
        bind=f"{address}:{port['port']}",
        service=key,
        port=port["port"],
        options=options,
        sources=_sources(spec.get("loadBalancerSourceRanges") or ()),
    )


def _sources(ranges: Iterable[str]) -> tuple[str, ...]:
    """IPv4 networks; any /0 among them means no filter, as kube-proxy has it."""
    networks = tuple(str(IPv4Network(item.strip(), strict=False)) for item in ranges if ":" not in item)
    return () if any(network.endswith("/0") for network in networks) else networks
