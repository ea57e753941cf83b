"""The API over HTTP: what is answered to whom, in which form, and what a wrong request is told."""

import pytest
from cp_http import serve
from cp_world import World, deployment, pod, service

PODS = "/api/v1/namespaces/default/pods"
SERVICES = "/api/v1/namespaces/default/services"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
DISCOVERY = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"
MERGE = {"Content-Type": "application/merge-patch+json"}


@pytest.mark.parametrize("header", ["", "Bearer wrong", "Basic secret", "bearer secret", "Bearer \udcff"])
async def test_wrong_token_is_unauthorized_and_changes_nothing(header: str) -> None:
    world = World()
    before = world.store.version
    async with serve(world) as api:
        headers = {"Authorization": header.encode("utf-8", "surrogateescape").decode("latin-1")}
        status, answer = await api.ask("POST", PODS, pod("p"), headers=headers)
    assert (status, answer["kind"], answer["reason"], answer["message"]) == (401, "Status", "Unauthorized", "Unauthorized")
    assert world.store.version == before


async def test_health_needs_no_token() -> None:
    async with serve(World()) as api:
        assert await api.ask("GET", "/readyz", headers={"Authorization": ""}) == (200, "ok")


@pytest.mark.parametrize(
    ("method", "path", "status", "reason", "message"),
    [
        ("GET", f"{PODS}/nope", 404, "NotFound", 'pods "nope" not found'),
        ("GET", "/apis/apps/v1/namespaces/default/deployments/x", 404, "NotFound", 'deployments.apps "x" not found'),
        ("GET", "/api/v1/foos", 404, "NotFound", "the server could not find the requested resource"),
        ("GET", "/apis/foo/v1", 404, "NotFound", "the server could not find the requested resource"),
        ("GET", f"{PODS}/a/b", 404, "NotFound", "the server could not find the requested resource"),
        ("GET", "/api/v1/namespaces/default/nodes", 404, "NotFound", "the server could not find the requested resource"),
        ("POST", "/api/v1/pods", 405, "MethodNotAllowed", "the server does not allow this method on the requested resource"),
        ("PUT", PODS, 405, "MethodNotAllowed", "the server does not allow this method on the requested resource"),
        ("OPTIONS", PODS, 405, "MethodNotAllowed", "the server does not allow this method on the requested resource"),
        ("GET", f"{PODS}?labelSelector=a%20b", 400, "BadRequest", "unable to parse requirement"),
        ("GET", f"{PODS}?fieldSelector=spec.image%3Dx", 400, "BadRequest", "field label not supported: spec.image"),
        ("GET", f"{PODS}?limit=x", 400, "BadRequest", "strconv.ParseInt"),
        ("GET", f"{PODS}?continue=x", 400, "BadRequest", "continue key is not valid"),
        ("GET", f"{PODS}?resourceVersion=x", 400, "BadRequest", "resourceVersion"),
        ("GET", f"{PODS}?resourceVersion=999999", 504, "Timeout", "Too large resource version: 999999, current: "),
        ("GET", f"{PODS}?watch=1&resourceVersion=999999", 504, "Timeout", "Too large resource version"),
        ("GET", f"{PODS}?watch=1&sendInitialEvents=true", 422, "Invalid", "resourceVersionMatch to NotOlderThan"),
        ("DELETE", f"{PODS}/nope", 404, "NotFound", 'pods "nope" not found'),
        ("DELETE", f"{PODS}/nope?propagationPolicy=Maybe", 422, "Invalid", "propagationPolicy"),
    ],
)  # fmt: skip
async def test_wrong_request_is_told_so(method: str, path: str, status: int, reason: str, message: str) -> None:
    async with serve(World()) as api:
        found, answer = await api.ask(method, path)
    assert (found, answer["code"], answer["reason"], answer["status"]) == (status, status, reason, "Failure")
    assert message in answer["message"]


