"""From Ingress, Service and Secret objects to one routing table and its certificates. Pure but for OpenSSL's own checks.

What is wrong with an Ingress becomes a complaint about that one: its good rules and everybody else's are served.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from lbagent.ingress.certificates import CertificateError, read_pair
from lbagent.ingress.classes import is_ours, read_controllers
from lbagent.ingress.routing import PathType, Route, RoutingTable, Target, Unrouted, key_of, make_table

Object = Mapping[str, Any]
"""A Kubernetes object as decoded from JSON."""

PATH_TYPES = {"Exact": PathType.EXACT, "Prefix": PathType.PREFIX, "ImplementationSpecific": PathType.PREFIX}


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """A pair and the server names that it is for; the empty one stands for clients that name none, or one that nobody has."""

    secret: str
    """Namespace and name."""
    names: tuple[str, ...]
    pem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Complaint:
    """What is wrong with one Ingress, for an Event on it."""

    ingress: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class IngressView:
    """Everything that the Ingresses ask for."""

    table: RoutingTable
    certificates: tuple[Certificate, ...]
    complaints: tuple[Complaint, ...]
    ingresses: Mapping[str, Object]
    """Those that are served, by namespace and name."""
    services: Mapping[str, Object]
    secrets: Collection[Object]
    """What they were read with."""
    refused: Mapping[str, Object] = field(default_factory=dict)
    """Those that are ours and cannot be served, for HAProxy takes nothing that has them in it."""


class _Reading:
    """One pass over the objects."""

    def __init__(self, services: Mapping[str, Object], secrets: Mapping[str, Object]) -> None:
        self._services = services
        self._secrets = secrets
        self.routes: list[Route] = []
        self.defaults: list[Target | None] = []
        self.complaints: list[Complaint] = []
        self.certificates: dict[str, Certificate] = {}
        self._owners: dict[tuple[PathType, str], tuple[str, bool]] = {}
        """Who has a place of the table, and whether it is served."""
        self._named: dict[str, str] = {}

    def read(self, key: str, ingress: Object) -> None:
        """Take its rules and certificates."""
        spec = ingress.get("spec") or {}
        default = None if spec.get("defaultBackend") is None else self._resolve(key, spec["defaultBackend"], "defaultBackend")
        if spec.get("defaultBackend") is not None:
            if any(self.defaults):
                self._complain(key, "DefaultBackendTaken", "an older Ingress has the default backend")
            self.defaults.append(default)
        for place, rule in enumerate(spec.get("rules") or ()):
            self._read_rule(key, rule, f"rules[{place}]", default, has_default=spec.get("defaultBackend") is not None)
        for place, tls in enumerate(spec.get("tls") or ()):
            self._read_tls(key, tls, f"tls[{place}]")

    def _read_rule(self, key: str, rule: Object, where: str, default: Target | None, *, has_default: bool) -> None:
        host = (rule.get("host") or "").lower()
        if not rule.get("http"):
            # A rule without paths sends its host's requests to the default backend (IngressRule, `http`): its own, else the one
            # that everything goes to which no rule names.
            if has_default:
                self._add(key, Route(host=host, path="/", path_type=PathType.PREFIX, target=default), where)
            return
        for place, path in enumerate(rule["http"].get("paths") or ()):
            at = f"{where}.http.paths[{place}]"
            text = path.get("path") or "/"
            if not (text.startswith("/") and text.isascii() and text.isprintable() and " " not in text):
                message = f"{at}.path: {text!r} is no path of a request; allowed: / and percent-encoded (RFC 3986 section 3.3)"
                self._complain(key, "InvalidPath", message)
                continue
            target = self._resolve(key, path.get("backend") or {}, f"{at}.backend")
            path_type = PATH_TYPES.get(path.get("pathType", ""), PathType.PREFIX)
            self._add(key, Route(host=host, path=text, path_type=path_type, target=target), at)

    def _add(self, key: str, route: Route, where: str) -> None:
        place = (route.path_type, key_of(route))
        owner, is_served = self._owners.get(place, (key, False))
        if not is_served and route.target is not None:
            # What works is not taken down by an older one that does not, which has a complaint of its own.
            owner = key
        self._owners[place] = (owner, is_served or route.target is not None)
        if owner != key:
            message = f"{where}: {owner}, which is older, has {route.path_type} {route.path} of host {route.host or '*'}"
            self._complain(key, "PathTaken", message)
        self.routes.append(route)

    def _resolve(self, key: str, backend: Object, where: str) -> Target | None:
        """The Service port behind a backend; None, and a complaint, where HAProxy cannot reach it."""
        reference = backend.get("service")
        if not reference:
            self._complain(key, "UnsupportedBackend", f"{where}: a resource cannot be served; allowed: a service")
            return None
        service_key = f"{key.partition('/')[0]}/{reference.get('name')}"
        service, wanted = self._services.get(service_key), reference.get("port") or {}
        if service is None:
            self._complain(key, "ServiceNotFound", f"{where}: there is no Service {service_key}")
            return None
        named = wanted.get("name") or wanted.get("number")
        ports = (service.get("spec") or {}).get("ports") or ()
        port = next((item for item in ports if named in (item.get("name"), item["port"])), None)
        if port is None:
            has = ", ".join(str(item.get("name") or item["port"]) for item in ports)
            self._complain(key, "PortNotFound", f"{where}: Service {service_key} has no port {named}; it has: {has or 'none'}")
            return None
        if not port.get("nodePort") or port.get("protocol", "TCP") != "TCP":
            message = f"{where}: port {named} of Service {service_key} has no TCP node port to be reached at"
            self._complain(key, "NoNodePort", f"{message}; allowed: type NodePort or LoadBalancer")
            return None
        return Target(service=service_key, port=port["port"])

    def _read_tls(self, key: str, tls: Object, where: str) -> None:
        secret_key = f"{key.partition('/')[0]}/{tls.get('secretName')}"
        if not tls.get("secretName"):
            self._complain(key, "SecretNotFound", f"{where}: names no secret")
            return
        secret = self._secrets.get(secret_key)
        if secret is None:
            self._complain(key, "SecretNotFound", f"{where}: there is no Secret {secret_key}")
            return
        try:
            pem = read_pair(secret)
        except CertificateError as error:
            self._complain(key, "InvalidCertificate", f"{where}: Secret {secret_key}: {error}")
            return
        wanted = tuple(dict.fromkeys(name.lower() for name in tls.get("hosts") or ())) or ("",)
        for name in wanted:
            if self._named.setdefault(name, secret_key) != secret_key:
                message = f"{where}: {name or 'every other host'} has the certificate of {self._named[name]}, of an older entry"
                self._complain(key, "HostTaken", message)
        mine = {name for name, owner in self._named.items() if owner == secret_key}
        self.certificates[secret_key] = Certificate(secret=secret_key, names=tuple(sorted(mine)), pem=pem)

    def _complain(self, ingress: str, reason: str, message: str) -> None:
        self.complaints.append(Complaint(ingress=ingress, reason=reason, message=message))


def read_ingresses(
    ingresses: Collection[Object],
    services: Mapping[str, Object],
    secrets: Collection[Object],
    classes: Collection[Object] = (),
) -> IngressView:
    """What all of them ask for together that are ours; the older one has precedence."""
    controllers = read_controllers(classes)
    mine = [item for item in ingresses if not item["metadata"].get("deletionTimestamp") and is_ours(item, controllers)]
    return _read_all({_key(item): item for item in sorted(mine, key=_age)}, services, secrets)


def read_alone(view: IngressView, key: str) -> IngressView:
    """What one of them would ask for without the others."""
    return _read_all({key: view.ingresses[key]}, view.services, view.secrets)


def without(view: IngressView, refused: Mapping[str, str]) -> IngressView:
    """The view of the others, with what is said against these, by namespace and name."""
    others = _read_all({key: item for key, item in view.ingresses.items() if key not in refused}, view.services, view.secrets)
    complaints = (Complaint(ingress=key, reason="RefusedByHaproxy", message=said) for key, said in sorted(refused.items()))
    return replace(others, complaints=(*others.complaints, *complaints), refused={key: view.ingresses[key] for key in refused})


def _read_all(served: Mapping[str, Object], services: Mapping[str, Object], secrets: Collection[Object]) -> IngressView:
    """In this order."""
    reading = _Reading(services, {_key(secret): secret for secret in secrets})
    for key, ingress in served.items():
        reading.read(key, ingress)
    broken = Unrouted.UNAVAILABLE if reading.defaults else Unrouted.NOT_FOUND
    default = next((target for target in reading.defaults if target is not None), broken)
    return IngressView(
        table=make_table(reading.routes, default),
        certificates=tuple(sorted(reading.certificates.values(), key=lambda item: item.secret)),
        complaints=tuple(reading.complaints),
        ingresses=served,
        services=services,
        secrets=secrets,
    )


def read_ingress(ingress: Object) -> object:
    """What it asks for by itself, of whatever class. Raises KeyError, TypeError and the like where it is no Ingress."""
    reading = _Reading({}, {})
    reading.read(_key(ingress), ingress)
    return is_ours(ingress, {}), _age(ingress), make_table(reading.routes)


def _key(item: Object) -> str:
    return f"{item['metadata'].get('namespace', 'default')}/{item['metadata']['name']}"


def _age(item: Object) -> tuple[str, str]:
    """RFC 3339 in UTC sorts as text."""
    return item["metadata"].get("creationTimestamp") or "", _key(item)
