"""Writes as the API server takes them: names and versions that must be given, what a deletion answers, whose fields applies meet."""

from typing import Any

import pytest
from cp_http import Api, serve
from cp_world import World, deployment, pod, service

from controlplane.deletion import DeleteOptions
from controlplane.kinds.registry import by_stored

PODS = "/api/v1/namespaces/default/pods"
SERVICES = "/api/v1/namespaces/default/services"
MAPS = "/api/v1/namespaces/default/configmaps"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
MERGE = {"Content-Type": "application/merge-patch+json"}
APPLY = {"Content-Type": "application/apply-patch+yaml"}
TABLE = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}


def config_map(name: str, **metadata: Any) -> dict:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, **metadata}}


async def apply(api: Api, body: dict, manager: str = "a", query: str = "") -> tuple[int, Any]:
    return await api.ask("PATCH", f"{SERVICES}/web?fieldManager={manager}{query}", body, headers=APPLY)


@pytest.mark.parametrize(
    ("method", "headers", "body"),
    [
        ("PUT", {}, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {}}),
        ("PUT", {}, {"apiVersion": "v1", "kind": "ConfigMap"}),
        ("PATCH", MERGE, {"metadata": {"name": None}}),
        ("PATCH", MERGE, {"metadata": None}),
        ("PATCH", {"Content-Type": "application/json-patch+json"}, [{"op": "remove", "path": "/metadata/name"}]),
    ],
)
async def test_change_must_name_its_object(method: str, headers: dict, body: Any) -> None:
    async with serve(World()) as api:
        await api.ask("POST", MAPS, config_map("m"))
        status, answer = await api.ask(method, f"{MAPS}/m", body, headers=headers)
        why = "the name of the object (m based on URL) was undeterminable: name must be provided"
        assert (status, answer["message"]) == (400, why)


async def test_times_of_deletion_are_not_the_clients_to_set() -> None:
    async with serve(World()) as api:
        await api.ask("POST", MAPS, config_map("m"))
        change = {"metadata": {"deletionTimestamp": "2020-01-01T00:00:00Z", "deletionGracePeriodSeconds": 5, "generation": 9}}
        status, answer = await api.ask("PATCH", f"{MAPS}/m", change, headers=MERGE)
        fields = [cause["field"] for cause in answer["details"]["causes"]]
        assert (status, fields) == (422, ["metadata.deletionTimestamp", "metadata.deletionGracePeriodSeconds"])


async def test_event_is_made_by_a_put() -> None:
    async with serve(World()) as api:
        event = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": "e"},
            "involvedObject": {"kind": "Pod", "namespace": "default"},
        }
        assert (await api.ask("PUT", "/api/v1/namespaces/default/events/e", event))[0] == 201


async def test_deleted_pod_shows_its_end_and_a_namespace_no_grace() -> None:
    async with serve(World()) as api:
        await api.ask("POST", PODS, pod("p"))
        _, gone = await api.ask("DELETE", f"{PODS}/p")
        assert gone["metadata"]["deletionGracePeriodSeconds"] == 0
        assert "deletionTimestamp" in gone["metadata"]
        await api.ask("POST", "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n"}})
        _, ending = await api.ask("DELETE", "/api/v1/namespaces/n")
        assert "deletionTimestamp" in ending["metadata"]
        assert "deletionGracePeriodSeconds" not in ending["metadata"]


async def test_collection_is_deleted_as_a_list_without_kinds_of_its_items() -> None:
    async with serve(World()) as api:
        for name in ("a", "b"):
            await api.ask("POST", MAPS, config_map(name, labels={"x": "y"}))
        _, answer = await api.ask("DELETE", f"{MAPS}?labelSelector=x")
        assert (answer["kind"], [item["metadata"]["name"] for item in answer["items"]]) == ("ConfigMapList", ["a", "b"])
        assert not any({"kind", "apiVersion"} & item.keys() for item in answer["items"])