@pytest.mark.parametrize(
    ("body", "headers", "status", "message"),
    [
        (b"", {}, 400, "json parse error"),
        (b"{", {}, 400, "json parse error"),
        (b"[]", {}, 400, "cannot unmarshal"),
        (b'{"a":NaN}', {}, 400, "json parse error"),
        (b'{"metadata":{"name":"\\ud800"}}', {}, 400, "json parse error"),
        (b"\xff\xfe", {}, 400, "json parse error"),
        (b"[" * 100_000, {}, 400, "max depth"),
        (b"x" * (3 * 1024 * 1024 + 1), {}, 413, "Request entity too large: limit is 3145728"),
        (b"k8s\x00", {"Content-Type": "application/vnd.kubernetes.protobuf"}, 415, "unknown format"),
        (pod("p") | {"kind": "Service"}, {}, 400, 'Service in version "v1" cannot be handled as a Pod'),
        (pod("p") | {"apiVersion": "v2"}, {}, 400, 'Pod in version "v2" cannot be handled as a Pod: no kind "Pod" is registered for version "v2"'),
        (pod("p") | {"spec": 5}, {}, 400, 'Pod in version "v1" cannot be handled as a Pod: json: cannot unmarshal number into Go struct '
         "field Pod.spec of type v1.PodSpec"),
        (pod("p", hostNetwork="yes"), {}, 400, "json: cannot unmarshal string into Go struct field PodSpec.spec.hostNetwork of type bool"),
        (pod("p", containers=[{"name": 1}]), {}, 400, "Go struct field Container.spec.containers.name of type string"),
        (pod("p") | {"metadata": {"name": "p", "namespace": "x"}}, {}, 400, "the namespace of the provided object does not match"),
        (pod("p") | {"metadata": {}}, {}, 422, "name or generateName is required"),
        (pod("p") | {"metadata": {"name": "p", "resourceVersion": "5"}}, {}, 500, "resourceVersion should not be set"),
    ],
)  # fmt: skip
async def test_wrong_body_is_refused_and_changes_nothing(body: object, headers: dict, status: int, message: str) -> None:
    world = World()
    before = world.store.version
    async with serve(world) as api:
        found, answer = await api.ask("POST", PODS, body, headers=headers)
    assert (found, answer["code"]) == (status, status)
    assert message in answer["message"]
    assert world.store.version == before


async def test_unknown_field_is_dropped_with_a_warning_or_refused_when_strict() -> None:
    async with serve(World()) as api:
        raw = pod("p") | {"foo": 1}
        status, answer = await api.ask("POST", f"{PODS}?fieldValidation=Strict", raw)
        assert (status, answer["message"]) == (
            400,
            'Pod in version "v1" cannot be handled as a Pod: strict decoding error: unknown field "foo"',
        )
        headers = {"Authorization": "Bearer secret"}
        async with api.client.post(PODS, json=raw, headers=headers) as response:
            assert response.headers["Warning"] == '299 - "unknown field \\"foo\\""'
            assert "foo" not in await response.json()


@pytest.mark.parametrize(
    ("fields", "count"), [(["a\x1fb"], 0), (["a\x1fb", "fine"], 1), ([f"{number:0200}" for number in range(100)], 16)]
)
async def test_warnings_are_what_a_header_can_carry_and_a_client_takes(fields: list[str], count: int) -> None:
    async with serve(World()) as api:
        headers = {"Authorization": "Bearer secret"}
        async with api.client.post(PODS, json=pod("p") | dict.fromkeys(fields, 1), headers=headers) as response:
            assert response.status == 201
            assert len(response.headers.getall("Warning", [])) == count


async def test_object_goes_through_its_life() -> None:
    async with serve(World()) as api:
        status, created = await api.ask("POST", SERVICES, service())
        assert status == 201
        path = f"{SERVICES}/web"
        assert await api.ask("GET", path) == (200, created)
        status, changed = await api.ask("PUT", path, created | {"metadata": created["metadata"] | {"labels": {"a": "b"}}})
        assert (status, changed["metadata"]["labels"]) == (200, {"a": "b"})
        status, answer = await api.ask("PUT", path, created)
        assert (status, answer["reason"]) == (409, "Conflict")
        assert answer["message"] == (
            'Operation cannot be fulfilled on services "web": the object has been modified; '
            "please apply your changes to the latest version and try again"
        )
        status, patched = await api.ask("PATCH", path, {"metadata": {"labels": None}}, headers=MERGE)
        assert (status, "labels" in patched["metadata"]) == (200, False)
        status, answer = await api.ask("DELETE", path)
        assert (status, answer["kind"], answer["metadata"]["uid"]) == (200, "Service", created["metadata"]["uid"])


