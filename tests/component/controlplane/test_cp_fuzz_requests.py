"""Any request to any resource gets an answer or the right kind of Status over HTTP, and what is refused changes nothing."""

import asyncio
import json
import os
from typing import Any
from urllib.parse import urlencode

from cp_http import TOKEN, serve
from cp_world import World, deployment, pod, service
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from test_cp_fuzz import JSON, OPERATIONS, values

from controlplane.kinds.registry import RESOURCES, SUBRESOURCES, by_stored
from controlplane.kinds.resource import Resource

NAME = "fuzzed"
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "100"))
MANY = settings(
    max_examples=EXAMPLES,
    derandomize="FUZZ_EXAMPLES" not in os.environ,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
TEMPLATE = deployment(NAME, 1)["spec"]
SPECS: dict[str, dict[str, Any]] = {
    "pods": pod(NAME),
    "services": service(NAME),
    "deployments": deployment(NAME, 1),
    "replicasets": {"spec": {"selector": TEMPLATE["selector"], "template": TEMPLATE["template"], "replicas": 0}},
    "endpointslices": {"addressType": "IPv4", "endpoints": []},
    "events": {"involvedObject": {"namespace": "default"}, "reason": "Fuzzed"},
    "ingressclasses": {"spec": {"controller": "example.com/fuzzed"}},
    "ingresses": {"spec": {"defaultBackend": {"service": {"name": "web", "port": {"number": 80}}}}},
    "servicecidrs": {"spec": {"cidrs": ["10.200.0.0/24"]}},
    "nodes": {"spec": {}},
}
LEGACY = {"spec": {"backend": {"serviceName": "web", "servicePort": 80}}}
JSON_TYPES = ("application/json", "application/json; charset=utf-8")
PATCH_TYPES = (
    "application/merge-patch+json",
    "application/json-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
)
OTHER_TYPES = ("", "text/plain", "application/yaml", "application/vnd.kubernetes.protobuf")
QUERIES = st.fixed_dictionaries(
    {},
    optional={
        "dryRun": st.sampled_from(["All", "x", ""]),
        "fieldManager": st.sampled_from(["fuzz", "", "\x00", "x" * 200]),
        "force": st.sampled_from(["true", "x"]),
        "fieldValidation": st.sampled_from(["Strict", "Warn", "Ignore", "x"]),
        "propagationPolicy": st.sampled_from(["Foreground", "Orphan", "x"]),
        "gracePeriodSeconds": st.sampled_from(["0", "-1", "1.5", "x", str(2**70)]),
        "labelSelector": st.sampled_from(["app=fuzzed", "a in (", "!", "="]),
    },
)
READS = st.fixed_dictionaries(
    {},
    optional={
        "limit": st.sampled_from(["0", "1", "-1", "x", str(2**70)]),
        "continue": st.sampled_from(["", "x", "eyJ2IjoibWV0YS5rOHMuaW8vdjEifQ", "////"]),
        "resourceVersion": st.sampled_from(["0", "1", "-1", "x", str(2**70)]),
        "resourceVersionMatch": st.sampled_from(["Exact", "NotOlderThan", "x"]),
        "sendInitialEvents": st.sampled_from(["true", "false", "x"]),
        "allowWatchBookmarks": st.sampled_from(["true", "x"]),
        "timeoutSeconds": st.sampled_from(["1", "0", "-1", "x", str(2**70)]),
        "labelSelector": st.text(alphabet="ab=!,() <>-/.inot\\é\x00", max_size=12),
        "fieldSelector": st.text(alphabet="metadata.name=!,spec.nodeName \\é", max_size=16),
        "watch": st.sampled_from(["true", "1", "false", "x"]),
    },
)
ACCEPTS = st.sampled_from(
    [
        *("", "*/*", "application/json", "application/vnd.kubernetes.protobuf", "application/json;as=Table;v=v1;g=meta.k8s.io"),
        *("application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1", "application/json;as=x", ";;=,", "é"),
    ]
)


class Lab:
    """A control plane of its own for each example, so that one can be repeated; asked over HTTP."""

    def __init__(self) -> None:
        self.world = World()

    async def ask(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> tuple[int, Any]:
        """The answer; of a watch that has begun the status alone."""
        given = {"Authorization": f"Bearer {TOKEN}", **headers}
        async with serve(self.world) as api, api.client.request(method, path, data=body, headers=given) as response:
            if response.headers.get("Transfer-Encoding") == "chunked":
                response.close()
                return response.status, None
            answer = await response.read()
        self.world.settle()
        return response.status, json.loads(answer)

    def furnish(self, resource: Resource) -> None:
        """Have the object there that requests are about."""
        namespace = "default" if resource.is_namespaced else ""
        if "create" in resource.verbs and self.world.store.find(resource.stored, namespace, NAME) is None:
            stored = by_stored(resource.stored)
            raw = {**SPECS.get(resource.stored, {}), "apiVersion": stored.group_version, "kind": stored.kind}
            self.world.create({**raw, "metadata": {"name": NAME, "labels": {"app": NAME}}})


def place(resource: Resource, name: str, subresource: str, query: dict[str, str]) -> str:
    root = f"/apis/{resource.group_version}" if resource.group else f"/api/{resource.version}"
    scope = "/namespaces/default" if resource.is_namespaced else ""
    parts = [part for part in (resource.plural, name, subresource) if part]
    return f"{root}{scope}/{'/'.join(parts)}" + (f"?{urlencode(query)}" if query else "")


def nearly_valid(resource: Resource, name: str, drawn: Any) -> dict[str, Any]:
    """An object that is taken, but for the first field of what was drawn, and the first of its spec."""
    base = SPECS.get(resource.stored, {}) if resource.group != "extensions" else LEGACY
    item = {**base, "apiVersion": resource.group_version, "kind": resource.kind, "metadata": {"name": name}}
    for key, value in list(drawn.items())[:1]:
        spec = item.get(key)
        item[key] = {**spec, **dict(list(value.items())[:1])} if isinstance(spec, dict) and isinstance(value, dict) else value
    return item


def bodies(resource: Resource) -> st.SearchStrategy[bytes]:
    """Of the kind, or nearly; of any other; and no JSON at all."""
    kinds = {"apiVersion": st.just(resource.group_version), "kind": st.just(resource.kind)}
    metadata = st.fixed_dictionaries(
        {},
        optional={
            "name": st.sampled_from([NAME, "other", "", "é", "x" * 300]),
            "namespace": st.sampled_from(["default", "absent", ""]),
            "resourceVersion": st.sampled_from(["", "1", "x"]),
            "uid": st.sampled_from(["", "x"]),
            "labels": JSON,
            "finalizers": JSON,
            "ownerReferences": JSON,
        },
    )
    shaped = values(resource.schema).flatmap(
        lambda content: st.fixed_dictionaries({}, optional={**kinds, "metadata": metadata | JSON}).map(
            lambda head: {**content, **head} if isinstance(content, dict) else content
        )
    )
    options = st.fixed_dictionaries(
        {},
        optional={
            "kind": st.sampled_from(["DeleteOptions", "Scale", "Binding", "Eviction", "x"]),
            "apiVersion": st.sampled_from(["v1", "autoscaling/v1", "policy/v1", "x"]),
            "metadata": metadata,
            "spec": st.fixed_dictionaries({}, optional={"replicas": JSON}) | JSON,
            "target": JSON,
            "deleteOptions": JSON,
            "preconditions": JSON,
            "propagationPolicy": JSON,
            "gracePeriodSeconds": JSON,
        },
    )
    near = st.tuples(st.sampled_from([NAME, "other"]), values(resource.schema)).map(lambda drawn: nearly_valid(resource, *drawn))
    texts = (near | near | near | shaped | options | OPERATIONS | JSON).map(lambda value: json.dumps(value).encode())
    return texts | st.sampled_from([b"", b"{", b"null", b"\xff\xfe", b"a: [", b"k8s\x00\x0a", b'{"a":1,"a":2}', b"[" * 5000])


UNCLASSIFIED = (
    "strconv.ParseUint: parsing",
    "resourceVersion should not be set",
    "does not contain declared merge key",
    "unknown patch type",
    "merging lists cannot yet",
    "expected objects in a list",
    "expected a []interface {}",
    "failed to create typed patch object",
    "doesn't match $setElementOrder list",
    "target.name: Required value",
    "target.kind: Unsupported value",
)
"""Of errors that the API server, too, answers as 500 and without a reason."""
CLASSIFIED = ("failed to allocate", "Too large resource version")


def check_answer(lab: Lab, status: int, answer: Any, before: int, *, may_change: bool) -> None:
    if status >= 400:
        assert (answer["kind"], answer["status"], answer["code"]) == ("Status", "Failure", status), answer
        is_unclassified = status == 500 and any(text in answer["message"] for text in UNCLASSIFIED)
        assert is_unclassified != ("reason" in answer), answer
        assert is_unclassified or status < 500 or any(text in answer["message"] for text in CLASSIFIED), answer
    if status >= 400 or not may_change:
        assert lab.world.store.version == before, answer
    assert not lab.world.plane.loop.failing, answer


@MANY
@given(data=st.data(), resource=st.sampled_from(RESOURCES), method=st.sampled_from(["POST", "PUT", "PATCH", "DELETE"]))
def test_any_write_is_carried_out_or_refused_with_a_status(data: st.DataObject, resource: Resource, method: str) -> None:
    further = SUBRESOURCES.get(resource.plural, ())
    subresource = data.draw(st.sampled_from(["", "", "", "", "status", *further, *further, "x"]))
    about_one = bool(subresource) or method != "POST"
    name = data.draw(st.sampled_from([NAME, NAME, NAME, NAME, "", "absent"] if about_one else ["", "", "", "", NAME]))
    usual = PATCH_TYPES if method == "PATCH" else JSON_TYPES
    headers = {"Content-Type": data.draw(st.sampled_from([*usual, *usual, *usual, *usual, *OTHER_TYPES]))}
    query, body = data.draw(QUERIES), data.draw(bodies(resource))
    lab = Lab()
    lab.furnish(resource)
    before = lab.world.store.version
    status, answer = asyncio.run(lab.ask(method, place(resource, name, subresource, query), body, headers))
    event(f"{method} {status}")
    check_answer(lab, status, answer, before, may_change=query.get("dryRun") != "All")


@MANY
@given(resource=st.sampled_from(RESOURCES), name=st.sampled_from(["", "", NAME, "absent"]), query=READS, accept=ACCEPTS)
def test_any_read_is_answered_or_refused_with_a_status(resource: Resource, name: str, query: dict[str, str], accept: str) -> None:
    lab = Lab()
    lab.furnish(resource)
    before = lab.world.store.version
    status, answer = asyncio.run(lab.ask("GET", place(resource, name, "", query), None, {"Accept": accept}))
    check_answer(lab, status, answer, before, may_change=False)
