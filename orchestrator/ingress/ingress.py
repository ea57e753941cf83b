"""Ingress: HAProxy (HTTP) is programmed from Ingress resources, ends TLS, and chooses the Service by host and path."""

from collections.abc import Iterator
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt

from orchestrator.contracts import IngressFacts, IngressRuleFacts, PathParts, PlanContext, ServiceFacts
from orchestrator.ingress.haproxy import HEALTH_CHECK_NODE_PORT, HttpHaproxyOptions, check_service, plan_settings
from orchestrator.model.plan import Expectation, PathPlan

HTTP_PORT, HTTPS_PORT = 80, 443
OUR_CLASSES = "no class, the class haproxy, or one whose IngressClass has the controller ingress-testbed.io/haproxy"
FURTHER_HTTP_PORTS, FURTHER_HTTPS_PORTS = 8080, 8443
"""A second path of this kind listens on 8081 and 8444 with a frontend and settings of its own, and so on."""
CA_FILE = "/etc/testbed/pki/ca.crt"
"""In every container: the run's authority, which signs the certificates that no manifest holds."""


class IngressOptions(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    ingress: str | None = Field(default=None, description="name of the Ingress; by default the only one of the manifests")
    host: str | None = Field(default=None, description="what is asked for; by default the host of its first rule")
    path: str | None = Field(default=None, pattern=r"^/[!-~]*$", description="by default the path of its first rule")
    tls: StrictBool | None = Field(default=None, description="https; by default where the Ingress has a certificate for the host")
    http_port: StrictInt | None = Field(default=None, ge=1, le=65535, description="80, or beside TLS none")
    haproxy: HttpHaproxyOptions = HttpHaproxyOptions()


class Ingress:
    """Client -> HAProxy (TLS, host, path) -> any node's node port of the Service -> its netfilter rules -> pod."""

    kind: ClassVar[str] = "ingress"
    options: ClassVar[type[BaseModel]] = IngressOptions

    def plan(self, name: str, options: BaseModel, context: PlanContext, index: int) -> PathParts:
        assert isinstance(options, IngressOptions)
        ingress = _select_ingress(options.ingress, context)
        host, path = _select_request(options, ingress)
        owner, rule = find_rule(context.ingresses, host or "", path)
        if owner is not ingress or rule is None:
            met = "no rule" if owner is None or rule is None else f"the rule of Ingress {owner.key}"
            raise ValueError(f"path: {host or 'any host'}{path} meets {met}; allowed: what Ingress {ingress.key} serves")
        service, port = _select_backend(rule, context)
        check_service(options.haproxy, service)
        secured = _has_certificate(ingress, host)
        tls = secured if options.tls is None else options.tls
        if tls and not secured:
            raise ValueError(f"tls: Ingress {ingress.key} has no certificate for {host or 'requests without a host'}")
        http, https = (HTTP_PORT, HTTPS_PORT) if index == 0 else (FURTHER_HTTP_PORTS + index, FURTHER_HTTPS_PORTS + index)
        # Beside TLS nobody calls the plain port, which another path may want.
        plain = options.http_port if options.http_port is not None else None if tls else http
        scheme, listen, default = ("https", https, HTTPS_PORT) if tls else ("http", plain, HTTP_PORT)
        called = host or str(context.loadbalancer)
        frontend: dict[str, object] = {"name": name, "mode": self.kind, "haproxy": options.haproxy.to_settings()}
        if plain is not None:
            frontend["bind"] = f"{context.loadbalancer}:{plain}"
        if tls:
            frontend["bind_tls"] = f"{context.loadbalancer}:{https}"
        default_check = HEALTH_CHECK_NODE_PORT if service.is_local and service.service_type == "LoadBalancer" else "tcp"
        return PathParts(
            path=PathPlan(
                name=name,
                kind=self.kind,
                url=f"{scheme}://{called}{'' if listen == default else f':{listen}'}{path}",
                expect=Expectation.OK,
                service=service.key,
                entry_nodes=(),
                frontend=f"{name}:{service.key.replace('/', ':')}:{port}",
                # HAProxy ends the client's connection, and opens one to a server for every request on it.
                settings={**plan_settings(options.haproxy, service, default_check=default_check), "per_request": True},
                connect_to=str(context.loadbalancer),
                ca_file=CA_FILE if tls else None,
            ),
            frontends=(frontend,),
        )


def find_rule(
    ingresses: tuple[IngressFacts, ...], host: str, path: str
) -> tuple[IngressFacts, IngressRuleFacts] | tuple[None, None]:
    """Who serves a request: of the rules that it meets the one of the most specific host, then of the longest path, exact before
    prefix, then the first. A default backend gets what nobody else does. Ingresses of other controllers are left alone.

    Source: Kubernetes, "Ingress": multiple matches, hostname wildcards, DefaultBackend; `lbagent/ingress/routing.py` decides so.
    """
    ingresses = tuple(item for item in ingresses if item.foreign_class is None)
    meeting = [
        (_rank(rule, host), -place, ingress, rule)
        for place, (ingress, rule) in enumerate((item, rule) for item in ingresses for rule in item.rules)
        if _meets(rule, host, path)
    ]
    if meeting:
        _, _, ingress, rule = max(meeting, key=lambda item: item[:2])
        return ingress, rule
    return next(((item, item.default) for item in ingresses if item.default is not None), (None, None))


def _meets(rule: IngressRuleFacts, host: str, path: str) -> bool:
    if rule.host and rule.host not in (host.lower(), "*." + host.lower().partition(".")[2]):
        return False
    return path == rule.path if rule.is_exact else f"{path}/".startswith(rule.path.rstrip("/") + "/")


def _rank(rule: IngressRuleFacts, host: str) -> tuple[int, bool, int]:
    """An exact path that is met is the whole path: none is longer."""
    return (2 if rule.host == host.lower() and host else 1 if rule.host else 0), rule.is_exact, len(rule.path.rstrip("/"))


def _select_ingress(name: str | None, context: PlanContext) -> IngressFacts:
    ours = [item for item in context.ingresses if item.foreign_class is None]
    foreign = [item for item in context.ingresses if item.foreign_class is not None]
    known = ", ".join(item.name for item in ours) or "none: add an Ingress manifest"
    if name is None:
        if len(ours) == 1:
            return ours[0]
        if foreign and not ours:
            raise ValueError(_describe_foreign(foreign[0]))
        raise ValueError(f"ingress: is required, since the manifests hold {len(ours)}; allowed: {known}")
    found = [item for item in context.ingresses if name in (item.name, item.key)]
    if len(found) != 1:
        what = "no manifest has an Ingress" if not found else "more than one namespace has an Ingress"
        raise ValueError(f"ingress: {what} {name!r}; allowed: {known}")
    if found[0].foreign_class is not None:
        raise ValueError(_describe_foreign(found[0]))
    return found[0]


def _describe_foreign(ingress: IngressFacts) -> str:
    return (
        f"ingress: Ingress {ingress.key} is another controller's, which the testbed does not run; "
        f"found {ingress.foreign_class}; allowed: {OUR_CLASSES}"
    )


def _select_request(options: IngressOptions, ingress: IngressFacts) -> tuple[str | None, str]:
    """Host and path of the requests; None: no host in particular."""
    host, path = options.host, options.path
    if host is None and ingress.rules:
        first = ingress.rules[0]
        host = first.host.replace("*", "www") or None
        path = path or first.path
    return (host.lower() if host else None), path or "/"


def _select_backend(rule: IngressRuleFacts, context: PlanContext) -> tuple[ServiceFacts, int]:
    """The Service and the number of its port."""
    service = context.services.get(rule.service or "")
    if service is None:
        raise ValueError(f"path: its backend is Service {rule.service}, which no manifest has")
    port = next((item for item in service.ports if rule.port in (item.name, item.port)), None)
    if port is None:
        names = ", ".join(item.name or str(item.port) for item in service.ports)
        raise ValueError(f"path: its backend is port {rule.port} of Service {service.key}; it has: {names}")
    if service.service_type not in ("NodePort", "LoadBalancer") or port.protocol != "TCP":
        raise ValueError(
            f"path: its backend, Service {service.key}, has type {service.service_type} and {port.protocol}; "
            "HAProxy stands outside the cluster and reaches node ports: allowed: NodePort, LoadBalancer; TCP"
        )
    return service, port.port


def _has_certificate(ingress: IngressFacts, host: str | None) -> bool:
    return any(name in ingress.tls_hosts for name in _names(host))


def _names(host: str | None) -> Iterator[str]:
    if host:
        yield host
        yield "*." + host.partition(".")[2]
