"""Events before they are written: names, counts, combination of similar ones, and the limit for each object."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

from testbed_kube.recording import Correlator, Stamps, repetition_of

START = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
POD = {"apiVersion": "v1", "kind": "Pod", "namespace": "shop", "name": "web", "uid": "u"}


class Told:
    def __init__(self) -> None:
        self.correlator = Correlator(component="kubelet", host="node-1")
        self.now = START

    def tell(self, message: str = "m", *, reason: str = "Unhealthy", **subject: str) -> Mapping[str, Any] | None:
        return self.correlator.correlate({**POD, **subject}, "Warning", reason, message, self.now)

    def wait(self, seconds: float) -> None:
        self.now += datetime.timedelta(seconds=seconds)


def test_event_is_named_by_its_object_and_the_instant_in_hexadecimal_nanoseconds() -> None:
    event = Told().tell()
    assert event is not None
    instant = int(START.timestamp()) * 10**9
    assert event["metadata"] == {"name": f"web.{instant:x}", "namespace": "shop"}
    assert event["source"] == {"component": "kubelet", "host": "node-1"}
    assert (event["reportingComponent"], event["reportingInstance"]) == ("kubelet", "node-1")
    assert (event["count"], event["firstTimestamp"], event["lastTimestamp"]) == (
        1,
        "2026-01-01T00:00:00Z",
        "2026-01-01T00:00:00Z",
    )


def test_event_about_an_object_without_namespace_is_in_the_namespace_default() -> None:
    event = Told().tell(namespace="")
    assert event is not None
    assert event["metadata"]["namespace"] == "default"
    assert event["involvedObject"]["namespace"] == ""


def test_repeated_event_keeps_name_and_first_instant_and_is_counted() -> None:
    told = Told()
    first = told.tell()
    told.wait(5)
    second = told.tell()
    assert first is not None
    assert second is not None
    assert second["metadata"] == first["metadata"]
    assert second["firstTimestamp"] == "2026-01-01T00:00:00Z"
    assert repetition_of(second) == {"count": 2, "message": "m", "lastTimestamp": "2026-01-01T00:00:05Z"}


def test_events_of_two_containers_are_two_events() -> None:
    told = Told()
    events = [told.tell("Container created", fieldPath=f"spec.containers{{{name}}}") for name in ("a", "b", "a")]
    assert [event["count"] for event in events if event] == [1, 1, 2]


def test_names_differ_within_one_tick_of_the_clock() -> None:
    stamps = Stamps()
    assert len({stamps.take(START) for _ in range(3)}) == 3


def test_tenth_message_of_one_reason_is_combined_with_similar_ones() -> None:
    told = Told()
    events = [told.tell(f"Created pod: {index}", reason="SuccessfulCreate") for index in range(1, 13)]
    assert [event["message"] for event in events[:9] if event] == [f"Created pod: {index}" for index in range(1, 10)]
    assert [(event["message"], event["count"]) for event in events[9:] if event] == [
        ("(combined from similar events): Created pod: 10", 1),
        ("(combined from similar events): Created pod: 11", 2),
        ("(combined from similar events): Created pod: 12", 3),
    ]


def test_messages_ten_minutes_apart_are_not_combined() -> None:
    told = Told()
    for index in range(9):
        told.tell(f"{index}")
    told.wait(601)
    event = told.tell("another")
    assert event is not None
    assert event["message"] == "another"


def test_object_has_25_events_at_once_and_then_one_in_five_minutes() -> None:
    told = Told()
    written = [told.tell() is not None for _ in range(30)]
    assert written == [True] * 25 + [False] * 5
    told.wait(299)
    assert told.tell() is None
    told.wait(1)
    last = told.tell()
    assert last is not None
    assert last["count"] == 32, "those that were not written are counted"
    assert told.tell(name="other") is not None, "another object has its own"