async def test_dry_run_changes_nothing() -> None:
    world = World()
    before = world.store.version
    async with serve(world) as api:
        status, answer = await api.ask("POST", f"{SERVICES}?dryRun=All", service(type="NodePort"))
        assert (status, bool(answer["spec"]["ports"][0]["nodePort"])) == (201, True)
        assert (await api.ask("POST", f"{SERVICES}?dryRun=Some", service()))[0] == 422
    assert world.store.version == before


async def test_list_comes_in_pages_that_hold_together() -> None:
    world = World()
    for number in range(7):
        world.create(pod(f"p{number}"))
    async with serve(world) as api:
        status, first = await api.ask("GET", f"{PODS}?limit=3")
        assert (status, first["kind"], first["metadata"]["remainingItemCount"]) == (200, "PodList", 4)
        world.create(pod("late"))
        _, second = await api.ask("GET", f"{PODS}?limit=3&continue={first['metadata']['continue']}")
        _, third = await api.ask("GET", f"{PODS}?limit=9&continue={second['metadata']['continue']}")
    names = [item["metadata"]["name"] for page in (first, second, third) for item in page["items"]]
    assert names == [f"p{number}" for number in range(7)]
    assert len({page["metadata"]["resourceVersion"] for page in (first, second, third)}) == 1
    assert "continue" not in third["metadata"]


async def test_list_of_all_namespaces_and_by_selectors() -> None:
    world = World()
    world.create(pod("a", labels={"x": "1"}))
    world.create(pod("b"), namespace="kube-system")
    async with serve(world) as api:
        for path, names in (
            ("/api/v1/pods", ["a", "b"]),
            (PODS, ["a"]),
            ("/api/v1/pods?labelSelector=!x", ["b"]),
            ("/api/v1/pods?fieldSelector=metadata.namespace=default", ["a"]),
            ("/api/v1/pods?fieldSelector=status.phase!=Pending", []),
        ):
            _, answer = await api.ask("GET", path)
            assert [item["metadata"]["name"] for item in answer["items"]] == names


async def test_table_is_given_to_who_asks_for_it() -> None:
    world = World()
    world.create(service(clusterIP="10.3.241.152", ports=[{"port": 80}]))
    async with serve(world) as api:
        status, table = await api.ask("GET", SERVICES, headers={"Accept": TABLE})
        assert (status, table["kind"]) == (200, "Table")
        assert [column["name"] for column in table["columnDefinitions"]][:6] == [
            "Name", "Type", "Cluster-IP", "External-IP", "Port(s)", "Age",
        ]  # fmt: skip
        assert table["rows"][1]["cells"][:5] == ["web", "ClusterIP", "10.3.241.152", "<none>", "80/TCP"]
        assert table["rows"][1]["object"]["kind"] == "PartialObjectMetadata"
        _, one = await api.ask("GET", f"{SERVICES}/web", headers={"Accept": TABLE})
        assert len(one["rows"]) == 1
        status, answer = await api.ask("GET", SERVICES, headers={"Accept": "application/vnd.kubernetes.protobuf"})
        assert (status, answer["reason"]) == (406, "NotAcceptable")
        status, plain = await api.ask("GET", SERVICES, headers={"Accept": "application/vnd.kubernetes.protobuf, */*"})
        assert (status, plain["kind"]) == (200, "ServiceList")


async def test_discovery_plain_and_aggregated_name_the_same_resources() -> None:
    async with serve(World()) as api:
        _, core = await api.ask("GET", "/api/v1")
        _, groups = await api.ask("GET", "/apis")
        plain = {("v1", entry["name"]) for entry in core["resources"]}
        for group in groups["groups"]:
            for version in group["versions"]:
                _, found = await api.ask("GET", f"/apis/{version['groupVersion']}")
                plain |= {(version["groupVersion"], entry["name"]) for entry in found["resources"]}
        aggregated = set()
        for path in ("/api", "/apis"):
            _, answer = await api.ask("GET", path, headers={"Accept": DISCOVERY})
            assert answer["kind"] == "APIGroupDiscoveryList"
            for group in answer["items"]:
                name = group["metadata"].get("name")
                for version in group["versions"]:
                    place = f"{name}/{version['version']}" if name else version["version"]
                    for entry in version["resources"]:
                        aggregated.add((place, entry["resource"]))
                        for inner in entry.get("subresources", []):
                            aggregated.add((place, f"{entry['resource']}/{inner['subresource']}"))
    assert plain == aggregated
    assert {("v1", "pods/eviction"), ("apps/v1", "deployments/scale"), ("v1", "nodes/status")} <= plain


