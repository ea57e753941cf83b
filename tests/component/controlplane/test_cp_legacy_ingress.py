"""Ingress in extensions/v1beta1: taken as it was written then, kept as networking.k8s.io/v1, given back either way."""

from typing import Any

import pytest
from cp_http import serve
from cp_world import World

from controlplane.kinds.legacy_ingress import from_current, to_current
from controlplane.kinds.registry import RESOURCES

OLD = "/apis/extensions/v1beta1/namespaces/default/ingresses"
NEW = "/apis/networking.k8s.io/v1/namespaces/default/ingresses"


def bare(item: dict) -> dict:
    """As a list holds it: the list says once what its items are."""
    return {name: value for name, value in item.items() if name not in ("apiVersion", "kind")}


def old_ingress(**spec: Any) -> dict:
    return {"apiVersion": "extensions/v1beta1", "kind": "Ingress", "metadata": {"name": "test-ingress"}, "spec": spec}


def path(service: str = "service-test", port: Any = 80, **fields: Any) -> dict:
    return {"path": "/", "backend": {"serviceName": service, "servicePort": port}} | fields


ARTICLE = old_ingress(
    tls=[{"secretName": "testsecret-tls"}],
    rules=[{"host": "example.com", "http": {"paths": [path()]}}],
)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (
            {"rules": [{"host": "a.b", "http": {"paths": [path()]}}]},
            {
                "rules": [
                    {
                        "host": "a.b",
                        "http": {
                            "paths": [
                                {
                                    "path": "/",
                                    "pathType": "ImplementationSpecific",
                                    "backend": {"service": {"name": "service-test", "port": {"number": 80}}},
                                }
                            ]
                        },
                    }
                ]
            },
        ),
        (
            {"backend": {"serviceName": "web", "servicePort": "http"}},
            {"defaultBackend": {"service": {"name": "web", "port": {"name": "http"}}}},
        ),
        ({"tls": [{"hosts": ["a.b"]}], "rules": [{"host": "a.b"}]}, {"tls": [{"hosts": ["a.b"]}], "rules": [{"host": "a.b"}]}),
    ],
    ids=["rule", "default backend", "rule without paths"],
)
def test_backends_are_put_as_the_version_puts_them(old: dict, new: dict) -> None:
    current = to_current(old_ingress(**old))
    assert (current["apiVersion"], current["spec"]) == ("networking.k8s.io/v1", new)
    back = from_current(current)
    assert back["apiVersion"] == "extensions/v1beta1"
    for rule in old.get("rules", ()):
        for entry in rule.get("http", {}).get("paths", ()):
            entry.setdefault("pathType", "ImplementationSpecific")
    assert back["spec"] == old


async def test_ingress_of_the_article_is_created_and_read_in_both_versions() -> None:
    async with serve(World()) as api:
        status, created = await api.ask("POST", OLD, ARTICLE)
        assert status == 201
        assert created["spec"]["rules"][0]["http"]["paths"][0]["backend"] == {"serviceName": "service-test", "servicePort": 80}
        _, current = await api.ask("GET", f"{NEW}/test-ingress")
        assert current["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"] == {
            "name": "service-test",
            "port": {"number": 80},
        }
        assert current["metadata"]["uid"] == created["metadata"]["uid"]
        _, listed = await api.ask("GET", OLD)
        assert (listed["kind"], listed["items"]) == ("IngressList", [bare(created)])
        change = {"spec": {"rules": [{"host": "example.org", "http": {"paths": [path(port="http")]}}]}}
        status, _ = await api.ask(
            "PATCH", f"{OLD}/test-ingress", change, headers={"Content-Type": "application/merge-patch+json"}
        )
        assert status == 200
        _, current = await api.ask("GET", f"{NEW}/test-ingress")
        assert current["spec"]["rules"][0]["host"] == "example.org"
        assert current["metadata"]["generation"] == 2


async def test_what_is_wrong_with_it_is_said_as_for_any_other() -> None:
    async with serve(World()) as api:
        status, answer = await api.ask("POST", OLD, old_ingress(rules=[{"http": {"paths": [path(service="")]}}]))
    assert (status, answer["reason"]) == (422, "Invalid")
    assert "spec.rules[0].http.paths[0].backend.service.name: Required value" in answer["message"]


async def test_discovery_names_the_current_version_first() -> None:
    async with serve(World()) as api:
        _, groups = await api.ask("GET", "/apis")
        names = [group["name"] for group in groups["groups"]]
        assert names.index("networking.k8s.io") < names.index("extensions")
        status, resources = await api.ask("GET", "/apis/extensions/v1beta1")
        assert status == 200
        assert {item["name"] for item in resources["resources"]} == {"ingresses", "ingresses/status"}


def test_short_name_means_one_resource() -> None:
    # As in Kubernetes, Events of both groups have theirs.
    names = [name for resource in RESOURCES for name in resource.short_names]
    assert sorted({name for name in names if names.count(name) > 1}) == ["ev"]