async def test_remaining_items_are_counted_where_nothing_is_selected() -> None:
    async with serve(World()) as api:
        for name in ("a", "b", "c"):
            await api.ask("POST", MAPS, config_map(name, labels={"x": "y"}))
        counts = [(await api.ask("GET", f"{MAPS}?limit=1{more}"))[1]["metadata"] for more in ("", "&labelSelector=x")]
        assert [found.get("remainingItemCount") for found in counts] == [2, None]
        assert all(found["continue"] for found in counts)


async def test_generation_of_a_deployment_counts_its_annotations_and_its_status_keeps_its_labels() -> None:
    async with serve(World()) as api:
        await api.ask("POST", DEPLOYMENTS, deployment("web", replicas=0))
        _, made = await api.ask("GET", f"{DEPLOYMENTS}/web")
        generations = [made["metadata"]["generation"]]
        for metadata in ({"labels": {"a": "b"}}, {"annotations": {"c": "d"}}):
            _, changed = await api.ask("PATCH", f"{DEPLOYMENTS}/web", {"metadata": metadata}, headers=MERGE)
            generations.append(changed["metadata"]["generation"])
        assert [number - generations[0] for number in generations] == [0, 0, 1]
        marks = {"metadata": {"labels": {"e": "f"}, "annotations": {"g": "h"}}}
        _, changed = await api.ask("PATCH", f"{DEPLOYMENTS}/web/status", marks, headers=MERGE)
        assert (changed["metadata"]["labels"].get("e"), changed["metadata"]["annotations"].get("g")) == (None, "h")


async def test_scale_to_zero_shows_no_replicas() -> None:
    async with serve(World()) as api:
        await api.ask("POST", DEPLOYMENTS, deployment("web", replicas=0))
        assert (await api.ask("GET", f"{DEPLOYMENTS}/web/scale"))[1]["spec"] == {}


async def test_binding_leaves_its_annotations_and_is_made_once() -> None:
    async with serve(World()) as api:
        await api.ask("POST", PODS, pod("p"))
        body = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": "p", "annotations": {"a": "b"}},
            "target": {"name": "n"},
        }
        assert (await api.ask("POST", f"{PODS}/p/binding", body))[0] == 201
        assert (await api.ask("GET", f"{PODS}/p"))[1]["metadata"]["annotations"] == {"a": "b"}
        status, answer = await api.ask("POST", f"{PODS}/p/binding", body)
        why = 'Operation cannot be fulfilled on pods/binding "p": pod p is already assigned to node "n"'
        assert (status, answer["message"]) == (409, why)


@pytest.mark.parametrize(
    ("change", "status", "message"),
    [
        ({"apiVersion": "apps/v1"}, 400, "Incorrect version specified in apply patch. Specified patch version: apps/v1, expected: v1"),
        ({"metadata": {"name": "web", "uid": "5"}}, 409, 'on services "web": uid mismatch: the provided object specified uid 5, and no existing object was found'),
        ({"spec": {"foo": 1}}, 500, "failed to create typed patch object (default/web; /v1, Kind=Service): .spec.foo: field not declared in schema"),
        ({"spec": {"foo": 1, "bar": 2}}, 500, "errors:\n  .spec.foo: field not declared in schema\n  .spec.bar: field not declared in schema"),
        ({"spec": {"ports": [{"port": 80, "protocol": "TCP"}] * 2}}, 500, 'failed to create typed patch object (default/web; /v1, Kind=Service): .spec.ports: duplicate entries for key [port=80,protocol="TCP"]'),
    ],
)  # fmt: skip
async def test_configuration_that_cannot_be_applied_is_refused(change: dict, status: int, message: str) -> None:
    async with serve(World()) as api:
        found, answer = await apply(api, service("web") | change)
        assert found == status
        assert message in answer["message"]


