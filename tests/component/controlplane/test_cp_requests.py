"""Requests that the API server refuses, in its words: options, selectors, bodies, preconditions, changes of nodes and pods."""

from typing import Any

import pytest
from cp_http import Api, serve
from cp_world import World, container, deployment, pod, service

SERVICES, PODS = "/api/v1/namespaces/default/services", "/api/v1/namespaces/default/pods"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
BUDGETS = "/apis/policy/v1/namespaces/default/poddisruptionbudgets"
MERGE = {"headers": {"Content-Type": "application/merge-patch+json"}}
LIST_OPTIONS = 'ListOptions.meta.k8s.io "" is invalid: '
FORBIDDEN_MATCH = "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden "


async def refused(api: Api, method: str, path: str, body: Any = None, **options: Any) -> tuple[int, str]:
    status, answer = await api.ask(method, path, body, **options)
    assert answer["kind"] == "Status", answer
    assert answer["code"] == status
    return status, answer["message"]


@pytest.mark.parametrize(
    ("query", "status", "message"),
    [
        ("watch=1&resourceVersionMatch=NotOlderThan", 422, f"{LIST_OPTIONS}{FORBIDDEN_MATCH}for watch unless sendInitialEvents"),
        (
            "watch=1&sendInitialEvents=true",
            422,
            f"{LIST_OPTIONS}resourceVersionMatch: Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlder",
        ),
        ("continue=zzz", 400, "invalid continue token: continue key is not valid: "),
        ("fieldSelector=spec.foo=bar", 400, "field label not supported: spec.foo"),
        ("fieldSelector=foo", 400, "invalid selector: 'foo'; can't understand 'foo'"),
        ("labelSelector=a=b=c", 400, "found '=', expected: ',' or 'end of string'"),
    ],
)
async def test_list_or_watch_is_refused(query: str, status: int, message: str) -> None:
    async with serve(World()) as api:
        found = await refused(api, "GET", f"{SERVICES}?{query}")
        assert (found[0], found[1][: len(message)]) == (status, message)


async def test_kind_without_fields_of_its_own_is_selected_by_name_and_namespace_only() -> None:
    async with serve(World()) as api:
        path = "/api/v1/namespaces/default/configmaps"
        assert await refused(api, "GET", f"{path}?fieldSelector=data=1") == (
            400,
            '"data" is not a known field selector: only "metadata.name", "metadata.namespace"',
        )
        assert (await api.ask("GET", f"{path}?fieldSelector=metadata.name=x"))[0] == 200


async def test_next_page_is_of_the_version_of_the_first() -> None:
    world = World()
    world.create(service("a"))
    async with serve(world) as api:
        _, first = await api.ask("GET", f"{SERVICES}?limit=1")
        token = first["metadata"]["continue"]
        assert await refused(api, "GET", f"{SERVICES}?continue={token}&resourceVersion=5") == (
            400,
            "specifying resource version is not allowed when using continue",
        )
        assert (await api.ask("GET", f"{SERVICES}?continue={token}&resourceVersion=0"))[0] == 200


@pytest.mark.parametrize(
    ("method", "path", "kind"),
    [
        ("POST", SERVICES, "CreateOptions"),
        ("PUT", f"{SERVICES}/web", "UpdateOptions"),
        ("PATCH", f"{SERVICES}/web", "PatchOptions"),
        ("PATCH", f"{DEPLOYMENTS}/web/scale", "PatchOptions"),
    ],
)
async def test_option_of_a_write_that_is_none_is_invalid(method: str, path: str, kind: str) -> None:
    options = MERGE if method == "PATCH" else {}
    world = World()
    world.create(service())
    world.create(deployment())
    async with serve(world) as api:
        prefix = f'{kind}.meta.k8s.io "" is invalid: '
        found = await refused(api, method, f"{path}?dryRun=Some", service(), **options)
        assert found == (422, f'{prefix}dryRun: Unsupported value: ["Some"]: supported values: "All"')
        if "scale" not in path:
            found = await refused(api, method, f"{path}?fieldValidation=Bad", service(), **options)
            wanted = 'fieldValidation: Unsupported value: "Bad": supported values: "", "Ignore", "Strict", "Warn"'
            assert found == (422, f"{prefix}{wanted}")


