"""The path `ingress`: what it plans from the Ingresses in the manifests, what it refuses, and that it routes as the agent does."""

import json
from collections.abc import Iterable
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest
import yaml
from test_haproxy_paths import CONTEXT

from ingress_cases import CASES, WORLDS, Case
from lbagent.ingress.classes import is_ours, read_controllers
from lbagent.settings import decode_settings
from orchestrator.contracts import IngressFacts, PathParts, PlanContext
from orchestrator.errors import ScenarioError
from orchestrator.ingress.ingress import Ingress, find_rule
from orchestrator.model.plan import TlsSecretPlan
from orchestrator.planner.ingresses import plan_tls_secrets, read_ingresses
from orchestrator.scenario.loading import Manifest

MANIFESTS = """
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: shop}
spec:
  tls: [{hosts: [shop.example.org, "*.wild.example.org"], secretName: shop-tls}]
  rules:
    - host: shop.example.org
      http:
        paths:
          - {path: /, pathType: Prefix, backend: {service: {name: plain, port: {name: http}}}}
          - {path: /local, pathType: Prefix, backend: {service: {name: local, port: {number: 81}}}}
          - {path: /inside, pathType: Prefix, backend: {service: {name: inside, port: {number: 80}}}}
          - {path: /absent, pathType: Prefix, backend: {service: {name: absent, port: {number: 80}}}}
          - {path: /port, pathType: Prefix, backend: {service: {name: plain, port: {name: https}}}}
    - host: open.example.org
      http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: plain, port: {number: 80}}}}]}
---
apiVersion: extensions/v1beta1
kind: Ingress
metadata: {name: old}
spec:
  tls: [{secretName: old-tls}]
  backend: {serviceName: plain, servicePort: 81}
  rules: [{host: old.example.org, http: {paths: [{path: /old, backend: {serviceName: plain, servicePort: http}}]}}]
"""


def manifests(text: str) -> tuple[Manifest, ...]:
    bodies: Iterable[dict] = yaml.safe_load_all(text)
    return tuple(Manifest(file=Path("ingress.yaml"), index=index, body=body) for index, body in enumerate(bodies))


def context(text: str = MANIFESTS) -> PlanContext:
    by_key = {item.key: item for item in CONTEXT.services.values()}
    return replace(CONTEXT, services=CONTEXT.services | by_key, ingresses=read_ingresses(manifests(text)))


def plan(index: int = 0, **options: object) -> PathParts:
    kind = Ingress()
    return kind.plan("web", kind.options.model_validate(options), context(), index)


def test_host_is_called_by_name_at_the_load_balancer_s_address() -> None:
    parts = plan(ingress="shop")
    path, (frontend,) = parts.path, parts.frontends
    assert (path.url, path.connect_to, path.ca_file) == (
        "https://shop.example.org/",
        "198.18.0.3",
        "/etc/testbed/pki/ca.crt",
    )
    assert path.settings["per_request"] is True
    assert (path.service, path.frontend, path.entry_nodes) == ("default/plain", "web:default:plain:80", ())
    assert {key: frontend[key] for key in frontend if key != "haproxy"} == {
        "name": "web",
        "mode": "ingress",
        "bind_tls": "198.18.0.3:443",
    }


def test_planned_frontend_is_what_the_agent_takes() -> None:
    frontend = dict(plan(ingress="shop", haproxy={"fall": 7}).frontends[0])
    settings = {"api_url": "x", "token": "x", "public_ip": "198.18.0.3", "frontends": [frontend]}
    (entry,) = decode_settings(json.dumps({"container": "lb", "settings": settings})).ingresses
    assert (entry.name, entry.bind, entry.bind_tls, entry.options.fall) == ("web", None, "198.18.0.3:443", 7)


def test_plain_path_listens_where_http_does_and_is_told_no_authority() -> None:
    parts = plan(ingress="shop", host="open.example.org")
    assert (parts.path.url, parts.path.ca_file) == ("http://open.example.org/", None)
    assert parts.frontends[0]["bind"] == "198.18.0.3:80"
    assert "bind_tls" not in parts.frontends[0]


