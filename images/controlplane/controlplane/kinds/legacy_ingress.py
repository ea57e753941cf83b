"""Ingress as it was written until Kubernetes 1.22 (extensions/v1beta1): the same objects, with their backends put otherwise.

Source: kubernetes.io, Deprecated API Migration Guide, v1.22, Ingress.
"""

from __future__ import annotations

from collections.abc import Callable

from controlplane.kinds.ingress import INGRESSES
from controlplane.kinds.resource import Resource
from controlplane.objects import Object
from controlplane.schema.meta import LOAD_BALANCER_STATUS, kind
from controlplane.schema.types import INT_OR_STRING, OPAQUE, STRING, STRINGS, ListOf, struct

API_VERSION = "extensions/v1beta1"
DEFAULT_PATH_TYPE = "ImplementationSpecific"
"""v1 asks for a type, here it had this default."""

_BACKEND = struct("IngressBackend", serviceName=STRING, servicePort=INT_OR_STRING, resource=OPAQUE)
_PATH = struct("HTTPIngressPath", path=STRING, pathType=STRING, backend=_BACKEND)
LEGACY_INGRESS = kind(
    "Ingress",
    spec=struct(
        "IngressSpec",
        ingressClassName=STRING,
        backend=_BACKEND,
        tls=ListOf(item=struct("IngressTLS", hosts=STRINGS, secretName=STRING)),
        rules=ListOf(item=struct("IngressRule", host=STRING, http=struct("HTTPIngressRuleValue", paths=ListOf(item=_PATH)))),
    ),
    status=struct("IngressStatus", loadBalancer=LOAD_BALANCER_STATUS),
)


def to_current(ingress: Object) -> Object:
    """From extensions/v1beta1 to networking.k8s.io/v1, as it is stored."""
    converted = {**ingress, "apiVersion": INGRESSES.group_version}
    if isinstance(spec := ingress.get("spec"), dict):
        spec = _with_paths(spec, _path_to_current)
        if (backend := spec.pop("backend", None)) is not None:
            spec["defaultBackend"] = _backend_to_current(backend)
        converted["spec"] = spec
    return converted


def from_current(ingress: Object) -> Object:
    """From how it is stored to extensions/v1beta1."""
    converted = {**ingress, "apiVersion": API_VERSION}
    if isinstance(spec := ingress.get("spec"), dict):
        spec = _with_paths(spec, _path_from_current)
        if (backend := spec.pop("defaultBackend", None)) is not None:
            spec["backend"] = _backend_from_current(backend)
        converted["spec"] = spec
    return converted


def _with_paths(spec: Object, convert: Callable[[Object], Object]) -> Object:
    """A copy of the spec with every path converted."""
    copied = dict(spec)
    if spec.get("rules"):
        copied["rules"] = [
            {**rule, "http": {**rule["http"], "paths": [convert(path) for path in rule["http"].get("paths") or ()]}}
            if rule.get("http")
            else rule
            for rule in spec["rules"]
        ]
    return copied


def _path_to_current(path: Object) -> Object:
    return {"pathType": DEFAULT_PATH_TYPE, **path, "backend": _backend_to_current(path.get("backend") or {})}


def _path_from_current(path: Object) -> Object:
    return {**path, "backend": _backend_from_current(path.get("backend") or {})}


def _backend_to_current(backend: Object) -> Object:
    converted = {name: value for name, value in backend.items() if name == "resource"}
    if "serviceName" in backend or "servicePort" in backend:
        port = backend.get("servicePort")
        service: Object = {"name": backend.get("serviceName", "")}
        if port not in (None, "", 0):
            service["port"] = {"number": port} if isinstance(port, int) else {"name": port}
        converted["service"] = service
    return converted


def _backend_from_current(backend: Object) -> Object:
    converted = {name: value for name, value in backend.items() if name == "resource"}
    if (service := backend.get("service")) is not None:
        port = service.get("port") or {}
        converted["serviceName"] = service.get("name", "")
        converted["servicePort"] = port.get("name") or port.get("number") or 0
    return converted


LEGACY_INGRESSES = Resource(
    group="extensions",
    version="v1beta1",
    kind="Ingress",
    plural="ingresses",
    # Without short names: those of networking.k8s.io would be ambiguous.
    schema=LEGACY_INGRESS,
    has_status=True,
    has_generation=True,
    columns=INGRESSES.columns,
    to_stored=to_current,
    from_stored=from_current,
)
