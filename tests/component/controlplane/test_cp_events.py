"""Events in both groups: the scheduler's, which are series, and the rules of what others write."""

from typing import Any

import pytest
from cp_http import serve
from cp_world import World, pod

CORE, NEW = "/api/v1/namespaces/default/events", "/apis/events.k8s.io/v1/namespaces/default/events"


def told(world: World, reason: str) -> list[dict]:
    return [item for item in world.store.items("events") if item["reason"] == reason]


def test_binding_is_told_as_components_of_the_newer_group_tell_it() -> None:
    world = World()
    world.add_node("node-1")
    made = world.create(pod("p"))
    (event,) = told(world, "Scheduled")
    metadata = event.pop("metadata")
    assert metadata["name"].startswith("p.")
    assert event == {
        "apiVersion": "v1",
        "kind": "Event",
        "involvedObject": {
            "kind": "Pod",
            "namespace": "default",
            "name": "p",
            "uid": made["metadata"]["uid"],
            "apiVersion": "v1",
            "resourceVersion": event["involvedObject"]["resourceVersion"],
        },
        "reason": "Scheduled",
        "action": "Binding",
        "message": "Successfully assigned default/p to node-1",
        "type": "Normal",
        "source": {},
        "eventTime": world.get("pods", "p")["metadata"]["creationTimestamp"].replace("Z", ".000000Z"),
        "firstTimestamp": None,
        "lastTimestamp": None,
        "reportingComponent": "default-scheduler",
        "reportingInstance": "default-scheduler-controlplane",
    }


def attempt(world: World) -> None:
    """A node that takes nothing comes and goes: the scheduler tries twice more."""
    world.add_node("a", ready=False)
    world.delete("nodes", "a")


def test_attempts_that_fail_alike_are_a_series_whose_count_is_written_at_its_second_and_at_its_end() -> None:
    world = World()
    world.create(pod("p"))
    assert [item.get("series") for item in told(world, "FailedScheduling")] == [None]
    world.change("pods", "p", {"metadata": {"labels": {"a": "b"}}})
    attempt(world)
    first = told(world, "FailedScheduling")
    assert {item["message"] for item in first} >= {
        "no nodes available to schedule pods",
        "0/1 nodes are available: 1 node(s) had untolerated taint {node.kubernetes.io/not-ready: }.",
    }
    # The same pod, unchanged: whatever is said then counts as the same.
    before = len(first)
    for _ in range(3):
        world.plane.loop.look_at(scheduler_of(world), ("default", "p"))
        world.settle()
    (series,) = [item["series"] for item in told(world, "FailedScheduling") if "series" in item]
    assert series["count"] == 2
    assert len(told(world, "FailedScheduling")) == before + 1
    world.clock.advance(721)
    (series,) = [item["series"] for item in told(world, "FailedScheduling") if "series" in item]
    assert series["count"] == 3


def scheduler_of(world: World) -> Any:
    return next(item for item in world.plane.loop._controllers if type(item).__name__ == "Scheduler")


async def test_table_shows_what_has_no_first_instant_by_the_instant_that_it_has() -> None:
    world = World()
    world.add_node("node-1")
    world.create(pod("p"))
    world.clock.advance(65)
    async with serve(world) as api:
        accept = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
        for path in (CORE, NEW):
            _, table = await api.ask("GET", f"{path}?fieldSelector=reason=Scheduled", headers=accept)
            names = [column["name"] for column in table["columnDefinitions"]]
            row = dict(zip(names, table["rows"][0]["cells"], strict=True))
            assert (row["Last Seen"], row["First Seen"], row["Count"]) == ("65s", "65s", 1)
            assert row["Source"] == "default-scheduler, default-scheduler-controlplane"


async def test_scheduled_event_in_the_newer_group() -> None:
    world = World()
    world.add_node("node-1")
    world.create(pod("p"))
    async with serve(world) as api:
        _, listed = await api.ask("GET", NEW)
        event = next(item for item in listed["items"] if item["reason"] == "Scheduled")
    assert (listed["apiVersion"], event["regarding"]["name"], event["note"]) == (
        "events.k8s.io/v1",
        "p",
        "Successfully assigned default/p to node-1",
    )
    assert (event["action"], event["reportingController"], event["deprecatedSource"]) == ("Binding", "default-scheduler", {})
    assert (event["deprecatedFirstTimestamp"], event["deprecatedLastTimestamp"]) == (None, None)
    assert not {"deprecatedCount", "series", "message", "involvedObject", "count"} & event.keys()


