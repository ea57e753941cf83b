"""Ingresses by the whole agent with the real HAProxy: served, told, kept apart from broken ones, renewed, and gone without a trace."""

import base64
import json
from contextlib import ExitStack
from pathlib import Path

import docker
import pytest

from ingress_cases import ingress, path, rule, service
from ingress_pki import Authority, tls_secret
from lb_bench import Bench, make_pki, started_bench
from role_container import pack

pytestmark = pytest.mark.integration

HERE = Path(__file__).parent
LAB = ["python3", "/lab/ingress_lab.py"]
NODE_PORT, HTTP, HTTPS = 8080, 8000, 8400
INGRESSES, SECRETS, SERVICES = "/apis/networking.k8s.io/v1/ingresses", "/api/v1/secrets", "/api/v1/services"
OPTIONS = {"inter_ms": 200, "fall": 2, "rise": 1, "connect_timeout_ms": 300}
FRONTENDS = [
    {"name": "web", "mode": "ingress", "bind": f"127.0.0.1:{HTTP}", "bind_tls": f"127.0.0.1:{HTTPS}", "haproxy": OPTIONS},
    {"name": "l4", "service": "default/plain", "port": "http", "mode": "loadbalancer", "haproxy": OPTIONS},
]
ADDRESS, ECHO_PORT = "198.18.0.128", 32213
SEND = f"""
import json, socket, ssl
hello = ssl.MemoryBIO()
session = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), hello, server_hostname="shop.example.org")
try:
    session.do_handshake()
except ssl.SSLWantReadError:
    pass
answers = []
for sent in (hello.read(), b"GET /nowhere HTTP/1.1\\r\\nHost: nobody.example.org\\r\\n\\r\\n"):
    with socket.create_connection(("{ADDRESS}", 80), timeout=5) as stream:
        received = stream.makefile("rb")
        greeting = received.readline().decode().strip()
        stream.sendall(sent)
        answers.append([greeting, sent.hex(), received.read(len(sent)).hex()])
print(json.dumps(answers))
"""
"""A client's first TLS message (RFC 8446, section 4.1.2), then a request for a host that nobody has, to a server that sends back
what it gets."""


class IngressBench:
    """A load balancer whose cluster has one node with a web server."""

    def __init__(self, bench: Bench, authority: Authority) -> None:
        self.bench, self.authority = bench, authority
        files = {"/lab/ingress_lab.py": (HERE / "ingress_lab.py").read_bytes(), "/lab/ca.crt": authority.pem}
        bench.container.container.put_archive("/", pack(files))
        bench.container.background(*LAB, "serve", "127.0.1.1", "127.0.1.2")
        self.add_node(1)
        self.put(SERVICES, service("shop", node_port=NODE_PORT))

    def add_node(self, number: int) -> None:
        self.bench.tell(op="node", name=f"node-{number}", address=f"127.0.1.{number}")

    def put(self, collection: str, item: dict) -> None:
        content = {key: value for key, value in item.items() if key != "metadata"}
        self.bench.tell(op="put", path=collection, name=item["metadata"]["name"], content=content)

    def delete(self, collection: str, name: str) -> None:
        self.bench.tell(op="delete", path=collection, name=name)

    def ask(self, host: str, scheme: str = "https", port: int | None = None) -> dict:
        request = {"scheme": scheme, "port": port or (HTTPS if scheme == "https" else HTTP), "host": host, "path": "/"}
        self.bench.container.container.put_archive("/", pack({"/lab/request.json": json.dumps([request])}))
        (answer,) = json.loads(self.bench.container.run(*LAB, "ask", "/lab/request.json"))
        return answer

    def told(self, name: str) -> dict:
        return json.loads(self.bench.container.run("python3", "/lab/lb_lab.py", "tell", json.dumps({"op": "told", "name": name})))

    def until_told(self, name: str, *events: str) -> None:
        told = {"status": {"loadBalancer": {"ingress": [{"ip": "127.0.0.1"}]}}, "events": sorted(events)}
        self.bench.until(lambda: self.told(name) == told, f"{name} is not told as {told}")

    def serve_shop(self) -> None:
        self.put(SECRETS, self.authority.secret("shop-tls", "shop.example.org"))
        self.put(
            INGRESSES, ingress("shop", rule("shop.example.org", path("/", "shop")), tls=(("shop-tls", ("shop.example.org",)),))
        )
        self.until_told("shop")
        self.bench.container.wait_event("server-up", backend="web:default:shop:80", server="node-1")

    def files(self) -> list[str]:
        return sorted(self.bench.container.run("sh", "-c", "ls /run/testbed/ingress 2>/dev/null || true").split())


