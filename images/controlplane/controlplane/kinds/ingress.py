"""Ingress and IngressClass (networking.k8s.io/v1)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

from controlplane.field_errors import NIL, FieldError, forbidden_field, invalid_value, required, too_long
from controlplane.kinds.addresses import NOT_A_NAME, check_load_balancer_status, is_address
from controlplane.kinds.columns import AGE, NAME, NONE
from controlplane.kinds.names import (
    check_choice,
    check_domain_prefixed_path,
    check_name,
    check_path_segment,
    check_port_name,
    check_port_number,
)
from controlplane.kinds.resource import Column, Resource
from controlplane.objects import Object, annotations_of, spec_of, status_of
from controlplane.schema.meta import LOAD_BALANCER_STATUS, kind
from controlplane.schema.types import INT32, OPAQUE, STRING, STRING_POINTER, STRINGS, ListOf, strings, struct

_BACKEND = struct(
    "IngressBackend",
    service=struct("IngressServiceBackend", name=STRING, port=struct("ServiceBackendPort", name=STRING, number=INT32)),
    resource=OPAQUE,
)
_PATH = struct("HTTPIngressPath", path=STRING, pathType=STRING, backend=_BACKEND)
INGRESS = kind(
    "Ingress",
    spec=struct(
        "IngressSpec",
        ingressClassName=STRING_POINTER,
        defaultBackend=_BACKEND,
        tls=ListOf(item=struct("IngressTLS", hosts=STRINGS, secretName=STRING)),
        rules=ListOf(
            item=struct(
                "IngressRule", host=STRING, http=struct("HTTPIngressRuleValue", paths=ListOf(item=_PATH, stays_empty=True))
            )
        ),
    ),
    status=struct("IngressStatus", loadBalancer=LOAD_BALANCER_STATUS),
)
CLASS_ANNOTATION = "kubernetes.io/ingress.class"
FORBIDDEN_IN_PATHS = ("//", "/./", "/../", "%2f", "%2F")
FORBIDDEN_AT_ENDS = ("/..", "/.")
PATH_TYPES = ("Exact", "ImplementationSpecific", "Prefix")


def default_ingress(ingress: Object) -> None:
    ingress.setdefault("spec", {})
    ingress["status"] = {"loadBalancer": {}} | status_of(ingress)


def check_ingress(ingress: Object, before: Object | None) -> Iterable[FieldError]:
    spec = spec_of(ingress)
    if not spec.get("rules") and spec.get("defaultBackend") is None:
        yield invalid_value("spec", NIL, "either `defaultBackend` or `rules` must be specified")
    if (backend := spec.get("defaultBackend")) is not None:
        yield from _check_backend(backend, "spec.defaultBackend")
    for number, rule in enumerate(spec.get("rules") or ()):
        place = f"spec.rules[{number}]"
        if host := rule.get("host"):
            if is_address(host):
                yield invalid_value(f"{place}.host", host, NOT_A_NAME)
            yield from _check_host(host, f"{place}.host")
        if (http := rule.get("http")) is not None and not http.get("paths"):
            yield required(f"{place}.http.paths")
        for index, path in enumerate((rule.get("http") or {}).get("paths") or ()):
            yield from _check_path(path, f"{place}.http.paths[{index}]")
    for number, tls in enumerate(spec.get("tls") or ()):
        for index, host in enumerate(tls.get("hosts") or ()):
            yield from _check_host(host, f"spec.tls[{number}].hosts[{index}]")
        if tls.get("secretName"):
            yield from check_name("subdomain", tls["secretName"], f"spec.tls[{number}].secretName")
    class_name, annotation = spec.get("ingressClassName"), annotations_of(ingress).get(CLASS_ANNOTATION)
    if class_name is not None:
        yield from check_name("subdomain", class_name, "spec.ingressClassName")
        if before is None and annotation not in (None, class_name):
            place = f"annotations.{CLASS_ANNOTATION}"
            yield invalid_value(place, annotation, "must match `ingressClassName` when both are specified")
    yield from check_load_balancer_status(ingress)


def _check_host(host: str, field: str) -> Iterator[FieldError]:
    yield from check_name("wildcard" if "*" in host else "subdomain", host, field)


def _check_path(path: Object, field: str) -> Iterator[FieldError]:
    kind_, text = path.get("pathType"), path.get("path", "")
    if not kind_:
        yield required(f"{field}.pathType", "pathType must be specified")
    else:
        yield from check_choice(kind_, PATH_TYPES, f"{field}.pathType")
    if not text.startswith("/") and (text or kind_ in ("Exact", "Prefix")):
        yield invalid_value(f"{field}.path", text, "must be an absolute path")
    if kind_ in ("Exact", "Prefix"):
        for part in FORBIDDEN_IN_PATHS:
            if part in text:
                yield invalid_value(f"{field}.path", text, f"must not contain '{part}'")
        for end in FORBIDDEN_AT_ENDS:
            if text.endswith(end):
                yield invalid_value(f"{field}.path", text, f"cannot end with '{end}'")
    yield from _check_backend(path.get("backend") or {}, f"{field}.backend")


def _check_backend(backend: Object, field: str) -> Iterator[FieldError]:
    service = backend.get("service")
    if service is None:
        if backend.get("resource") is None:
            yield invalid_value(field, "", "resource or service backend is required")
        return
    if backend.get("resource") is not None:
        yield invalid_value(field, "", "cannot set both resource and service backends")
        return
    if not service.get("name"):
        yield required(f"{field}.service.name")
    else:
        yield from check_name("dns1035", service["name"], f"{field}.service.name")
    port = service.get("port") or {}
    if not port.get("name") and not port.get("number"):
        yield required(field, "port name or number is required")
    elif port.get("name") and port.get("number"):
        yield invalid_value(field, "", "cannot set both port name & port number")
    elif port.get("name"):
        yield from check_port_name(port["name"], f"{field}.service.port.name")
    else:
        yield from check_port_number(port["number"], f"{field}.service.port.number")


def _show_hosts(ingress: Object, _: datetime) -> str:
    hosts = [rule["host"] for rule in spec_of(ingress).get("rules") or () if rule.get("host")]
    more = f" + {len(hosts) - 3} more..." if len(hosts) > 3 else ""
    return (",".join(hosts[:3]) or "*") + more


def _show_address(ingress: Object, _: datetime) -> str:
    entries = (status_of(ingress).get("loadBalancer") or {}).get("ingress") or ()
    return ",".join(entry.get("ip") or entry.get("hostname") or "" for entry in entries)


def _show_class(ingress: Object, _: datetime) -> str:
    return NONE if not spec_of(ingress).get("ingressClassName") else str(spec_of(ingress)["ingressClassName"])


INGRESSES = Resource(
    group="networking.k8s.io",
    kind="Ingress",
    plural="ingresses",
    short_names=("ing",),
    schema=INGRESS,
    has_status=True,
    has_generation=True,
    default=default_ingress,
    validate=check_ingress,
    columns=(
        NAME,
        Column(name="Class", cell=_show_class),
        Column(name="Hosts", cell=_show_hosts),
        Column(name="Address", cell=_show_address),
        Column(name="Ports", cell=lambda ingress, _: "80, 443" if spec_of(ingress).get("tls") else "80"),
        AGE,
    ),
)

_PARAMETERS = struct("IngressClassParametersReference", **strings("apiGroup kind name scope namespace"))
INGRESS_CLASS = kind("IngressClass", spec=struct("IngressClassSpec", controller=STRING, parameters=_PARAMETERS))
CONTROLLER_LIMIT = 250


def default_ingress_class(item: Object) -> None:
    item.setdefault("spec", {})
    if (parameters := item["spec"].get("parameters")) is not None:
        parameters.setdefault("scope", "Cluster")


def check_ingress_class(item: Object, before: Object | None) -> Iterable[FieldError]:
    controller = spec_of(item).get("controller", "")
    if not controller:
        yield required("spec.controller")
    else:
        if len(controller) > CONTROLLER_LIMIT:
            yield too_long("spec.controller", CONTROLLER_LIMIT)
        yield from check_domain_prefixed_path(controller, "spec.controller")
    if (parameters := spec_of(item).get("parameters")) is not None:
        yield from _check_parameters(parameters, "spec.parameters")
    if before is not None and spec_of(before).get("controller") != controller:
        yield invalid_value("spec.controller", controller, "field is immutable")


def _check_parameters(parameters: Object, field: str) -> Iterator[FieldError]:
    """networking/validation, validateIngressClassParametersReference."""
    if group := parameters.get("apiGroup"):
        yield from check_name("subdomain", group, f"{field}.apiGroup")
    for name in ("kind", "name"):
        if not (text := parameters.get(name)):
            yield required(f"{field}.{name}", f"{name} is required")
        else:
            yield from check_path_segment(text, f"{field}.{name}")
    scope, namespace = parameters.get("scope"), parameters.get("namespace")
    yield from check_choice(scope, ("Cluster", "Namespace"), f"{field}.scope")
    if scope == "Cluster" and namespace is not None:
        yield forbidden_field(f"{field}.namespace", "`parameters.scope` is set to 'Cluster'")
    elif scope == "Namespace" and not namespace:
        yield required(f"{field}.namespace", "`parameters.scope` is set to 'Namespace'")
    elif scope == "Namespace":
        yield from check_name("label", str(namespace), f"{field}.namespace")


def _show_parameters(item: Object, _: datetime) -> str:
    if (parameters := spec_of(item).get("parameters")) is None:
        return NONE
    kind_ = ".".join(filter(None, (parameters.get("kind"), parameters.get("apiGroup"))))
    return f"{kind_}/{parameters.get('name', '')}"


INGRESS_CLASSES = Resource(
    group="networking.k8s.io",
    kind="IngressClass",
    plural="ingressclasses",
    is_namespaced=False,
    schema=INGRESS_CLASS,
    has_generation=True,
    default=default_ingress_class,
    validate=check_ingress_class,
    columns=(
        NAME,
        Column(name="Controller", cell=lambda item, _: spec_of(item).get("controller", "")),
        Column(name="Parameters", cell=_show_parameters),
        AGE,
    ),
)
