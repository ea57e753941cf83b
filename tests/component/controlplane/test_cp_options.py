"""Options of requests, and the objects that subresources take: refused with the status and in the words of the API server."""

from typing import Any

import pytest
from cp_http import serve
from cp_world import World, deployment, pod, service

PODS = "/api/v1/namespaces/default/pods"
SERVICES = "/api/v1/namespaces/default/services"
SCALE = "/apis/apps/v1/namespaces/default/deployments/web/scale"
MERGE = {"Content-Type": "application/merge-patch+json"}
APPLY = {"Content-Type": "application/apply-patch+yaml"}
INVALID = '{}.meta.k8s.io "" is invalid: '
CREATE, DELETE, LIST, PATCH = (INVALID.format(f"{kind}Options") for kind in ("Create", "Delete", "List", "Patch"))


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("dryRun=All&dryRun=Foo", 'dryRun: Unsupported value: ["All","Foo"]: supported values: "All"'),
        ("fieldManager=" + "a" * 129, "fieldManager: Too long: may not be more than 128 bytes"),
        ("fieldManager=a%01", r'fieldManager: Invalid value: "a\u0001": invalid character U+0001 (at position 1)'),
    ],
)
async def test_options_of_a_creation_are_checked(query: str, message: str) -> None:
    async with serve(World()) as api:
        status, answer = await api.ask("POST", f"{SERVICES}?{query}", service("a"))
        assert (status, answer["message"]) == (422, CREATE + message)
        assert answer["details"]["kind"] == "CreateOptions"
        assert (await api.ask("GET", f"{SERVICES}/a"))[0] == 404


@pytest.mark.parametrize(
    ("query", "headers", "body", "status", "message"),
    [
        ("force=true", MERGE, {}, 422, PATCH + "force: Forbidden: may not be specified for non-apply patch"),
        ("", APPLY, {}, 422, PATCH + "fieldManager: Required value: is required for apply patch"),
        ("fieldManager=x", APPLY, service("web") | {"metadata": {"name": "web", "managedFields": []}}, 400, "metadata.managedFields must be nil"),
        ("fieldManager=x", APPLY, b": bad", 400, "error decoding YAML: "),
        ("", MERGE, b"{bad", 400, "error decoding patch: "),
    ],
)  # fmt: skip
async def test_options_of_a_patch_are_checked(query: str, headers: dict, body: Any, status: int, message: str) -> None:
    async with serve(World()) as api:
        await api.ask("POST", SERVICES, service("web"))
        found, answer = await api.ask("PATCH", f"{SERVICES}/web?{query}", body, headers=headers)
        assert found == status
        assert answer["message"].startswith(message)


@pytest.mark.parametrize(
    ("query", "body", "status", "message"),
    [
        ("", {"propagationPolicy": "Foo"}, 422, DELETE + 'propagationPolicy: Unsupported value: "Foo": supported values: "Foreground", "Background", "Orphan", "nil"'),
        ("propagationPolicy=Foo", None, 422, DELETE + 'propagationPolicy: Unsupported value: "Foo": supported values: "Foreground", "Background", "Orphan", "nil"'),
        ("", {"propagationPolicy": "Orphan", "orphanDependents": True}, 422, DELETE + 'propagationPolicy: Invalid value: "Orphan": orphanDependents and deletionPropagation cannot be both set'),
        ("dryRun=Foo", None, 422, DELETE + 'dryRun: Unsupported value: ["Foo"]: supported values: "All"'),
        ("", {"kind": "Foo", "apiVersion": "v1"}, 400, 'no kind "Foo" is registered for version "v1"'),
        ("", {"gracePeriodSeconds": "1"}, 400, "json: cannot unmarshal string into Go struct field DeleteOptions.gracePeriodSeconds of type int64"),
        ("dryRun=All", {}, 200, ""),
        ("orphanDependents=false", None, 200, ""),
    ],
)  # fmt: skip
async def test_options_of_a_deletion_come_from_the_body_or_else_the_query(
    query: str, body: Any, status: int, message: str
) -> None:
    async with serve(World()) as api:
        await api.ask("POST", SERVICES, service("web"))
        found, answer = await api.ask("DELETE", f"{SERVICES}/web?{query}", body)
        assert found == status
        assert answer.get("message", "").startswith(message)
        assert (await api.ask("GET", f"{SERVICES}/web"))[0] == (404 if status == 200 else 200)