@pytest.fixture(scope="module")
def pki():
    return make_pki()


@pytest.fixture
def lab(pki):
    with ExitStack() as stack:
        client = docker.from_env()
        stack.callback(client.close)
        yield IngressBench(stack.enter_context(started_bench(client, pki, {}, frontends=FRONTENDS)), Authority())


def test_ingress_is_served_with_its_certificate_and_told(lab):
    lab.serve_shop()
    answer = lab.ask("shop.example.org")
    assert (answer["status"], answer["certificate"]) == (200, "shop.example.org")
    assert json.loads(answer["body"])["server"] == "127.0.1.1"
    assert lab.ask("shop.example.org", "http")["status"] == 200


def test_broken_ingresses_are_told_and_take_nobody_down(lab):
    lab.serve_shop()
    garbage = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    lab.put(SECRETS, tls_secret("garbage", garbage, garbage))
    lab.put(SECRETS, {"metadata": {"name": "opaque"}, "type": "Opaque", "data": {"a": base64.b64encode(b"b").decode()}})
    (certificate, _), (_, key) = (lab.authority.issue("mixed.example.org") for _ in range(2))
    lab.put(SECRETS, tls_secret("mixed", certificate, key))
    lab.put(SERVICES, service("inside", node_port=None))
    tls = tuple((name, (f"{name}.example.org",)) for name in ("garbage", "opaque", "mixed", "absent"))
    lab.put(
        INGRESSES,
        ingress(
            "broken",
            rule("broken.example.org", path("/", "nobody"), path("/inside", "inside"), path("/good", "shop")),
            rule("port.example.org", path("/", "shop", port={"name": "nope"})),
            tls=tls,
        ),
    )
    wrong = ("InvalidCertificate",) * 3 + ("SecretNotFound", "ServiceNotFound", "PortNotFound", "NoNodePort")
    foreign = ingress("foreign", rule("foreign.example.org", path("/", "shop"), path("/x", "nobody")))
    lab.put(INGRESSES, {**foreign, "spec": {**foreign["spec"], "ingressClassName": "nginx"}})
    lab.until_told("broken", *wrong)
    assert lab.ask("shop.example.org")["status"] == 200
    assert lab.ask("foreign.example.org", "http")["status"] == 404
    assert lab.told("foreign") == {"status": None, "events": []}, "it is another controller's"
    assert lab.ask("broken.example.org", "http")["status"] == 503
    assert "refused" in lab.ask("mixed.example.org")
    lab.put(SERVICES, service("nobody", node_port=NODE_PORT))
    lab.bench.container.wait_event("server-up", backend="web:default:nobody:80", server="node-1")
    assert lab.ask("broken.example.org", "http")["status"] == 200


def test_layer_4_neither_ends_tls_nor_reads_the_host_and_layer_7_does_both(lab):
    lab.serve_shop()
    lab.bench.tell(op="listen", address="127.0.1.1", port=ECHO_PORT)
    lab.bench.tell(op="balancer", name="plain", external_ip=ADDRESS, node_port=ECHO_PORT)
    lab.bench.container.wait_event("server-up", backend="l4", server="node-1")
    (server, hello, hello_at_server), (other_server, request, request_at_server) = json.loads(
        lab.bench.container.run("python3", "-c", SEND)
    )
    assert (server, other_server) == ("127.0.1.1", "127.0.1.1"), "one Service for each address and port, whatever is asked for"
    assert bytes.fromhex(hello)[:1] == b"\x16"
    assert b"shop.example.org" in bytes.fromhex(hello)
    assert (hello_at_server, request_at_server) == (hello, request), "to the byte: nobody has read it on the way"
    answer = lab.ask("shop.example.org")
    assert (answer["status"], answer["certificate"]) == (200, "shop.example.org")
    assert json.loads(answer["body"])["headers"]["x-forwarded-proto"] == ["https"], "the server got plain HTTP"
    assert lab.ask("nobody.example.org", "http")["status"] == 404