async def test_form_that_nobody_produces_is_not_acceptable() -> None:
    async with serve(World()) as api:
        for accept, message in (
            ("text/html", "406: Not Acceptable"),
            ("application/json;as=Table;v=v2;g=meta.k8s.io", "only the following media types are accepted: application/json"),
        ):
            status, answer = await api.ask("GET", SERVICES, headers={"Accept": accept})
            assert (status, answer["message"]) == (406, message)
        status, answer = await api.ask("GET", f"{SERVICES}?includeObject=Foo", headers=TABLE)
        why = "Unable to convert to Table as requested: includeObject: Invalid value: \"Foo\": must be 'Metadata', 'Object', 'None', or empty"
        assert (status, answer["message"]) == (400, why)


async def test_applied_configuration_may_not_change_the_uid() -> None:
    async with serve(World()) as api:
        await apply(api, service("web"))
        body = service("web")
        body["metadata"]["uid"] = "abc"
        status, answer = await apply(api, body)
        assert (status, answer["message"]) == (
            422,
            'Service "web" is invalid: metadata.uid: Invalid value: "abc": field is immutable',
        )


async def test_pod_is_replaced_without_a_word_of_the_tolerations_that_it_got() -> None:
    async with serve(World()) as api:
        body = pod("p")
        _, made = await api.ask("POST", PODS, body)
        body["metadata"]["labels"] = {"a": "b"}
        status, changed = await api.ask("PUT", f"{PODS}/p", body)
        assert (status, changed["spec"]["tolerations"]) == (200, made["spec"]["tolerations"])
        assert len(changed["spec"]["tolerations"]) == 2


async def test_parameters_of_a_class_are_shown() -> None:
    path = "/apis/networking.k8s.io/v1/ingressclasses"
    async with serve(World()) as api:
        for name, parameters, shown in (
            ("a", None, "<none>"),
            ("b", {"kind": "K", "name": "n"}, "K/n"),
            ("c", {"kind": "K", "name": "n", "apiGroup": "g.h"}, "K.g.h/n"),
        ):
            spec = {"controller": "a/b", "parameters": parameters}
            await api.ask(
                "POST",
                path,
                {"apiVersion": "networking.k8s.io/v1", "kind": "IngressClass", "metadata": {"name": name}, "spec": spec},
            )
            _, table = await api.ask("GET", f"{path}/{name}", headers=TABLE)
            assert table["rows"][0]["cells"][2] == shown


@pytest.mark.parametrize(("grace_s", "found"), [(-1, [1]), (60, [60]), (None, [30])])
def test_running_pod_ends_after_its_grace_and_at_once_when_told_again(grace_s: int | None, found: list[int]) -> None:
    world = World()
    world.create(pod("p", nodeName="n1"))
    shown = [
        world.cluster.delete(by_stored("pods"), ("default", "p"), DeleteOptions(grace_period_s=wanted))[0]["metadata"]
        for wanted in (grace_s, 0)
    ]
    assert [metadata["deletionGracePeriodSeconds"] for metadata in shown] == [*found, 0]


@pytest.mark.parametrize("path", ["/foo", "/healthz/nope"])
async def test_path_that_is_not_there_is_answered_with_those_that_are(path: str) -> None:
    async with serve(World()) as api:
        status, answer = await api.ask("GET", path)
        assert status == 404
        assert {"/api/v1", "/healthz", "/healthz/ping"} <= set(answer["paths"])
        assert await api.ask("GET", "/healthz/ping") == (200, "ok")


@pytest.mark.parametrize(
    ("path", "types"),
    [
        (DEPLOYMENTS, {"Up-to-date": "string", "Available": "string"}),
        ("/apis/apps/v1/namespaces/default/replicasets", {"Desired": "integer", "Current": "integer", "Ready": "integer"}),
        (MAPS, {"Data": "string"}),
        ("/api/v1/namespaces/default/secrets", {"Data": "string"}),
        ("/api/v1/namespaces/default/events", {"Count": "string"}),
    ],
)
async def test_columns_have_the_types_that_the_api_server_gives_them(path: str, types: dict[str, str]) -> None:
    async with serve(World()) as api:
        _, table = await api.ask("GET", path, headers=TABLE)
        found = {column["name"]: column["type"] for column in table["columnDefinitions"]}
        assert {name: found[name] for name in types} == types