async def test_scale_is_read_and_written() -> None:
    world = World()
    world.create(deployment(replicas=2))
    path = "/apis/apps/v1/namespaces/default/deployments/web/scale"
    async with serve(world) as api:
        status, scale = await api.ask("GET", path)
        assert (status, scale["kind"], scale["spec"], scale["status"]["selector"]) == (200, "Scale", {"replicas": 2}, "app=web")
        assert (await api.ask("PATCH", path, {"spec": {"replicas": 5}}, headers=MERGE))[1]["spec"] == {"replicas": 5}
        assert (await api.ask("PUT", path, scale))[0] == 409
        assert (await api.ask("PATCH", path, {"spec": {"replicas": -1}}, headers=MERGE))[0] == 422
    assert len(world.pods()) == 5


async def test_eviction_deletes_and_binding_binds_once() -> None:
    world = World()
    world.add_node("node-1")
    world.change("nodes", "node-1", {"spec": {"unschedulable": True}})
    world.create(pod("p"))
    async with serve(world) as api:
        binding = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": "p"}, "target": {"kind": "Node", "name": "node-1"}}
        assert (await api.ask("POST", f"{PODS}/p/binding", binding))[0] == 201
        status, answer = await api.ask("POST", f"{PODS}/p/binding", binding)
        assert (status, 'pod p is already assigned to node "node-1"' in answer["message"]) == (409, True)
        assert world.get("pods", "p")["spec"]["nodeName"] == "node-1"
        eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "p", "namespace": "default"}}
        assert (await api.ask("POST", f"{PODS}/p/eviction", eviction))[0] == 201
        assert not world.exists("pods", "p")
        assert (await api.ask("POST", f"{PODS}/p/eviction", eviction))[0] == 404


async def test_collection_is_deleted_by_selector() -> None:
    world = World()
    for name in "abc":
        world.create(pod(name, labels={"x": name}))
    async with serve(world) as api:
        status, answer = await api.ask("DELETE", f"{PODS}?labelSelector=x%20in%20(a,b)")
        assert (status, len(answer["items"])) == (200, 2)
        assert [item["metadata"]["name"] for item in world.pods()] == ["c"]


async def test_json_patch_that_fails_its_test_changes_nothing() -> None:
    world = World()
    world.create(service())
    before = world.store.version
    patch = [{"op": "test", "path": "/spec/type", "value": "NodePort"}, {"op": "remove", "path": "/spec/ports"}]
    async with serve(world) as api:
        headers = {"Content-Type": "application/json-patch+json"}
        status, answer = await api.ask("PATCH", f"{SERVICES}/web", patch, headers=headers)
        assert (status, answer["reason"]) == (422, "Invalid")
        assert (await api.ask("PATCH", f"{SERVICES}/web", {}, headers={"Content-Type": "text/plain"}))[0] == 415
    assert world.store.version == before


async def test_lease_is_made_by_its_first_replacement() -> None:
    path = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/node-1"
    lease = {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": "node-1"},
        "spec": {"holderIdentity": "x"},
    }
    async with serve(World()) as api:
        assert (await api.ask("PUT", path, lease))[0] == 201
        status, answer = await api.ask("PUT", path, lease)
        assert (status, answer["message"]) == (
            422,
            'leases.coordination.k8s.io "node-1" is invalid: metadata.resourceVersion: Invalid value: 0: '
            "must be specified for an update",
        )
        _, made = await api.ask("GET", path)
        assert (await api.ask("PUT", path, made))[0] == 200