def test_bad_answers_are_asked_again_elsewhere_where_retry_on_says_so(pki):
    ports = {"plain": HTTP, "retrying": HTTP + 1}
    again = {"plain": {}, "retrying": {"retry_on": "junk-response", "redispatch": 1}}
    frontends = [
        {"name": name, "mode": "ingress", "bind": f"127.0.0.1:{port}", "haproxy": OPTIONS | again[name]}
        for name, port in ports.items()
    ]
    client = docker.from_env()
    try:
        with started_bench(client, pki, {}, frontends=frontends) as bench:
            lab = IngressBench(bench, Authority())
            # It greets before it is asked: no HTTP.
            bench.tell(op="listen", address="127.0.1.3", port=NODE_PORT)
            lab.add_node(3)
            lab.put(INGRESSES, ingress("shop", rule("shop.example.org", path("/", "shop"))))
            for name in ports:
                for node in ("node-1", "node-3"):
                    bench.container.wait_event("server-up", backend=f"{name}:default:shop:80", server=node)
            found = {
                name: {lab.ask("shop.example.org", "http", port)["status"] for _ in range(4)} for name, port in ports.items()
            }
            assert found == {"plain": {200, 502}, "retrying": {200}}
    finally:
        client.close()


def test_renewed_certificate_and_new_nodes_need_no_reload_unless_it_fits_into_no_command(lab):
    lab.serve_shop()
    pid = lab.bench.haproxy_pid()
    lab.put(SECRETS, lab.authority.secret("shop-tls", "renewed.example.org", "shop.example.org"))
    lab.bench.until(lambda: lab.ask("shop.example.org")["certificate"] == "renewed.example.org", "the certificate is the old one")
    lab.add_node(2)
    lab.bench.container.wait_event("server-up", backend="web:default:shop:80", server="node-2")
    servers = {json.loads(lab.ask("shop.example.org", "http")["body"])["server"] for _ in range(4)}
    assert servers == {"127.0.1.1", "127.0.1.2"}
    lab.bench.tell(op="delete-node", name="node-1")
    lab.bench.container.wait_event("server-removed", backend="web:default:shop:80", server="node-1")
    assert lab.bench.haproxy_pid() == pid
    certificate, key = lab.authority.issue("long.example.org", "shop.example.org")
    lab.put(SECRETS, tls_secret("shop-tls", certificate + 60 * lab.authority.pem, key))
    lab.bench.until(
        lambda: lab.ask("shop.example.org").get("certificate") == "long.example.org", "the long certificate is not served"
    )
    assert lab.bench.haproxy_pid() != pid, "a certificate of more than 16 KiB fits into no command: it came by a reload"


def test_ingress_that_goes_leaves_no_frontend_backend_map_or_certificate(lab):
    lab.serve_shop()
    assert any(name.endswith(".pem") for name in lab.files())
    lab.delete(INGRESSES, "shop")
    lab.bench.until(lambda: lab.files() == [], "files are left")
    lab.bench.container.run("sh", "-c", "! grep -E '^(frontend|backend)|crt-list|\\.map' /run/testbed/haproxy.cfg")
    state = "import socket; s=socket.socket(socket.AF_UNIX); s.connect('/run/testbed/haproxy.sock'); s.sendall(b'%s\\n'); print(s.recv(9999))"
    for command in ("show ssl cert", "show map", "show servers state"):
        shown = lab.bench.container.run("python3", "-c", state % command)
        assert "shop" not in shown, command
    refused = lab.bench.container.container.exec_run(
        ["python3", "-c", f"import socket; socket.create_connection(('127.0.0.1', {HTTPS}))"]
    )
    assert b"ConnectionRefusedError" in refused.output
