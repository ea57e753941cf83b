"""HAProxy's log lines and counters, as HAProxy 2.6.12 writes them."""

import json

import pytest

from lbagent.connection_log import Transition, parse_transition, render_connection
from lbagent.statistics import Retries, parse_information, parse_retries


@pytest.mark.parametrize(
    ("line", "transition"),
    [
        (
            b'Server nodeport/node-1 is DOWN, reason: Layer4 connection problem, info: "Connection refused", check '
            b"duration: 0ms. 1 active and 0 backup servers left. 0 sessions active, 0 requeued, 0 remaining in queue.\n",
            ("node-1", False, 'Layer4 connection problem, info: "Connection refused"'),
        ),
        (
            b"Server nodeport/node-2 is DOWN, reason: Layer4 timeout, check duration: 501ms. 2 active and 0 backup "
            b"servers left. 0 sessions active, 0 requeued, 0 remaining in queue.\n",
            ("node-2", False, "Layer4 timeout"),
        ),
        (
            b"Server nodeport/node-3 is UP, reason: Layer4 check passed, check duration: 0ms. 1 active and 0 backup "
            b"servers online. 0 sessions requeued, 0 total in queue.\n",
            ("node-3", True, "Layer4 check passed"),
        ),
        (
            b"Server nodeport/node-1 is DOWN, changed from CLI. 0 active and 0 backup servers left. 0 sessions active, "
            b"0 requeued, 0 remaining in queue.\n",
            None,
        ),
        (b"Server nodeport/node-1 is UP (leaving forced drain).\n", ("node-1", True, "leaving forced drain")),
        (b"Server nodeport/node-1 is DOWN (leaving forced drain).\n", ("node-1", False, "leaving forced drain")),
        (b"Server nodeport/node-1 is UP/READY (leaving forced maintenance).\n", None),
        (
            b"Server nodeport/node-3 is going DOWN for maintenance. 0 active and 0 backup servers left. 1 sessions "
            b"active, 0 requeued, 0 remaining in queue.\n",
            None,
        ),
        (b"Server nodeport/node-1 enters drain state. 1 active and 0 backup servers online.\n", None),
        (b"backend nodeport has no server available!\n", None),
        (b"", None),
    ],
)
def test_checks_verdicts_and_the_end_of_a_drain_are_transitions(line, transition):
    expected = transition and Transition(backend="nodeport", server=transition[0], up=transition[1], reason=transition[2])
    assert parse_transition(line) == expected


def test_a_connection_becomes_a_json_line():
    line = b"conn 198.18.0.4 40312 nodeport nodeport node-2 0 1 12 245 -- 0\n"
    assert json.loads(render_connection(line, 42)) == {
        "t_mono_ns": 42,
        "client_ip": "198.18.0.4",
        "client_port": 40312,
        "frontend": "nodeport",
        "backend": "nodeport",
        "server": "node-2",
        "queue_ms": 0,
        "connect_ms": 1,
        "total_ms": 12,
        "bytes_read": 245,
        "termination": "--",
        "retries": 0,
        "redispatched": False,
    }


def test_a_redispatched_connection_is_told_from_a_retried_one():
    redispatched = json.loads(render_connection(b"conn 198.18.0.4 1 f b s 0 1 12 245 -- +2", 0))
    retried = json.loads(render_connection(b"conn 198.18.0.4 1 f b s 0 1 12 245 -- 2", 0))
    assert (redispatched["retries"], redispatched["redispatched"]) == (2, True)
    assert (retried["retries"], retried["redispatched"]) == (2, False)


def test_a_connection_that_no_server_took_has_none():
    record = json.loads(render_connection(b"conn 198.18.0.4 1 f b <NOSRV> -1 -1 3 0 SC 0", 0))
    assert (record["server"], record["connect_ms"], record["termination"]) == (None, -1, "SC")


def test_a_line_with_other_fields_is_an_error():
    with pytest.raises(ValueError, match="values to unpack"):
        render_connection(b"conn 198.18.0.4 1", 0)


def test_retries_are_read_by_column_name():
    answer = (
        "# pxname,svname,qcur,econ,eresp,wretr,wredis,status,\nnodeport,node-1,0,4,0,3,2,DOWN,\nnodeport,node-2,0,,0,,,UP,\n\n"
    )
    assert parse_retries(answer) == {
        ("nodeport", "node-1"): Retries(retries=3, redispatches=2, connection_errors=4),
        ("nodeport", "node-2"): Retries(retries=0, redispatches=0, connection_errors=0),
    }


def test_information_is_read_by_name():
    assert parse_information("Name: HAProxy\nVersion: 2.6.12\nPid: 7\n")["Pid"] == "7"
