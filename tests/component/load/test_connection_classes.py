"""Both connection classes against responders on loopback that answer, fail, stall and close in every way."""

import socket

import gevent
import pytest
from loopback import (
    POD,
    abort,
    answer_once,
    clock,
    free_port,
    keep_answering,
    read_request,
    render_response,
    reset,
    responding,
    stall,
)

from loadtests.connections.keepalive import KeepAlive
from loadtests.connections.new import NewConnections
from loadtests.connections.registry import CONNECTION_CLASSES
from loadtests.connections.seam import Exchange
from loadtests.connections.target import TargetError, resolve_target
from loadtests.outcomes import Outcome, RequestFailedError

TIMEOUT_S = 0.1
both = pytest.mark.parametrize("kind", CONNECTION_CLASSES.values(), ids=CONNECTION_CLASSES.keys())


def make(kind, url, *, connections=2, timeout_s=TIMEOUT_S):
    return kind(resolve_target(url), timeout_s=timeout_s, connections=connections, clock=clock)


def ask(connections):
    """One request: its exchange and how it ended."""
    exchange = Exchange()
    try:
        connections.request(exchange)
    except RequestFailedError as error:
        return exchange, error.outcome
    return exchange, Outcome.OK


@both
def test_answer_is_kept_with_its_instants_and_port(kind):
    with responding(keep_answering()) as responder:
        connections = make(kind, responder.url)
        before_ns = clock()
        exchange, outcome = ask(connections)
        assert outcome is Outcome.OK
        assert (exchange.http_status, exchange.body, exchange.attempt, exchange.connection_use) == (200, POD, 1, 1)
        assert before_ns <= exchange.sent_ns < exchange.first_byte_ns <= clock()
        assert exchange.local_port > 0
        connections.close()