async def test_openapi_names_the_kind_of_every_resource_that_is_written_in_both_versions() -> None:
    async with serve(World()) as api:
        _, second = await api.ask("GET", "/openapi/v2")
        _, index = await api.ask("GET", "/openapi/v3")
        third: set[str] = set()
        for place in index["paths"].values():
            _, document = await api.ask("GET", place["serverRelativeURL"])
            third |= document["paths"].keys()
    assert second["swagger"] == "2.0"
    assert set(second["paths"]) == third
    patch = second["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]["patch"]
    assert patch["x-kubernetes-group-version-kind"] == {"group": "apps", "kind": "Deployment", "version": "v1"}
    assert "dryRun" in [parameter["name"] for parameter in patch["parameters"]]


async def test_root_tells_the_paths_that_there_are() -> None:
    async with serve(World()) as api:
        _, answer = await api.ask("GET", "/")
        assert {"/api/v1", "/apis/apps", "/apis/apps/v1", "/readyz", "/version"} <= set(answer["paths"])
        for path in answer["paths"]:
            assert (await api.ask("GET", path))[0] == 200, path


async def test_health_is_told_in_detail_to_who_asks_for_it() -> None:
    async with serve(World()) as api:
        assert await api.ask("GET", "/readyz?verbose") == (200, "[+]ping ok\nreadyz check passed\n")


async def test_there_are_no_custom_resources() -> None:
    async with serve(World()) as api:
        status, answer = await api.ask("GET", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions")
    assert (status, answer["kind"], answer["items"]) == (200, "CustomResourceDefinitionList", [])


async def test_scale_is_printed_with_what_is_wanted_and_what_there_is() -> None:
    world = World()
    world.create(deployment(replicas=2))
    async with serve(world) as api:
        headers = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"}
        _, table = await api.ask("GET", "/apis/apps/v1/namespaces/default/deployments/web/scale", headers=headers)
    assert [column["name"] for column in table["columnDefinitions"]] == ["Name", "Desired", "Available", "Age"]
    assert table["rows"][0]["cells"][:3] == ["web", 2, 2]


async def test_json_patch_that_fails_is_an_invalid_request_of_nothing_in_particular() -> None:
    world = World()
    world.create(deployment(replicas=2))
    async with serve(world) as api:
        headers = {"Content-Type": "application/json-patch+json"}
        for path in ("", "/scale"):
            url = f"/apis/apps/v1/namespaces/default/deployments/web{path}"
            status, answer = await api.ask("PATCH", url, [{"op": "remove", "path": "/spec/nope"}], headers=headers)
            assert (status, answer["reason"], answer["details"]) == (422, "Invalid", {})
            assert answer["message"].startswith("the server rejected our request due to an error in our request: operation 0: ")
            assert answer["message"].endswith("doc is missing path: /spec/nope: missing value")


def test_namespace_is_held_by_its_finalizer_whatever_a_client_writes() -> None:
    world = World()
    made = world.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "other"}})
    assert made["spec"] == {"finalizers": ["kubernetes"]}
    assert world.change("namespaces", "other", {"spec": None, "metadata": {"labels": {"a": "b"}}})["spec"] == made["spec"]
    world.delete("namespaces", "other")
    assert not world.exists("namespaces", "other")


JSON_PATCHED = {"Content-Type": "application/json-patch+json"}
TYPE = "json: cannot unmarshal {} into Go {} of type {}"


@pytest.mark.parametrize(
    ("body", "query", "said"),
    [
        ({"op": "add"}, "", "error decoding patch: " + TYPE.format("object", "value", "[]handlers.jsonPatchOp")),
        ("x", "", "error decoding patch: " + TYPE.format("string", "value", "[]handlers.jsonPatchOp")),
        (True, "", "error decoding patch: " + TYPE.format("bool", "value", "[]handlers.jsonPatchOp")),
        ([1], "", "error decoding patch: " + TYPE.format("number", "value", "handlers.jsonPatchOp")),
        ([{"op": ["add"]}], "", "error decoding patch: " + TYPE.format("array", "struct field jsonPatchOp.op", "string")),
        ({"op": "add"}, "?fieldValidation=Ignore", TYPE.format("object", "value", "jsonpatch.Patch")),
    ],
)
async def test_json_patch_that_is_none_is_a_bad_request(body: object, query: str, said: str) -> None:
    world = World()
    world.create(deployment(replicas=2))
    async with serve(world) as api:
        url = f"/apis/apps/v1/namespaces/default/deployments/web{query}"
        status, answer = await api.ask("PATCH", url, body, headers=JSON_PATCHED)
    assert (status, answer["reason"], answer["message"]) == (400, "BadRequest", said)