def test_further_path_has_a_frontend_of_its_own() -> None:
    first, second = plan(0, ingress="shop"), plan(1, ingress="shop", path="/local/x")
    assert (first.path.url, second.path.url) == ("https://shop.example.org/", "https://shop.example.org:8444/local/x")
    assert second.path.frontend == "web:default:local:81"
    assert second.path.settings["external_traffic_policy"] == "Local"


def test_legacy_form_is_read_as_well() -> None:
    parts = plan(ingress="old")
    assert (parts.path.url, parts.path.service) == ("http://old.example.org/old", "default/plain")
    assert plan(ingress="old", host="any.example.org", path="/").path.frontend == "web:default:plain:81"


def test_wildcard_host_is_called_by_a_name_that_it_covers() -> None:
    parts = plan(ingress="shop", host="shop.example.org", tls=False)
    assert parts.path.url == "http://shop.example.org/"
    wild = MANIFESTS.replace("host: shop.example.org", 'host: "*.wild.example.org"')
    kind = Ingress()
    options = kind.options.model_validate({"ingress": "shop"})
    assert kind.plan("web", options, context(wild), 0).path.url == "https://www.wild.example.org/"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, r"ingress: is required, since the manifests hold 2; allowed: shop, old"),
        ({"ingress": "none"}, r"ingress: no manifest has an Ingress 'none'; allowed: shop, old"),
        ({"ingress": "shop", "host": "other.example.org"}, r"path: other\.example\.org/ meets the rule of Ingress default/old"),
        ({"ingress": "shop", "path": "/inside"}, r"path: .*Service default/inside, has type ClusterIP .*allowed: NodePort"),
        ({"ingress": "shop", "path": "/absent"}, r"path: its backend is Service default/absent, which no manifest has"),
        ({"ingress": "shop", "path": "/port"}, r"path: its backend is port https of Service default/plain; it has: http, 81"),
        ({"ingress": "shop", "host": "open.example.org", "tls": True}, r"tls: Ingress default/shop has no certificate for open"),
        ({"ingress": "shop", "path": "no"}, r"String should match pattern"),
    ],
)
def test_what_cannot_be_planned_is_refused_with_what_is_allowed(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        plan(**options)


def test_manifest_without_an_ingress_is_refused_with_its_remedy() -> None:
    kind = Ingress()
    with pytest.raises(ValueError, match="allowed: none: add an Ingress manifest"):
        kind.plan("web", kind.options.model_validate({}), CONTEXT, 0)


def classed(name: str | None = None, annotation: str | None = None, controller: str | None = None) -> str:
    """The Ingress `shop` alone, of a class."""
    text = MANIFESTS.partition("---")[0]
    if name is not None:
        text = text.replace("spec:\n", f"spec:\n  ingressClassName: {name}\n", 1)
    if annotation is not None:
        text = text.replace("{name: shop}", f"{{name: shop, annotations: {{kubernetes.io/ingress.class: {annotation}}}}}")
    if controller is not None:
        text += f"---\nkind: IngressClass\nmetadata: {{name: {name}}}\nspec: {{controller: {controller}}}\n"
    return text


@pytest.mark.parametrize("annotation", [None, "haproxy", "nginx"])
@pytest.mark.parametrize(
    ("name", "controller"),
    [
        (None, None),
        *product(("haproxy", "mine", "nginx"), (None, "ingress-testbed.io/haproxy", "k8s.io/ingress-nginx")),
    ],
)
def test_plan_takes_for_another_controller_s_what_the_agent_does(
    name: str | None, annotation: str | None, controller: str | None
) -> None:
    text = classed(name, annotation, controller)
    bodies = [dict(item.body) for item in manifests(text)]
    controllers = read_controllers([body for body in bodies if body["kind"] == "IngressClass"])
    (facts,) = read_ingresses(manifests(text))
    assert (facts.foreign_class is None) is is_ours(bodies[0], controllers)


@pytest.mark.parametrize("options", [{}, {"ingress": "shop"}, {"ingress": "default/shop"}])
@pytest.mark.parametrize(
    ("text", "found"),
    [
        (classed("nginx"), r"ingress\.yaml: document 0\.spec\.ingressClassName 'nginx'; allowed: no class, the class haproxy"),
        (classed("haproxy", controller="a.io/b"), r"spec\.ingressClassName 'haproxy', of controller 'a\.io/b'; allowed"),
        (classed(annotation="gce"), r"document 0\.metadata\.annotations\[kubernetes\.io/ingress\.class\] 'gce'; allowed"),
    ],
)
def test_path_to_an_ingress_of_another_controller_is_refused(options: dict[str, object], text: str, found: str) -> None:
    kind = Ingress()
    with pytest.raises(ValueError, match=r"ingress: Ingress default/shop is another controller's.*; found .*" + found):
        kind.plan("web", kind.options.model_validate(options), context(text), 0)


@pytest.mark.parametrize("annotation", [None, "haproxy"])
def test_default_class_of_the_manifests_before_it_is_an_ingress_own(annotation: str | None) -> None:
    default = (
        "kind: IngressClass\nmetadata: {name: theirs, annotations: {ingressclass.kubernetes.io/is-default-class: 'true'}}\n"
        "spec: {controller: example.com/theirs}\n---\n"
    )
    (after,) = read_ingresses(manifests(default + classed(annotation=annotation)))
    assert (after.foreign_class is None) is (annotation is not None)
    (before,) = read_ingresses(manifests(classed(annotation=annotation) + "---\n" + default.removesuffix("---\n")))
    assert before.foreign_class is None


def test_ingress_of_another_controller_takes_no_request_from_ours() -> None:
    other = classed("nginx").replace("name: shop}", "name: other}").replace("path: /,", "path: /deep,")
    kind = Ingress()
    parts = kind.plan("web", kind.options.model_validate({"path": "/deep"}), context(other + "---\n" + classed()), 0)
    assert parts.path.service == "default/plain"


def test_broken_manifest_is_named() -> None:
    broken = "kind: Ingress\nmetadata: {name: broken}\nspec: {rules: [{http: {paths: [{path: /}]}}]}\n"
    with pytest.raises(ScenarioError, match=r"ingress\.yaml(?s:.*)spec\.rules\[0\]\.http\.paths\[0\]\.backend: is required"):
        read_ingresses(manifests(broken))


def test_secrets_that_no_manifest_holds_are_planned_with_their_hosts() -> None:
    mine = manifests(MANIFESTS)
    assert plan_tls_secrets(mine, read_ingresses(mine)) == (
        TlsSecretPlan(namespace="default", name="shop-tls", hosts=("shop.example.org", "*.wild.example.org")),
        TlsSecretPlan(namespace="default", name="old-tls", hosts=("old.example.org",)),
    )
    held = manifests(MANIFESTS + "---\nkind: Secret\nmetadata: {name: shop-tls}\n")
    assert [item.name for item in plan_tls_secrets(held, read_ingresses(held))] == ["old-tls"]


def world(name: str) -> tuple[IngressFacts, ...]:
    bodies = [{"kind": "Ingress", **item} for item in WORLDS[name]]
    oldest_first = sorted(bodies, key=lambda body: body["metadata"]["creationTimestamp"])
    return read_ingresses(tuple(Manifest(file=Path("x"), index=index, body=body) for index, body in enumerate(oldest_first)))


@pytest.mark.parametrize(
    "case",
    [case for case in CASES if case.goes_to not in ("tls", "503")],
    ids=lambda case: f"{case.world}-{case.host}{case.path}",
)
def test_plan_finds_the_service_that_haproxy_will(case: Case) -> None:
    host = case.host.lower().partition(":")[0].rstrip(".")
    _, rule = find_rule(world(case.world), host, case.path.partition("?")[0])
    found = "404" if rule is None or rule.service is None else rule.service.removeprefix("default/")
    assert found == case.goes_to