TYPE = 'struct { APIVersion string "json:\\"apiVersion,omitempty\\""; Kind string "json:\\"kind,omitempty\\"" }'
UNREAD = "the object provided is unrecognized (must be of type Service): couldn't get version/kind; json parse error: "


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "unexpected end of JSON input (<empty>)"),
        (b"{", "unexpected end of JSON input ({)"),
        (b'{"a"', 'unexpected end of JSON input ({"a")'),
        (b'{"a": "', 'unexpected end of JSON input ({"a": ")'),
        (b"{a}", "invalid character 'a' looking for beginning of object key string ({a})"),
        (b'{"a" 1}', "invalid character '1' after object key ({\"a\" 1})"),
        (b'{"a": x}', "invalid character 'x' looking for beginning of value ({\"a\": x})"),
        (b'{"a": 1,}', "invalid character '}' looking for beginning of object key string ({\"a\": 1,})"),
        (b'{"a": tru}', "invalid character '}' in literal true (expecting 'e') ({\"a\": tru})"),
        (b'{"a": nul', 'unexpected end of JSON input ({"a": nul)'),
        (rb'{"a": ["\"}"] "b"}', 'invalid character \'"\' after object key:value pair ({"a": ["\\"}"] "b"})'),
        (b'{"a": 1 2}', "invalid character '2' after object key:value pair ({\"a\": 1 2})"),
        (b'{"a": [1 2]}', "invalid character '2' after array element ({\"a\": [1 2]})"),
        (b"{} x", "invalid character 'x' after top-level value ({} x)"),
        (b"hello", "invalid character 'h' looking for beginning of value (68656c6c6f)"),
        (b"[]", f"json: cannot unmarshal array into Go value of type {TYPE} (5b5d)"),
        (b'{"' + b"a" * 60, 'unexpected end of JSON input ({"' + "a" * 28 + " ...)"),
    ],
)
async def test_body_that_is_no_object_is_told_so(body: bytes, why: str) -> None:
    async with serve(World()) as api:
        assert await refused(api, "POST", SERVICES, body) == (400, UNREAD + why)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"kind": "Pod"}, "converting (v1.Pod) to (core.Service): unknown conversion"),
        ({"kind": "Foo"}, 'no kind "Foo" is registered for version "v1" in scheme "pkg/api/legacyscheme/scheme.go:30"'),
    ],
)
async def test_object_of_another_kind_is_none_of_this(change: dict, why: str) -> None:
    async with serve(World()) as api:
        found = await refused(api, "POST", SERVICES, service() | change)
        assert found == (400, f'{change["kind"]} in version "v1" cannot be handled as a Service: {why}')


async def test_deletion_answers_with_the_object_or_with_its_end() -> None:
    world = World()
    for raw in (service(), deployment(replicas=0), {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}}):
        world.create(raw)
    async with serve(world) as api:
        kinds = {}
        for path in (f"{SERVICES}/web", f"{DEPLOYMENTS}/web", "/api/v1/namespaces/default/configmaps/c"):
            status, answer = await api.ask("DELETE", path)
            assert status == 200
            kinds[path.rpartition("/")[0].rpartition("/")[2]] = answer["kind"]
        assert kinds == {"services": "Service", "deployments": "Status", "configmaps": "Status"}


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        (
            {"preconditions": {"uid": "x"}},
            409,
            'Operation cannot be fulfilled on Deployment.apps "web": the UID in the precondition (x) does not match the UID in rec',
        ),
        (
            {"preconditions": {"resourceVersion": "1"}},
            409,
            'Operation cannot be fulfilled on Deployment.apps "web": the ResourceVersion in the precondition (1) does not match',
        ),
    ],
)
async def test_deletion_is_refused(options: dict, status: int, message: str) -> None:
    world = World()
    world.create(deployment(replicas=0))
    async with serve(world) as api:
        found = await refused(api, "DELETE", f"{DEPLOYMENTS}/web", {"kind": "DeleteOptions", "apiVersion": "v1", **options})
        assert (found[0], found[1][: len(message)]) == (status, message)
    assert world.exists("deployments", "web")


async def test_budget_is_replaced_in_a_version_that_is_named() -> None:
    world = World()
    spec = {"minAvailable": 1, "selector": {"matchLabels": {"app": "web"}}}
    raw = {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "b"}, "spec": spec}
    world.create(dict(raw, metadata={"name": "b"}))
    async with serve(world) as api:
        found = await refused(api, "PUT", f"{BUDGETS}/b", raw)
        why = "metadata.resourceVersion: Invalid value: 0: must be specified for an update"
        assert found == (422, f'poddisruptionbudgets.policy "b" is invalid: {why}')
        assert (await api.ask("PATCH", f"{BUDGETS}/b", {"spec": {"minAvailable": 2}}, **MERGE))[0] == 200