@pytest.mark.parametrize(
    ("query", "status", "message"),
    [
        ("resourceVersionMatch=Foo&resourceVersion=1", 422, LIST + 'resourceVersionMatch: Unsupported value: "Foo": supported values: "Exact", "NotOlderThan", ""'),
        ("resourceVersionMatch=Exact", 422, LIST + "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided"),
        ("resourceVersionMatch=Exact&resourceVersion=0", 422, LIST + 'resourceVersionMatch: Forbidden: resourceVersionMatch "exact" is forbidden for resourceVersion "0"'),
        ("resourceVersionMatch=Exact&resourceVersion=1&continue=abc", 422, LIST + "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden when continue is provided"),
        ("sendInitialEvents=true", 422, LIST + "sendInitialEvents: Forbidden: sendInitialEvents is forbidden for list"),
        ("resourceVersion=abc", 400, 'invalid resource version: resourceVersion: Invalid value: "abc": strconv.ParseUint: parsing "abc": invalid syntax'),
        ("watch=1&resourceVersion=abc", 500, 'resourceVersion: Invalid value: "abc": strconv.ParseUint: parsing "abc": invalid syntax'),
        ("timeoutSeconds=abc", 400, 'strconv.ParseInt: parsing "abc": invalid syntax'),
        ("continue=e30", 400, "invalid continue token: continue key is not valid: "),
        ("resourceVersion=99999999", 504, "Timeout: Too large resource version: 99999999, current: "),
    ],
)  # fmt: skip
async def test_options_of_a_list_are_checked(query: str, status: int, message: str) -> None:
    async with serve(World()) as api:
        found, answer = await api.ask("GET", f"{SERVICES}?{query}")
        assert found == status
        assert answer["message"].startswith(message)


@pytest.mark.parametrize(
    ("version", "status", "message"),
    [
        ("abc", 500, 'resourceVersion: Invalid value: "abc": strconv.ParseUint: parsing "abc": invalid syntax'),
        ("99999999", 504, "Timeout: Too large resource version: 99999999, current: "),
        ("0", 200, ""),
    ],
)
async def test_one_object_is_read_no_older_than_asked(version: str, status: int, message: str) -> None:
    async with serve(World()) as api:
        await api.ask("POST", SERVICES, service("web"))
        found, answer = await api.ask("GET", f"{SERVICES}/web?resourceVersion={version}")
        assert found == status
        assert answer.get("message", "").startswith(message)


@pytest.mark.parametrize(
    ("method", "headers", "body", "status", "message"),
    [
        ("PUT", {}, {"metadata": {"name": "wrong"}, "spec": {"replicas": 3}}, 400, "the name of the object (wrong) does not match the name on the URL (web)"),
        ("PUT", {}, {"apiVersion": "v1", "kind": "Service"}, 400, 'Service in version "v1" cannot be handled as a Scale: converting (v1.Service) to (autoscaling.Scale): unknown conversion'),
        ("PATCH", MERGE, {"spec": {"replicas": "x"}}, 422, ' "" is invalid: patch: Invalid value: '),
        ("PATCH", MERGE, {"metadata": {"name": "wrong"}}, 400, "the name of the object (wrong) does not match"),
        ("PATCH", MERGE, {"spec": {"replicas": 5}}, 200, ""),
    ],
)  # fmt: skip
async def test_scale_is_checked_as_any_object_is(method: str, headers: dict, body: Any, status: int, message: str) -> None:
    async with serve(World()) as api:
        await api.ask("POST", SCALE.removesuffix("/web/scale"), deployment("web", replicas=2))
        found, answer = await api.ask(method, SCALE, body, headers=headers)
        assert found == status
        assert answer.get("message", "").startswith(message)
        assert (await api.ask("GET", SCALE))[1]["spec"]["replicas"] == (5 if status == 200 else 2)


def binding(name: str = "p", **target: str) -> dict:
    return {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": name}, "target": target}


@pytest.mark.parametrize(
    ("body", "query", "status", "message"),
    [
        (binding(name="other", name_="n"), "", 400, "name in URL does not match name in Binding object"),
        (binding(), "", 500, "target.name: Required value"),
        (binding(kind="Foo", name_="n"), "", 500, 'target.kind: Unsupported value: "Foo": supported values: "Node", "<empty>"'),
        (
            {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}},
            "",
            400,
            'Pod in version "v1" cannot be handled as a Binding: ',
        ),
        (binding(kind="Node", name_="n"), "?dryRun=All", 201, ""),
    ],
)
async def test_binding_must_name_its_pod_and_a_node(body: dict, query: str, status: int, message: str) -> None:
    target = body.get("target", {})
    if "name_" in target:
        target["name"] = target.pop("name_")
    async with serve(World()) as api:
        await api.ask("POST", PODS, pod("p"))
        found, answer = await api.ask("POST", f"{PODS}/p/binding{query}", body)
        assert (found, answer.get("message", "").startswith(message)) == (status, True)
        assert "nodeName" not in (await api.ask("GET", f"{PODS}/p"))[1]["spec"]


async def test_eviction_must_name_its_pod() -> None:
    async with serve(World()) as api:
        await api.ask("POST", PODS, pod("p"))
        body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "other"}}
        status, answer = await api.ask("POST", f"{PODS}/p/eviction", body)
        assert (status, answer["message"]) == (400, "name in URL does not match name in Eviction object")
        assert (await api.ask("POST", f"{PODS}/p/eviction?dryRun=All", body | {"metadata": {"name": "p"}}))[0] == 201
        assert (await api.ask("GET", f"{PODS}/p"))[0] == 200


async def test_null_is_an_object_without_fields() -> None:
    async with serve(World()) as api:
        status, answer = await api.ask("POST", SERVICES, b"null")
        assert status == 422
        assert "metadata.name: Required value: name or generateName is required" in answer["message"]
