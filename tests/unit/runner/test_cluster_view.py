"""The cluster as its events tell it."""

import pytest

from orchestrator.model.history import Event
from orchestrator.runner.view import BackendNeeds, ClusterView, backends_of
from tests.unit.testbed.scripted_cluster import node_kill_plan

S = "default/service-test"


def view_of(*events: tuple[str, dict[str, object]], source: str = "x/y") -> ClusterView:
    view = ClusterView()
    for number, (name, fields) in enumerate(events):
        view.add(Event(t_mono_ns=number, source=str(fields.pop("from", source)), event=name, fields=fields))
    return view


def endpoint(kind: str, name: str, node: str = "node-1") -> tuple[str, dict[str, object]]:
    return f"endpoint-{kind}", {"service": S, "endpoint": name, "node": node, "pod": "p", "revision": 1}


def rules(node: str, *endpoints: str, port: str = "http") -> tuple[str, dict[str, object]]:
    return "rules-committed", {"node": node, "revision": 1, "endpoints": {f"{S}:{port}": list(endpoints)}}


def server(kind: str, node: str = "node-1") -> tuple[str, dict[str, object]]:
    return f"server-{kind}", {"backend": "nodeport", "server": node, "reason": ""}


def test_only_ready_endpoints_count_as_ready() -> None:
    view = view_of(
        endpoint("ready", "a"),
        endpoint("ready", "b"),
        endpoint("not-ready", "b"),
        endpoint("ready", "c"),
        endpoint("terminating", "c"),
    )
    assert view.ready_endpoints(S) == {"a"}


def test_rules_that_lack_a_ready_endpoint_are_named() -> None:
    view = view_of(endpoint("ready", "a"), endpoint("ready", "b"), rules("node-1", "a", "b"), rules("node-2", "a"))
    assert view.lacking_rules(["node-1", "node-2"], [S]) == [f"rules of node-2 lack b of {S}"]


def test_a_service_without_a_ready_endpoint_lacks_it() -> None:
    assert view_of().lacking_rules([], [S]) == [f"{S} has no ready endpoint"]


def test_endpoints_of_all_ports_of_a_service_count_together() -> None:
    view = view_of(endpoint("ready", "a"), endpoint("ready", "b"), rules("node-1", "a"), rules("node-1", "b", port="admin"))
    assert view.lacking_rules(["node-1"], [S]) == []


def test_a_later_commit_replaces_the_earlier_one() -> None:
    view = view_of(rules("node-1", "a", "b"), rules("node-1", "b"))
    assert view.programmed("node-1", S) == {"b"}
    assert view.programmed_anywhere({"a"}) == {}
    assert view.programmed_anywhere({"a", "b"}) == {"node-1": {"b"}}


def test_a_node_that_boots_again_has_lost_its_rules() -> None:
    view = view_of(endpoint("ready", "a"), rules("node-1", "a"), ("booted", {"from": "node-1/init"}))
    assert view.lacking_rules(["node-1"], [S]) == [f"rules of node-1 lack a of {S}"]


def test_endpoints_on_leaving_nodes_are_found_and_remembered() -> None:
    view = view_of(endpoint("ready", "a", "node-1"), endpoint("terminating", "b", "node-2"), endpoint("removed", "b", "node-2"))
    assert view.endpoints_on(["node-1", "node-2"]) == {"a"}
    assert view.endpoints_ever_on(["node-2"]) == {"b"}


@pytest.mark.parametrize(
    ("events", "lacking"),
    [
        ([], "not there"),
        ([server("added")], "is added"),
        ([server("added"), server("up"), server("down")], "is down"),
        ([server("up"), server("drain")], "is draining"),
        ([server("up"), server("removed")], "not there"),
        ([server("up")], None),
        ([server("up"), server("drain"), server("undrain")], None),
    ],
)
def test_a_checked_server_must_be_up_and_not_draining(events: list[tuple[str, dict[str, object]]], lacking: str | None) -> None:
    found = view_of(*events).lacking_servers(["node-1"], {"nodeport": BackendNeeds()})
    assert [lacking in item for item in found] == [True] if lacking is not None else found == []


def test_a_server_that_is_not_checked_only_has_to_be_there() -> None:
    assert view_of(server("added")).lacking_servers(["node-1"], {"nodeport": BackendNeeds(is_checked=False)}) == []


def test_a_removed_server_that_comes_back_is_not_draining_any_more() -> None:
    view = view_of(server("up"), server("drain"), server("removed"), server("up"))
    assert view.lacking_servers(["node-1"], {"nodeport": BackendNeeds()}) == []


def test_a_deleted_node_is_not_ready() -> None:
    view = view_of(("node-ready", {"node": "a"}), ("node-ready", {"node": "b"}), ("node-deleted", {"node": "a"}))
    assert view.lacking_nodes(["a", "b", "c"]) == ["a is not Ready", "c is not Ready"]


def test_the_end_of_an_earlier_node_of_that_name_that_is_told_late_takes_no_rules_away() -> None:
    """Logs of a testbed that is met again are read one container after the other."""
    view = ClusterView()
    for t_mono_ns, (name, fields) in (
        (7, rules("a", "x")),
        (5, ("node-deleted", {"node": "a"})),
        (6, ("node-ready", {"node": "a"})),
    ):
        view.add(Event(t_mono_ns=t_mono_ns, source="x/y", event=name, fields=fields))
    assert view.programmed("a", S) == {"x"}
    view.add(Event(t_mono_ns=9, source="x/y", event="node-deleted", fields={"node": "a"}))
    assert view.programmed("a", S) == frozenset()


def test_events_that_say_nothing_of_the_cluster_are_told_apart() -> None:
    view = ClusterView()
    assert not view.add(Event(t_mono_ns=0, source="node-1/init", event="resources", fields={}))
    assert view.add(Event(t_mono_ns=0, source="controlplane/api", event="node-ready", fields={"node": "a"}))


def test_backends_are_those_of_the_paths_that_have_a_load_balancer() -> None:
    assert backends_of(node_kill_plan().paths) == {"nodeport": BackendNeeds()}


def test_node_without_a_pod_of_its_own_is_not_expected_behind_a_local_service() -> None:
    view = view_of(endpoint("ready", "a", "node-1"), endpoint("not-ready", "b", "node-2"), server("up"))
    local = {"nodeport": BackendNeeds(local_to=S)}
    assert view.lacking_servers(["node-1", "node-2", "node-3"], local) == []
    view.add(Event(t_mono_ns=9, source="x/y", event="endpoint-ready", fields=endpoint("ready", "b", "node-2")[1]))
    assert view.lacking_servers(["node-2"], local) == ["server node-2 of backend nodeport is not there"]
