"""The table of Ingress' rules against a real HAProxy with real certificates: `haproxy -c` accepts it, and it routes by it."""

import json
from ipaddress import IPv4Address
from pathlib import Path

import docker
import pytest

from ingress_cases import CASES, CERTIFICATES, SERVICES, WORLDS, Case, service
from ingress_pki import Authority
from lbagent.frontends.ingress import IngressEntry, IngressFrontend
from lbagent.frontends.options import TcpOptions
from lbagent.ingress.reading import read_ingresses
from lbagent.render import Paths, render_config
from lbagent.servers import Server
from lbagent.settings import Settings
from role_container import pack, started
from role_container import render_config as role_config

pytestmark = pytest.mark.integration

HERE = Path(__file__).parent
LAB = ["python3", "/lab/ingress_lab.py"]
PATHS = Paths.under(Path("/lab"))
PORTS = {world: (8000 + number, 8400 + number) for number, world in enumerate(WORLDS)}
ADDRESSES = {name: f"127.0.2.{number}" for number, name in enumerate(SERVICES, 1)}


def frontends(authority: Authority) -> tuple[IngressFrontend, ...]:
    secrets = [authority.secret(name, *names) for name, names in CERTIFICATES.items()]
    services = {f"default/{name}": service(name) for name in SERVICES}
    options = TcpOptions(checks=False)
    return tuple(
        IngressFrontend(
            entry=IngressEntry(name=world, bind=f"127.0.0.1:{port}", bind_tls=f"127.0.0.1:{port_tls}", options=options),
            view=read_ingresses(WORLDS[world], services, secrets),
            directory=PATHS.ingress,
            checks={},
        )
        for world, (port, port_tls) in PORTS.items()
    )


@pytest.fixture(scope="module")
def answers():
    authority = Authority()
    served = frontends(authority)
    settings = Settings(
        container="loadbalancer", api_url="", token="", public_ip=IPv4Address("127.0.0.1"), frontends=(), restart_haproxy=False
    )
    servers = {
        backend.name: (Server(name="node-1", address=IPv4Address(ADDRESSES[backend.service.partition("/")[2]]), port=8080),)
        for frontend in served
        for backend in frontend.backends()
    }
    config = role_config(
        container="loadbalancer",
        role="loadbalancer",
        processes=[
            {"name": "lab", "argv": [*LAB, "serve", *ADDRESSES.values()], "restart": False},
        ],
        settings={},
    )
    files = {
        "/lab/ingress_lab.py": (HERE / "ingress_lab.py").read_bytes(),
        "/lab/ca.crt": authority.pem,
        "/lab/requests.json": json.dumps([request(case) for case in (*CASES, H2)]),
    }
    made = {str(path): content for frontend in served for path, content in frontend.files().items()}
    made[str(PATHS.config)] = render_config(settings, PATHS, served, servers)
    client = docker.from_env()
    try:
        with started(client, "loadbalancer", config=config, files=files, cap_add=("NET_ADMIN", "NET_BIND_SERVICE", "KILL")) as lb:
            lb.container.put_archive("/", pack(made))
            lb.run("haproxy", "-c", "-f", str(PATHS.config))
            lb.run("haproxy", "-D", "-f", str(PATHS.config))
            yield dict(zip((*CASES, H2), json.loads(lb.run(*LAB, "ask", "/lab/requests.json")), strict=True))
    finally:
        client.close()


H2 = Case("hosts", "tls.example.org", "/h2", "secure", "https")


def request(case: Case) -> dict[str, object]:
    port = PORTS[case.world][case.scheme == "https"]
    return {"scheme": case.scheme, "port": port, "host": case.host, "path": case.path, "h2": case is H2}


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.world}-{case.scheme}-{case.host}{case.path}")
def test_haproxy_sends_the_request_where_the_rules_of_ingress_say(answers: dict, case: Case):
    answer = answers[case]
    if case.goes_to == "tls":
        assert answer == {"refused": "TLSV1_UNRECOGNIZED_NAME"}
        return
    assert answer.get("certificate") == case.certificate
    if case.goes_to.isdigit():
        assert answer["status"] == int(case.goes_to)
    else:
        said = json.loads(answer["body"])
        assert (answer["status"], said["server"]) == (200, ADDRESSES[case.goes_to])
        assert said["request"] == f"GET {case.path} HTTP/1.1"
        assert said["headers"]["x-forwarded-for"] == ["127.0.0.1"]
        assert said["headers"]["x-forwarded-proto"] == [case.scheme]


def test_client_may_speak_http_2(answers: dict):
    answer = answers[H2]
    assert (answer["alpn"], answer["certificate"]) == ("h2", "tls.example.org")
    said = json.loads(answer["body"])
    assert (said["server"], said["request"]) == (ADDRESSES["secure"], "GET /h2 HTTP/1.1")
