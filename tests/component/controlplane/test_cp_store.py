"""The store: one version for everything, history for watchers, and a restart that loses nothing."""

import asyncio
import shutil
from pathlib import Path

import pytest

from controlplane.clock import ManualClock
from controlplane.store.history import ChangeType, History, HistoryGoneError
from controlplane.store.journal import Journal
from controlplane.store.store import AbsentError, ExistsError, Store, VersionError


def killed(path: Path) -> Path:
    """What a killed process leaves: the files as they are, and no lock."""
    copies = [shutil.copy(file, path.parent / f"left-{file.name}") for file in path.parent.glob(f"{path.name}*")]
    return Path(next(copy for copy in copies if Path(copy).name == f"left-{path.name}"))


def make_store(path: Path | None = None, *, capacity: int = 100) -> Store:
    return Store(journal=Journal(path, keep=capacity), clock=ManualClock(), plurals=("pods", "nodes"), history_capacity=capacity)


def item(name: str, **fields: object) -> dict:
    return {"metadata": {"name": name}, **fields}


def test_every_commit_of_any_resource_takes_the_next_version() -> None:
    store = make_store()
    first, second = store.create("pods", item("a")), store.create("nodes", item("b"))
    assert int(second["metadata"]["resourceVersion"]) == int(first["metadata"]["resourceVersion"]) + 1 == store.version


def test_update_that_changes_nothing_is_no_commit() -> None:
    store = make_store()
    created = store.create("pods", item("a", spec={"x": 1}))
    assert store.update("pods", item("a", spec={"x": 1})) == created
    assert store.history("pods").end == 1


def test_update_with_an_old_version_is_refused() -> None:
    store = make_store()
    old = store.create("pods", item("a"))
    store.update("pods", item("a", spec={"x": 1}))
    with pytest.raises(VersionError):
        store.update("pods", {**old, "spec": {"x": 2}})


def test_name_is_taken_once_and_must_exist_to_be_changed() -> None:
    store = make_store()
    store.create("pods", item("a"))
    with pytest.raises(ExistsError):
        store.create("pods", item("a"))
    with pytest.raises(AbsentError):
        store.update("pods", item("b"))
    with pytest.raises(AbsentError):
        store.delete("pods", ("", "b"))


def test_deletion_shows_the_last_state_with_the_version_of_the_deletion() -> None:
    store = make_store()
    store.create("pods", item("a", spec={"x": 1}))
    store.delete("pods", ("", "a"))
    change = store.history("pods").read(1, 10)[0]
    assert (change.type, change.item["spec"], change.item["metadata"]["resourceVersion"]) == (ChangeType.DELETED, {"x": 1}, "3")


def test_subscriber_sees_the_state_that_it_is_told_of() -> None:
    store, seen = make_store(), []
    store.subscribe(lambda change: seen.append((change.type, store.find("pods", "", "a"))))
    created = store.create("pods", item("a"))
    store.delete("pods", ("", "a"))
    assert seen == [("ADDED", created), ("DELETED", None)]


def test_reader_continues_after_the_version_that_it_has() -> None:
    store = make_store()
    versions = [int(store.create("pods", item(str(number)))["metadata"]["resourceVersion"]) for number in range(5)]
    history = store.history("pods")
    assert [change.version for change in history.read(history.position_after(versions[2]), 10)] == versions[3:]


def test_history_keeps_its_capacity_and_tells_who_came_too_late() -> None:
    store = make_store(capacity=4)
    first = int(store.create("pods", item("0"))["metadata"]["resourceVersion"])
    position = store.history("pods").position_after(first)
    for number in range(1, 20):
        store.create("pods", item(str(number)))
    history = store.history("pods")
    with pytest.raises(HistoryGoneError):
        history.position_after(first)
    with pytest.raises(HistoryGoneError):
        history.read(position, 10)
    assert [change.version for change in history.read(history.position_after(store.version - 4), 10)] == [18, 19, 20, 21]


def test_every_waiting_reader_is_woken_and_none_is_waited_for() -> None:
    history = History(capacity=4, resumable_from=0)
    events = [asyncio.Event() for _ in range(3)]
    for event in events:
        history.subscribe(event)
    history.unsubscribe(events[2])
    store = make_store()
    store.create("pods", item("a"))
    history.append(store.history("pods").read(0, 1)[0])
    assert [event.is_set() for event in events] == [True, True, False]


def test_restart_keeps_objects_versions_and_the_watchers_place(tmp_path: Path) -> None:
    store = make_store(tmp_path / "db")
    store.create("pods", item("a", spec={"x": 1}))
    place = store.version
    store.update("pods", item("a", spec={"x": 2}))
    store.create("nodes", item("n"))
    store.delete("nodes", ("", "n"))
    again = make_store(killed(tmp_path / "db"))
    assert again.version == store.version
    assert list(again.items("pods")) == list(store.items("pods"))
    assert list(again.items("nodes")) == []
    history = again.history("pods")
    change = history.read(history.position_after(place), 10)[0]
    assert (change.type, change.item["spec"], change.before["spec"]) == (ChangeType.MODIFIED, {"x": 2}, {"x": 1})


def test_restart_tells_a_watcher_whose_place_is_forgotten(tmp_path: Path) -> None:
    store = make_store(tmp_path / "db", capacity=10)
    for number in range(3000):
        store.update("pods", item("a", number=number)) if number else store.create("pods", item("a"))
    again = make_store(killed(tmp_path / "db"), capacity=10)
    with pytest.raises(HistoryGoneError):
        again.history("pods").position_after(5)
    again.history("pods").position_after(again.version)
