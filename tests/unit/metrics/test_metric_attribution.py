"""Every lost request is put to exactly one cause, by HAProxy's log and the instants of the stages."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.metrics.attribution import NO_SERVER, Connection, attribute_losses, read_connections
from orchestrator.model.plan import PathPlan, StepPlan
from orchestrator.model.samples import Outcome
from tests.unit.metrics.sample_builder import HOST_PORT, KILL, NODEPORT, START_NS, STATIC_ROUTE, Request, connection, ns, samples

DETECTED_S, PROGRAMMED_S, UNTIL_S = 11.5, 15.3, 35.0


def causes(
    *requests: Request,
    log: tuple[Connection, ...] = (),
    path: PathPlan = NODEPORT,
    step: StepPlan = KILL,
    detected_s: float | None = DETECTED_S,
    programmed_s: float | None = PROGRAMMED_S,
) -> dict[str, int]:
    found = attribute_losses(
        samples(*requests),
        path,
        step,
        log,
        start_mono_ns=START_NS,
        detected_s=detected_s,
        programmed_s=programmed_s,
        until_s=UNTIL_S,
    )
    return dict(Counter(found))


def lost(at_s: float, outcome: Outcome = Outcome.RESPONSE_TIMEOUT, *, port: int = 40000, use: int = 1) -> Request:
    return Request(at_s=at_s, outcome=outcome, took_ms=1000.0, port=port, use=use)


def test_nothing_lost_has_no_causes() -> None:
    assert causes() == {}
    assert causes(path=STATIC_ROUTE) == {}


def test_loss_through_a_struck_entry_node_is_the_next_hops() -> None:
    assert causes(lost(11.0), lost(30.0), path=STATIC_ROUTE) == {"next hop": 2}


def test_loss_through_a_struck_node_that_the_client_calls_itself_is_the_entry_s() -> None:
    assert causes(lost(11.0), lost(30.0, use=7), path=HOST_PORT) == {"entry": 2}
    assert causes(path=HOST_PORT) == {}


def test_other_nodes_explain_no_loss_where_only_pods_of_the_called_node_answer() -> None:
    other = replace(KILL, targets=("node-2",))
    anywhere = replace(HOST_PORT, settings={"direct": {"node": "node-1", "is_local": False}})
    assert causes(lost(11.0), path=HOST_PORT, step=other) == {"unexplained": 1}
    assert causes(path=HOST_PORT, step=other) == {}
    assert causes(lost(11.0), lost(16.0), path=anywhere, step=other) == {"endpoint": 1, "unexplained": 1}


def test_loss_while_the_load_balancer_itself_is_struck_is_its_own() -> None:
    struck = replace(KILL, kind="lb-kill", targets=("loadbalancer",))
    assert causes(lost(11.0, Outcome.REFUSED), step=struck) == {"load balancer": 1}
    assert causes(step=struck) == {}
    assert "load balancer" not in causes(lost(11.0), path=STATIC_ROUTE, step=struck)


@pytest.mark.parametrize("path", [NODEPORT, STATIC_ROUTE, HOST_PORT], ids=lambda path: path.name)
def test_loss_while_the_gateway_itself_is_struck_is_the_gateway_s(path: PathPlan) -> None:
    struck = replace(KILL, kind="gateway-reboot", targets=("gateway",))
    log = (connection(11.0, 12.0, "node-1"),)
    assert causes(lost(11.0), lost(12.0, use=7), log=log, path=path, step=struck) == {"gateway": 2}
    assert causes(step=struck, path=path) == {}
    # Struck together with a node it explains no more than the node does.
    assert "gateway" not in causes(lost(30.0), log=log, path=path, step=replace(struck, targets=("gateway", "node-1")))


@pytest.mark.parametrize(
    ("at_s", "server", "cause"),
    [
        (11.0, "node-1", "entry"),
        (12.0, "node-1", "unexplained"),
        (14.0, "node-2", "endpoint"),
        (16.0, "node-2", "unexplained"),
        (11.0, NO_SERVER, "no server"),
    ],
)
def test_cause_follows_from_the_server_and_how_long_it_can_last(at_s: float, server: str, cause: str) -> None:
    assert causes(lost(at_s), log=(connection(at_s, at_s + 1.0, server),)) == {cause: 1}


def test_what_was_never_detected_explains_losses_to_the_windows_end() -> None:
    log = (connection(30.0, 31.0, "node-1"), connection(32.0, 33.0, "node-2"))
    assert causes(lost(30.0), lost(32.0), log=log, detected_s=None, programmed_s=None) == {"entry": 1, "endpoint": 1}


def test_kept_connection_to_the_struck_node_breaks_as_established() -> None:
    late = connection(3.0, 21.0, "node-1")
    assert causes(lost(12.0, Outcome.RESET, use=7)) == {"established": 1}
    assert causes(lost(20.0, Outcome.RESET, use=7), log=(late,)) == {"established": 1}
    assert causes(lost(20.0, Outcome.RESET, use=7)) == {"unexplained": 1}


def test_kept_connection_is_not_established_where_each_request_chooses_its_server() -> None:
    path = replace(NODEPORT, settings={"per_request": True})
    log = (connection(11.0, 12.0, "node-1"), connection(13.0, 14.0, "node-2", port=40001))
    assert causes(lost(11.0, use=7), lost(13.0, use=8, port=40001), log=log, path=path) == {"entry": 1, "endpoint": 1}


def test_trouble_of_the_sender_is_never_explained_by_the_fault() -> None:
    assert causes(lost(11.0, Outcome.OTHER), log=(connection(11.0, 12.0, "node-1"),)) == {"unexplained": 1}


def test_client_port_that_comes_round_again_is_told_apart_by_time() -> None:
    log = (connection(2.0, 2.1, "node-2"), connection(11.0, 12.0, "node-1"), connection(20.0, 20.1, "node-3"))
    assert causes(lost(11.0), log=log) == {"entry": 1}


def test_other_ports_and_backends_say_nothing_of_a_request() -> None:
    log = (connection(11.0, 12.0, NO_SERVER, port=40001), connection(11.0, 12.0, NO_SERVER, backend="ingress"))
    assert causes(lost(11.0), log=log) == {"unexplained": 1}


def test_request_that_the_log_does_not_tell_of_is_explained_by_nothing() -> None:
    log = (connection(11.0, 12.0, "node-2", port=40001),)
    assert causes(lost(11.0), lost(11.0, port=40001), log=log) == {"unexplained": 1, "endpoint": 1}


def test_answer_where_a_refusal_was_due_is_a_loss_that_no_fault_explains() -> None:
    assert causes(Request(at_s=11.0, outcome=Outcome.OK)) == {"unexplained": 1}


REQUESTS = st.builds(
    lost,
    st.floats(10.0, 34.9),
    st.sampled_from(Outcome),
    port=st.integers(40000, 40003),
    use=st.integers(1, 3),
)
CONNECTIONS = st.builds(
    lambda begin_s, length_s, server, port: connection(begin_s, begin_s + length_s, server, port=port),
    st.floats(5.0, 34.0),
    st.floats(0.0, 5.0),
    st.sampled_from(["node-1", "node-2", NO_SERVER]),
    st.integers(40000, 40003),
)


@settings(max_examples=40, deadline=None)
@given(
    requests=st.lists(REQUESTS, max_size=20),
    log=st.lists(CONNECTIONS, max_size=10),
    path=st.sampled_from([NODEPORT, STATIC_ROUTE]),
    detected_s=st.none() | st.floats(10.0, 35.0),
    programmed_s=st.none() | st.floats(10.0, 35.0),
)
def test_every_loss_has_one_cause(
    requests: list[Request], log: list[Connection], path: PathPlan, detected_s: float | None, programmed_s: float | None
) -> None:
    found = causes(*requests, log=tuple(log), path=path, detected_s=detected_s, programmed_s=programmed_s)
    assert sum(found.values()) == len(requests)
    assert set(found) <= {"next hop", "entry", "endpoint", "no server", "established", "unexplained"}


def test_log_is_read_without_the_line_that_a_killed_writer_left_in_part(tmp_path: Path) -> None:
    whole = {"t_mono_ns": ns(1.0), "client_port": 40000, "backend": "nodeport", "server": "node-1", "total_ms": 12}
    file = tmp_path / "connections.jsonl"
    file.write_text(json.dumps(whole) + "\n" + '{"client_port": 1}\n' + json.dumps(whole)[:20], encoding="utf-8")
    assert read_connections(file) == (
        Connection(t_mono_ns=ns(1.0), client_port=40000, backend="nodeport", server="node-1", total_ms=12.0),
    )


def test_path_without_a_load_balancer_has_no_log(tmp_path: Path) -> None:
    assert read_connections(tmp_path / "absent.jsonl") == ()
