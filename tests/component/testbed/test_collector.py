"""The history as it is collected, and waiting on it."""

import threading

import pytest

from orchestrator.errors import DeadlineError, InterruptedRunError
from orchestrator.model.history import Event
from orchestrator.testbed.clock import EngineClock
from orchestrator.testbed.collector import HistoryCollector


def event(name: str, t_mono_ns: int = 0, **fields: object) -> Event:
    return Event(t_mono_ns=t_mono_ns, source="test/test", event=name, fields=fields)


def waiting(
    collector: HistoryCollector, name: str, *, since_ns: int = 0, deadline_s: float = 5.0, stop: threading.Event | None = None
) -> Event:
    stop = stop or threading.Event()
    return collector.wait(
        lambda item: item.event == name,
        since_ns=since_ns,
        deadline_s=deadline_s,
        what=f"event {name}",
        clock=EngineClock(offset_ns=0, stop=stop),
        stop=stop,
    )


def test_an_event_that_came_before_the_wait_counts() -> None:
    collector = HistoryCollector()
    collector.add(event("wanted", 5))
    assert waiting(collector, "wanted").t_mono_ns == 5


def test_an_event_older_than_asked_for_does_not_count() -> None:
    collector = HistoryCollector()
    collector.add(event("wanted", 5))
    with pytest.raises(DeadlineError, match="event wanted not within 0 s"):
        waiting(collector, "wanted", since_ns=6, deadline_s=0)


def test_a_wait_ends_with_the_event_that_another_thread_adds() -> None:
    collector = HistoryCollector()
    threading.Timer(0.02, collector.add, [event("wanted", 7)]).start()
    assert waiting(collector, "wanted").t_mono_ns == 7


def test_a_wait_ends_soon_after_an_interrupt() -> None:
    stop = threading.Event()
    threading.Timer(0.02, stop.set).start()
    with pytest.raises(InterruptedRunError, match="event wanted"):
        waiting(HistoryCollector(), "wanted", stop=stop)


def test_the_history_is_in_the_order_of_instants_not_of_arrival() -> None:
    collector = HistoryCollector()
    for t_mono_ns in (30, 10, 20):
        collector.add(event("x", t_mono_ns))
    assert [item.t_mono_ns for item in collector.history().events] == [10, 20, 30]


def test_every_event_is_asked_about_once_and_in_order_of_arrival() -> None:
    collector, stop, seen = HistoryCollector(), threading.Event(), list[int]()
    for t_mono_ns in (30, 10, 20):
        collector.add(event("x", t_mono_ns))

    def third(item: Event) -> bool:
        seen.append(item.t_mono_ns)
        return len(seen) == 3

    collector.wait(third, since_ns=0, deadline_s=1, what="the third", clock=EngineClock(offset_ns=0, stop=stop), stop=stop)
    assert seen == [30, 10, 20]


def test_a_state_of_the_past_does_not_end_a_wait_for_a_state() -> None:
    collector, stop, nodes = HistoryCollector(), threading.Event(), set[str]()
    collector.add(event("came", node="a"))
    collector.add(event("went", node="a"))

    def fold(item: Event) -> None:
        (nodes.add if item.event == "came" else nodes.discard)(str(item.fields["node"]))

    with pytest.raises(DeadlineError, match="last state: a is missing"):
        collector.wait_state(
            fold,
            lambda: [] if "a" in nodes else ["a is missing"],
            deadline_s=0,
            what="a",
            clock=EngineClock(offset_ns=0, stop=stop),
            stop=stop,
        )


def test_a_state_that_holds_already_needs_no_further_event() -> None:
    collector, stop, nodes = HistoryCollector(), threading.Event(), set[str]()
    collector.add(event("came", node="a"))
    collector.wait_state(
        lambda item: nodes.add(str(item.fields["node"])),
        lambda: [] if "a" in nodes else ["a is missing"],
        deadline_s=1,
        what="a",
        clock=EngineClock(offset_ns=0, stop=stop),
        stop=stop,
    )
    assert nodes == {"a"}


def test_many_writers_lose_nothing() -> None:
    seen: list[Event] = []
    collector = HistoryCollector(observer=seen.append)

    def write() -> None:
        for number in range(500):
            collector.add(event("x", number))

    writers = [threading.Thread(target=write) for _ in range(8)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert len(seen) == len(collector.history().events) == 4000


def test_a_defect_of_the_observer_is_heard_and_loses_no_event() -> None:
    def defective(item: Event) -> None:
        raise ZeroDivisionError("a defect of the display")

    collector = HistoryCollector(observer=defective)
    collector.add(event("a"))
    collector.add(event("b"))
    with pytest.raises(ZeroDivisionError):
        waiting(collector, "b")
    assert [item.event for item in collector.history().events] == ["a", "b"]