FIXED = (
    "spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
    "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)
DEADLINE = "spec.activeDeadlineSeconds: Invalid value: "


@pytest.mark.parametrize(
    ("spec", "complaint"),
    [
        ({"containers": [container(), container(name="b")]}, "spec.containers: Forbidden: pod updates may not add or remove"),
        (
            {"initContainers": [container(name="i")]},
            "spec.initContainers: Forbidden: pod updates may not add or remove containers",
        ),
        ({"nodeName": "other"}, FIXED),
        ({"containers": [container("nginx", ports=None)]}, FIXED),
        (
            {"activeDeadlineSeconds": -1},
            f"[{DEADLINE}-1: must be between 1 and 2147483647, inclusive, "
            f"{DEADLINE}-1: must be between 0 and 2147483647, inclusive]",
        ),
        ({"activeDeadlineSeconds": 101}, f"{DEADLINE}101: must be less than or equal to previous value"),
        ({"activeDeadlineSeconds": None}, f'{DEADLINE}"null": must not update from a positive integer to nil value'),
        (
            {"tolerations": []},
            "spec.tolerations: Forbidden: existing toleration can not be modified except its tolerationSeconds",
        ),
    ],
)
async def test_change_of_a_pod_is_refused(spec: dict, complaint: str) -> None:
    world = World()
    world.create(pod("p", activeDeadlineSeconds=100, tolerations=[{"key": "a", "operator": "Exists"}]))
    async with serve(world) as api:
        found = await refused(api, "PATCH", f"{PODS}/p", {"spec": spec}, **MERGE)
        assert found[0] == 422
        assert found[1].startswith(f'Pod "p" is invalid: {complaint}')


def test_deadline_of_a_pod_may_come_nearer_and_its_image_change() -> None:
    world = World()
    world.create(pod("p", activeDeadlineSeconds=100))
    assert world.change("pods", "p", {"spec": {"activeDeadlineSeconds": 50}})["spec"]["activeDeadlineSeconds"] == 50
    containers = [{**world.get("pods", "p")["spec"]["containers"][0], "image": "other"}]
    assert world.change("pods", "p", {"spec": {"containers": containers}})["spec"]["containers"][0]["image"] == "other"


@pytest.mark.parametrize(("plural", "kept"), [("services", "services/specs/default"), ("configmaps", "configmaps/default")])
async def test_object_of_another_uid_is_not_replaced(plural: str, kept: str) -> None:
    world = World()
    raw = service("a") if plural == "services" else {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}
    uid = world.create(dict(raw, metadata={"name": "a"}))["metadata"]["uid"]
    async with serve(world) as api:
        path = f"/api/v1/namespaces/default/{plural}/a"
        found = await refused(api, "PUT", path, raw | {"metadata": {"name": "a", "uid": "other"}})
    assert found == (
        409,
        f'Operation cannot be fulfilled on {plural} "a": StorageError: invalid object, Code: 4, Key: /registry/{kept}/a, '
        f"ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in precondition: other, UID in object meta: {uid}",
    )


@pytest.mark.parametrize(("metadata", "name"), [({"name": "c"}, "c"), ({"generateName": "c-"}, "c-")])
async def test_nothing_new_comes_into_a_namespace_that_is_being_terminated(metadata: dict, name: str) -> None:
    world = World()
    world.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "old"}})
    held = {"name": "held", "finalizers": ["example.com/held"]}
    world.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": held}, namespace="old")
    world.delete("namespaces", "old")
    async with serve(world) as api:
        raw = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}
        status, answer = await api.ask("POST", "/api/v1/namespaces/old/configmaps", raw)
    assert (status, answer["reason"]) == (403, "Forbidden")
    assert answer["message"] == (
        f'configmaps "{name}" is forbidden: unable to create new content in namespace old because it is being terminated'
    )
    assert answer["details"]["causes"] == [
        {"reason": "NamespaceTerminating", "message": "namespace old is being terminated", "field": "metadata.namespace"}
    ]


@pytest.mark.parametrize(
    ("media_type", "patch", "shown", "why"),
    [
        (
            "strategic-merge-patch",
            {"spec": {"foo": [1, None, True]}},
            "map[spec:map[foo:[1 <nil> true]]]",
            'unknown field "spec.foo"',
        ),
        ("merge-patch", {"spec": {"foo": 1}}, '{\\"apiVersion\\":\\"v1\\"', 'unknown field "spec.foo"'),
        ("json-patch", [{"op": "add", "path": "/foo", "value": 1}], '{\\"apiVersion\\":\\"v1\\"', 'unknown field "foo"'),
    ],
)
async def test_patch_that_sets_what_there_is_not_is_invalid_where_the_client_is_strict(
    media_type: str, patch: Any, shown: str, why: str
) -> None:
    world = World()
    world.create(service())
    headers = {"Content-Type": f"application/{media_type}+json"}
    async with serve(world) as api:
        path = f"{SERVICES}/web?fieldValidation=Strict"
        status, answer = await api.ask("PATCH", path, patch, headers=headers)
        assert (status, answer["details"].keys()) == (422, {"causes"})
        assert answer["message"].startswith(f' "" is invalid: patch: Invalid value: "{shown}')
        assert answer["message"].endswith(f'": strict decoding error: {why}')