@pytest.mark.parametrize("path", ["", "/scale"])
async def test_json_patch_of_more_than_ten_thousand_operations_is_too_large(path: str) -> None:
    world = World()
    world.create(deployment(replicas=2))
    operations = [{"op": "test", "path": "/metadata/name", "value": "web"}] * 10_001
    async with serve(world) as api:
        url = f"/apis/apps/v1/namespaces/default/deployments/web{path}"
        status, answer = await api.ask("PATCH", url, operations, headers=JSON_PATCHED)
        assert (status, answer["reason"]) == (413, "RequestEntityTooLarge")
        said = "The allowed maximum operations in a JSON patch is 10000, got 10001"
        assert answer["message"] == f"Request entity too large: {said}"
        assert (await api.ask("PATCH", url, operations[1:], headers=JSON_PATCHED))[0] == 200


async def test_json_patch_without_operations_changes_nothing() -> None:
    world = World()
    before = world.create(deployment(replicas=2))
    async with serve(world) as api:
        url = "/apis/apps/v1/namespaces/default/deployments/web"
        for body in (b"null", b"[]"):
            status, answer = await api.ask("PATCH", url, body, headers=JSON_PATCHED)
            assert (status, answer["spec"]) == (200, before["spec"])


MERGE_PATCH, STRATEGIC_PATCH = "application/merge-patch+json", "application/strategic-merge-patch+json"


@pytest.mark.parametrize(
    ("media_type", "body", "status", "message"),
    [
        (MERGE_PATCH, {"metadata": {"labels": {"a": 1}}}, 422, "json: cannot unmarshal number into Go struct field"),
        (MERGE_PATCH, {"kind": "Pod"}, 422, "converting (v1.Pod) to (core.Service): unknown conversion"),
        (MERGE_PATCH, {"apiVersion": "apps/v1"}, 422, 'no kind "Service" is registered for version "apps/v1"'),
        (MERGE_PATCH, b"null", 400, "Invalid JSON Patch"),
        (STRATEGIC_PATCH, b"null", 200, ""),
        (STRATEGIC_PATCH, b"{", 400, "unexpected end of JSON input"),
        (MERGE_PATCH, [1], 400, "error decoding patch: json: cannot unmarshal array into Go value of type map[string]interface {}"),
        (STRATEGIC_PATCH, {"spec": {"type": 1}}, 422, '"map[spec:map[type:1]]": json: cannot unmarshal number'),
        (STRATEGIC_PATCH, {"spec": {"ports": [{"targetPort": 9}]}}, 500, "map: map[targetPort:9] does not contain declared merge key: port"),
        (MERGE_PATCH, {"metadata": {"uid": "abc"}}, 422, 'metadata.uid: Invalid value: "abc": field is immutable'),
        (MERGE_PATCH, {"metadata": {"resourceVersion": "abc"}}, 500, 'strconv.ParseUint: parsing "abc": invalid syntax'),
        (MERGE_PATCH, {"metadata": {"resourceVersion": "0"}}, 200, ""),
        (STRATEGIC_PATCH, {"kind": "Pod"}, 200, ""),
        ("text/plain", {}, 415, "415: Unsupported Media Type"),
    ],
)  # fmt: skip
async def test_patch_that_makes_no_object_is_unprocessable(media_type: str, body: object, status: int, message: str) -> None:
    async with serve(World()) as api:
        await api.ask("POST", SERVICES, service("web"))
        found, answer = await api.ask("PATCH", f"{SERVICES}/web", body, headers={"Content-Type": media_type})
        assert found == status
        assert message in answer.get("message", "")
        if status == 422 and "uid" not in str(body):
            assert answer["message"].startswith(' "" is invalid: patch: Invalid value: "')
            assert [cause["field"] for cause in answer["details"]["causes"]] == ["patch"]
        assert ("reason" in answer) == (status in (400, 415, 422))


async def test_new_object_may_not_name_its_version_but_zero_is_none() -> None:
    async with serve(World()) as api:
        for version, status in (("7", 500), ("0", 201)):
            body = service("web")
            body["metadata"]["resourceVersion"] = version
            found, answer = await api.ask("POST", SERVICES, body)
            assert found == status
            assert answer.get("message", "") == (
                "resourceVersion should not be set on objects to be created" if status == 500 else ""
            )


async def test_list_says_once_what_its_items_are() -> None:
    async with serve(World()) as api:
        await api.ask("POST", SERVICES, service("web"))
        _, listed = await api.ask("GET", SERVICES)
        assert (listed["kind"], listed["apiVersion"]) == ("ServiceList", "v1")
        assert "web" in [item["metadata"]["name"] for item in listed["items"]]
        assert not any({"kind", "apiVersion"} & item.keys() for item in listed["items"])
