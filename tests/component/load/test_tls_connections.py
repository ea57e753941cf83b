"""Both connection classes over TLS, against responders with certificates of an authority of the test's own."""

import ssl
from contextlib import contextmanager

import pytest
from gevent.ssl import PROTOCOL_TLS_SERVER, SSLContext
from loopback import POD, answer_once, clock, free_port, keep_answering, render_response, responding, stall

from ingress_pki import Authority
from loadtests.connections.registry import CONNECTION_CLASSES
from loadtests.connections.seam import Exchange
from loadtests.connections.target import TargetError, resolve_target
from loadtests.outcomes import Outcome, RequestFailedError, outcome_of

HOST = "shop.example.org"
both = pytest.mark.parametrize("kind", CONNECTION_CLASSES.values(), ids=CONNECTION_CLASSES.keys())


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture
def ca_file(authority, tmp_path):
    file = tmp_path / "ca.crt"
    file.write_bytes(authority.pem)
    return str(file)


@pytest.fixture
def secured(authority, tmp_path):
    """A server for a host that treats each TLS connection so; remembers which names were asked for."""

    @contextmanager
    def serve_tls(serve, *, host=HOST):
        (tmp_path / "pair.pem").write_bytes(b"".join(authority.issue(host)))
        context = SSLContext(PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tmp_path / "pair.pem")
        names = []
        context.sni_callback = lambda stream, name, _: names.append(name)

        def shake_hands(stream):
            with context.wrap_socket(stream, server_side=True) as wrapped:
                serve(wrapped)

        with responding(shake_hands) as responder:
            yield responder, names

    return serve_tls


def make(kind, responder, ca_file, *, timeout_s=0.5):
    target = resolve_target(f"https://{HOST}:{responder.port}/path", connect_to="127.0.0.1", ca_file=ca_file)
    return kind(target, timeout_s=timeout_s, connections=1, clock=clock)


def ask(connections):
    exchange = Exchange()
    try:
        connections.request(exchange)
    except RequestFailedError as error:
        return exchange, error.outcome
    return exchange, Outcome.OK


@both
def test_answer_comes_over_tls_from_the_address_for_the_name(kind, secured, ca_file):
    with secured(keep_answering()) as (responder, names):
        connections = make(kind, responder, ca_file)
        exchange, outcome = ask(connections)
        assert (outcome, exchange.body, exchange.http_status) == (Outcome.OK, POD, 200)
        assert names == [HOST]
        assert exchange.local_port > 0
        connections.close()


def test_host_header_is_the_name_and_not_the_address():
    target = resolve_target(f"https://{HOST}/a?b", connect_to="127.0.0.1")
    assert target.render_request(keep_alive=True).startswith(f"GET /a?b HTTP/1.1\r\nHost: {HOST}\r\n".encode())
    assert (target.address, target.server_name) == (("127.0.0.1", 443), HOST)


def test_kept_connection_shakes_hands_once(secured, ca_file):
    with secured(keep_answering()) as (responder, names):
        connections = make(CONNECTION_CLASSES["keepalive"], responder, ca_file)
        found = [ask(connections) for _ in range(4)]
        assert [outcome for _, outcome in found] == [Outcome.OK] * 4
        assert [exchange.connection_use for exchange, _ in found] == [1, 2, 3, 4]
        assert (responder.connections, len(names)) == (1, 1)
        connections.close()


def test_kept_connection_that_was_closed_is_replaced(secured, ca_file):
    with secured(answer_once(render_response())) as (responder, _):
        connections = make(CONNECTION_CLASSES["keepalive"], responder, ca_file)
        assert [ask(connections)[1] for _ in range(3)] == [Outcome.OK] * 3
        assert responder.connections == 3
        connections.close()


@both
def test_certificate_for_another_name_is_a_tls_failure(kind, secured, ca_file):
    with secured(keep_answering(), host="other.example.org") as (responder, _):
        connections = make(kind, responder, ca_file)
        assert ask(connections)[1] is Outcome.TLS
        connections.close()


def test_certificate_of_another_authority_is_a_tls_failure(secured, tmp_path):
    stranger = tmp_path / "stranger.crt"
    stranger.write_bytes(Authority().pem)
    with secured(keep_answering()) as (responder, _):
        assert ask(make(CONNECTION_CLASSES["new"], responder, str(stranger)))[1] is Outcome.TLS


def test_server_that_speaks_no_tls_is_a_tls_failure(ca_file):
    def answer_anything(stream):
        stream.recv(4096)
        stream.sendall(render_response())

    with responding(answer_anything) as responder:
        assert ask(make(CONNECTION_CLASSES["new"], responder, ca_file))[1] is Outcome.TLS


def test_silence_after_the_connection_is_a_response_that_does_not_come(ca_file):
    with responding(stall) as responder:
        exchange, outcome = ask(make(CONNECTION_CLASSES["new"], responder, ca_file, timeout_s=0.05))
        assert outcome is Outcome.RESPONSE_TIMEOUT
        assert exchange.sent_ns > 0


def test_refusal_comes_before_tls(ca_file):
    target = resolve_target(f"https://{HOST}:{free_port()}/", connect_to="127.0.0.1", ca_file=ca_file)
    connections = CONNECTION_CLASSES["new"](target, timeout_s=0.5, connections=1, clock=clock)
    assert ask(connections)[1] is Outcome.REFUSED


def test_end_of_stream_without_tls_saying_so_is_closed():
    assert outcome_of(ssl.SSLEOFError(8, "EOF occurred in violation of protocol"), connected=True) is Outcome.CLOSED


def test_file_without_certificates_is_refused(tmp_path):
    (tmp_path / "none.crt").write_text("nothing")
    with pytest.raises(TargetError, match=r"none\.crt.*allowed: a file of certificates"):
        resolve_target(f"https://{HOST}/", connect_to="127.0.0.1", ca_file=str(tmp_path / "none.crt"))