@both
@pytest.mark.parametrize(
    ("response", "body"),
    [
        (b"HTTP/1.1 100 Continue\r\n\r\n" + render_response(b"late"), b"late"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", b"abcde"),
        (b"HTTP/1.1 200 OK\r\n\r\nuntil the end", b"until the end"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
    ],
    ids=["interim", "chunked", "until-close", "no-content"],
)
def test_every_framing_of_a_response_is_read(kind, response, body):
    with responding(answer_once(response)) as responder:
        connections = make(kind, responder.url)
        exchange, outcome = ask(connections)
        assert (outcome, exchange.body) == (Outcome.OK, body)
        connections.close()


@both
def test_error_status_is_a_complete_answer(kind):
    with responding(answer_once(render_response(b"busy", status="503 Service Unavailable"))) as responder:
        connections = make(kind, responder.url)
        exchange, outcome = ask(connections)
        assert (outcome, exchange.http_status) == (Outcome.OK, 503)
        connections.close()


@both
@pytest.mark.parametrize(
    ("serve", "expected"),
    [
        (stall, Outcome.RESPONSE_TIMEOUT),
        (reset, Outcome.RESET),
        (answer_once(b""), Outcome.CLOSED),
        (answer_once(render_response()[:-5]), Outcome.CLOSED),
        (answer_once(b"HTTP/1.1 200 OK\r\nContent-Le"), Outcome.CLOSED),
        (answer_once(b"SSH-2.0-server\r\n"), Outcome.BAD_BODY),
    ],
    ids=["stall", "reset", "empty", "half-body", "half-head", "not-http"],
)
def test_each_way_to_fail_has_its_outcome(kind, serve, expected):
    with responding(serve) as responder:
        connections = make(kind, responder.url)
        exchange, outcome = ask(connections)
        assert outcome is expected
        assert exchange.sent_ns > 0
        assert exchange.local_port > 0
        assert exchange.attempt == 1
        connections.close()


@both
def test_port_without_listener_refuses_at_once(kind):
    exchange, outcome = ask(make(kind, f"http://127.0.0.1:{free_port()}/"))
    assert outcome is Outcome.REFUSED
    assert (clock() - exchange.sent_ns) / 1e9 < TIMEOUT_S


@both
def test_syn_without_answer_is_a_connect_time_out(kind):
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        # The queue of a listener with backlog 0 holds one connection; further SYNs are dropped (listen(2)).
        with socket.create_connection(("127.0.0.1", port)):
            exchange, outcome = ask(make(kind, f"http://127.0.0.1:{port}/"))
    assert outcome is Outcome.CONNECT_TIMEOUT
    assert (clock() - exchange.sent_ns) / 1e9 >= TIMEOUT_S


def test_time_out_covers_a_response_that_drips():
    def drip(stream):
        read_request(stream)
        for byte in render_response():
            stream.sendall(bytes([byte]))
            gevent.sleep(0.03)

    with responding(drip) as responder:
        exchange, outcome = ask(make(NewConnections, responder.url))
        assert outcome is Outcome.RESPONSE_TIMEOUT
        assert (clock() - exchange.sent_ns) / 1e9 < 2 * TIMEOUT_S


def test_new_opens_a_connection_for_every_request():
    with responding(keep_answering()) as responder:
        connections = make(NewConnections, responder.url)
        uses = [ask(connections)[0].connection_use for _ in range(3)]
        assert (responder.connections, uses) == (3, [1, 1, 1])


def test_new_asks_for_the_end_of_the_connection_and_keepalive_does_not():
    seen = []

    def note(stream):
        seen.append(read_request(stream))
        stream.sendall(render_response(close=True))

    with responding(note) as responder:
        ask(make(NewConnections, responder.url))
        ask(make(KeepAlive, responder.url))
    assert b"\r\nConnection: close\r\n" in seen[0]
    assert b"\r\nConnection: keep-alive\r\n" in seen[1]


def test_keepalive_fills_its_pool_and_then_takes_its_connections_in_turn():
    with responding(keep_answering()) as responder:
        connections = make(KeepAlive, responder.url, connections=3)
        ports = [ask(connections)[0].local_port for _ in range(9)]
        assert responder.connections == 3
        assert len(set(ports[:3])) == 3
        assert ports == ports[:3] * 3
        connections.close()


def test_keepalive_grows_only_while_every_connection_is_busy():
    with responding(keep_answering()) as responder:
        connections = make(KeepAlive, responder.url, connections=2)
        gevent.joinall([gevent.spawn(ask, connections) for _ in range(5)], raise_error=True)
        assert responder.connections == 5
        later = [ask(connections)[0].connection_use for _ in range(4)]
        assert responder.connections == 5
        assert later == [2, 2, 3, 3]
        connections.close()


def test_keepalive_notices_an_idle_connection_that_was_closed_and_sends_nothing_on_it():
    with responding(answer_once(render_response())) as responder:
        connections = make(KeepAlive, responder.url, connections=1)
        ask(connections)
        gevent.sleep(0.01)
        exchange, outcome = ask(connections)
        assert (outcome, exchange.attempt, exchange.connection_use) == (Outcome.OK, 1, 1)
        connections.close()


def serve_then(then):
    """Answer each connection's first request; do `then` with its second."""

    def serve(stream):
        read_request(stream)
        stream.sendall(render_response())
        if read_request(stream):
            then(stream)

    return serve


@pytest.mark.parametrize("then", [lambda _: None, abort], ids=["fin", "rst"])
def test_keepalive_sends_once_more_when_the_connection_ends_before_any_byte(then):
    with responding(serve_then(then)) as responder:
        connections = make(KeepAlive, responder.url, connections=1)
        first, _ = ask(connections)
        second, outcome = ask(connections)
        assert (outcome, second.attempt, second.connection_use) == (Outcome.OK, 2, 1)
        assert second.local_port != first.local_port
        assert responder.connections == 2
        connections.close()


@pytest.mark.parametrize(
    ("then", "expected"),
    [
        (lambda stream: stream.sendall(render_response()[:-5]), Outcome.CLOSED),
        (stall, Outcome.RESPONSE_TIMEOUT),
    ],
    ids=["after-a-byte", "time-out"],
)
def test_keepalive_does_not_repeat_what_the_server_may_have_done(then, expected):
    with responding(serve_then(then)) as responder:
        connections = make(KeepAlive, responder.url, connections=1)
        ask(connections)
        exchange, outcome = ask(connections)
        assert (outcome, exchange.attempt) == (expected, 1)
        assert responder.connections == 1
        connections.close()


def test_keepalive_repeats_at_most_once():
    def answer_first_connection_only(stream):
        if responder.connections == 1:
            serve_then(lambda _: None)(stream)

    with responding(answer_first_connection_only) as responder:
        connections = make(KeepAlive, responder.url, connections=1)
        ask(connections)
        exchange, outcome = ask(connections)
        assert exchange.attempt == 2
        assert outcome in {Outcome.CLOSED, Outcome.RESET}
        assert responder.connections == 2
        connections.close()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("ftp://198.18.0.3/", "allowed: http://host"),
        ("198.18.0.3:80", "allowed: http://host"),
        ("http://198.18.0.3:99999/", "Port out of range"),
        ("http://198.18.0.3/a b", "percent-encoded"),
    ],
)
def test_url_that_cannot_be_called_is_refused(url, message):
    with pytest.raises(TargetError, match=message):
        resolve_target(url)


def test_request_names_host_path_and_query():
    target = resolve_target("http://127.0.0.1:8080/a/b?c=d")
    assert target.render_request(keep_alive=False).startswith(b"GET /a/b?c=d HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n")
    assert target.address == ("127.0.0.1", 8080)
