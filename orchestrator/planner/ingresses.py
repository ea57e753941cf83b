"""What the plan needs of the Ingresses in the manifests: whose they are, who serves what, which certificates lack."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from orchestrator.contracts import IngressFacts, IngressRuleFacts
from orchestrator.errors import ScenarioError
from orchestrator.model.plan import TlsSecretPlan
from orchestrator.scenario.loading import Manifest
from orchestrator.scenario.wording import describe_problems

CONTROLLER = "ingress-testbed.io/haproxy"
CLASS = "haproxy"
"""Ingresses of this class, of an IngressClass of this controller, and those of no class are the load balancer's."""
_ANNOTATION = "kubernetes.io/ingress.class"
_DEFAULT_CLASS = "ingressclass.kubernetes.io/is-default-class"


class _Part(BaseModel):
    """Part of a Kubernetes object: other fields are the control plane's to judge."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class _Metadata(_Part):
    name: str
    namespace: str = "default"
    annotations: Mapping[str, str] | None = None


class _Port(_Part):
    name: str | None = None
    number: int | None = None


class _Service(_Part):
    name: str
    port: _Port = _Port()


class _Backend(_Part):
    """In networking.k8s.io/v1 `service`; in extensions/v1beta1 the two others."""

    service: _Service | None = None
    service_name: str | None = Field(default=None, alias="serviceName")
    service_port: int | str | None = Field(default=None, alias="servicePort")

    def read(self) -> tuple[str | None, int | str | None]:
        if self.service is None:
            return self.service_name, self.service_port
        return self.service.name, self.service.port.name or self.service.port.number


class _Path(_Part):
    path: str = "/"
    path_type: str = Field(default="ImplementationSpecific", alias="pathType")
    backend: _Backend


class _Http(_Part):
    paths: tuple[_Path, ...] = ()


class _Rule(_Part):
    host: str = ""
    http: _Http = _Http()


class _Tls(_Part):
    hosts: tuple[str, ...] = ()
    secret_name: str | None = Field(default=None, alias="secretName")


class _Spec(_Part):
    rules: tuple[_Rule, ...] = ()
    default_backend: _Backend | None = Field(default=None, alias="defaultBackend")
    backend: _Backend | None = None
    tls: tuple[_Tls, ...] = ()
    ingress_class_name: str | None = Field(default=None, alias="ingressClassName")


class _Ingress(_Part):
    metadata: _Metadata
    spec: _Spec = _Spec()


def read_ingresses(manifests: tuple[Manifest, ...]) -> tuple[IngressFacts, ...]:
    """In the order of the manifests, which is that of their creation. Raises ScenarioError naming the manifest file."""
    controllers = dict(_read_class(manifest) for manifest in manifests if manifest.body["kind"] == "IngressClass")
    return tuple(
        _read(manifest, controllers, _find_default_class(manifests[:place]))
        for place, manifest in enumerate(manifests)
        if manifest.body["kind"] == "Ingress"
    )


def _find_default_class(manifests: tuple[Manifest, ...]) -> str | None:
    """What the control plane gives an Ingress that is made after these; all are made within a second."""
    metadata = [item.body.get("metadata") for item in manifests if item.body["kind"] == "IngressClass"]
    names = [
        str(item.get("name"))
        for item in metadata
        if isinstance(item, Mapping) and (item.get("annotations") or {}).get(_DEFAULT_CLASS) == "true"
    ]
    return min(names, default=None)


def _read_class(manifest: Manifest) -> tuple[str, str]:
    """Its name and its controller, which is the control plane's to judge."""
    spec = manifest.body.get("spec")
    return _key(manifest.body)[1], str(spec.get("controller", "")) if isinstance(spec, Mapping) else ""


def _read(manifest: Manifest, controllers: Mapping[str, str], default_class: str | None) -> IngressFacts:
    try:
        ingress = _Ingress.model_validate(manifest.body)
    except ValidationError as error:
        raise ScenarioError(manifest.file, describe_problems(error, _Ingress)) from None
    namespace, spec = ingress.metadata.namespace, ingress.spec
    default = spec.default_backend or spec.backend

    def rule(host: str, path: str, path_type: str, backend: _Backend) -> IngressRuleFacts:
        service, port = backend.read()
        key = None if service is None else f"{namespace}/{service}"
        return IngressRuleFacts(host=host.lower(), path=path or "/", is_exact=path_type == "Exact", service=key, port=port)

    return IngressFacts(
        name=ingress.metadata.name,
        namespace=namespace,
        rules=tuple(rule(item.host, *path) for item in spec.rules for path in _paths(item, default)),
        default=None if default is None else rule("", "/", "Prefix", default),
        tls_hosts=tuple(host.lower() for item in spec.tls for host in item.hosts),
        secrets={
            item.secret_name: item.hosts or tuple(dict.fromkeys(other.host for other in spec.rules if other.host))
            for item in spec.tls
            if item.secret_name
        },
        foreign_class=_find_foreign_class(ingress, manifest, controllers, default_class),
    )


def _find_foreign_class(
    ingress: _Ingress, manifest: Manifest, controllers: Mapping[str, str], default_class: str | None
) -> str | None:
    """As `lbagent/ingress/classes.py` decides.

    Source: Kubernetes, "Ingress", Ingress class and Deprecated annotation; IngressSpec, `ingressClassName`.
    """
    annotations = ingress.metadata.annotations or {}
    name, annotation = ingress.spec.ingress_class_name, annotations.get(_ANNOTATION, CLASS)
    where, key = f"{manifest.file}: document {manifest.index}", "spec.ingressClassName"
    if not name and _ANNOTATION not in annotations:
        name, key = default_class, f"{key}, by default"
    if name and name in controllers:
        controller = controllers[name]
        return None if controller == CONTROLLER else f"{where}.{key} {name!r}, of controller {controller!r}"
    if name:
        return None if name == CLASS else f"{where}.{key} {name!r}"
    return None if annotation == CLASS else f"{where}.metadata.annotations[{_ANNOTATION}] {annotation!r}"


def _paths(rule: _Rule, default: _Backend | None) -> list[tuple[str, str, _Backend]]:
    """A rule without paths sends everything to its Ingress' default backend (API reference, IngressRule)."""
    if not rule.http.paths and default is not None:
        return [("/", "Prefix", default)]
    return [(path.path, path.path_type, path.backend) for path in rule.http.paths]


def plan_tls_secrets(manifests: tuple[Manifest, ...], ingresses: tuple[IngressFacts, ...]) -> tuple[TlsSecretPlan, ...]:
    """Secrets that Ingresses name for certain hosts and that no manifest holds."""
    there = {_key(manifest.body) for manifest in manifests if manifest.body["kind"] == "Secret"}
    hosts: dict[tuple[str, str], dict[str, None]] = {}
    for ingress in ingresses:
        for name, wanted in ingress.secrets.items():
            if (key := (ingress.namespace, name)) not in there and wanted:
                hosts.setdefault(key, {}).update(dict.fromkeys(wanted))
    return tuple(TlsSecretPlan(namespace=key[0], name=key[1], hosts=tuple(names)) for key, names in hosts.items())


def _key(body: Mapping[str, Any]) -> tuple[str, str]:
    metadata = body.get("metadata") or {}
    return metadata.get("namespace", "default"), metadata.get("name", "")