FULL = {
    "apiVersion": "events.k8s.io/v1",
    "kind": "Event",
    "metadata": {"name": "e", "namespace": "default"},
    "regarding": {"kind": "Node", "name": "node-1"},
    "note": "hello",
    "reason": "Starting",
    "action": "StartKubeProxy",
    "type": "Normal",
    "eventTime": "2026-01-01T00:00:00.000000Z",
    "reportingController": "kube-proxy",
    "reportingInstance": "kube-proxy-node-1",
}


async def test_event_of_the_newer_group_is_seen_in_the_older() -> None:
    async with serve(World()) as api:
        status, created = await api.ask("POST", NEW, FULL)
        assert (status, created["note"], created["apiVersion"]) == (201, "hello", "events.k8s.io/v1")
        _, listed = await api.ask("GET", f"{CORE}?fieldSelector=involvedObject.name=node-1")
        assert [(item["message"], listed["apiVersion"]) for item in listed["items"]] == [("hello", "v1")]
        _, newer = await api.ask("GET", "/apis/events.k8s.io/v1/events")
        assert [item["regarding"]["name"] for item in newer["items"]] == ["node-1"]


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"eventTime": None}, "eventTime: Required value"),
        ({"action": None}, "action: Required value"),
        ({"reason": None}, "reason: Required value"),
        ({"reportingController": None}, "reportingController: Required value"),
        ({"reportingInstance": None}, "reportingInstance: Required value"),
        ({"reportingInstance": "x" * 129}, 'reportingInstance: Invalid value: "": can have at most 128 characters'),
        ({"note": "x" * 1025}, 'message: Invalid value: "": can have at most 1024 characters'),
        ({"type": "Bad"}, 'type: Invalid value: "": has invalid value: Bad'),
        ({"deprecatedCount": 2}, 'count: Invalid value: "": needs to be unset'),
        ({"deprecatedFirstTimestamp": "2026-01-01T00:00:00Z"}, 'firstTimestamp: Invalid value: "": needs to be unset'),
        (
            {"series": {"count": 1, "lastObservedTime": "2026-01-01T00:00:00.000000Z"}},
            'series.count: Invalid value: "": should be at least 2',
        ),
    ],
)
async def test_event_of_the_newer_group_must_be_whole(change: dict, complaint: str) -> None:
    async with serve(World()) as api:
        status, answer = await api.ask("POST", NEW, FULL | change)
        assert (status, answer["reason"], answer["details"].get("kind")) == (422, "Invalid", "Event")
        assert complaint in answer["message"]


async def test_of_an_event_of_the_newer_group_only_its_series_may_change() -> None:
    headers = {"Content-Type": "application/merge-patch+json"}
    async with serve(World()) as api:
        await api.ask("POST", NEW, FULL)
        status, answer = await api.ask("PATCH", f"{NEW}/e", {"note": "other"}, headers=headers)
        assert (status, answer["message"]) == (
            422,
            'Event "e" is invalid: message: Invalid value: "other": field is immutable',
        )
        series = {"count": 2, "lastObservedTime": "2026-01-01T00:01:00.000000Z"}
        status, answer = await api.ask("PATCH", f"{NEW}/e", {"series": series}, headers=headers)
        assert (status, answer["series"]) == (200, series)
        status, answer = await api.ask("PATCH", f"{CORE}/e", {"message": "other"}, headers=headers)
        assert (status, answer["message"]) == (200, "other"), "the older group lets everything change"


@pytest.mark.parametrize(
    ("namespace", "code"),
    [("default", 201), ("other", 422), (None, 201)],
    ids=["its own", "another", "of what has none, in default"],
)
async def test_event_is_in_the_namespace_of_what_it_is_about(namespace: str | None, code: int) -> None:
    subject = {"kind": "Pod", "name": "p"} | ({"namespace": namespace} if namespace else {})
    event = {"apiVersion": "v1", "kind": "Event", "metadata": {"name": "e"}, "involvedObject": subject}
    async with serve(World()) as api:
        status, answer = await api.ask("POST", CORE, event)
        assert status == code
        if code == 422:
            complaint = 'involvedObject.namespace: Invalid value: "other": does not match event.namespace'
            assert answer["message"] == f'Event "e" is invalid: {complaint}'
