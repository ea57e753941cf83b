"""A load balancer in its container, with a cluster on loopback inside it (`lb_lab.py`), for tests of what it does."""

import datetime
import ipaddress
import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import docker
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from role_container import RoleContainer, render_config, started

HERE = Path(__file__).parent
PORT = 32213
LAB = ["python3", "/lab/lb_lab.py"]


def make_pki() -> dict[str, bytes]:
    """An authority and a certificate for 127.0.0.1, by path in the container."""
    now = datetime.datetime.now(datetime.UTC)

    def certificate(name: str, issuer: str, key, signer, extensions) -> x509.Certificate:
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(hours=1))
        )
        for extension in extensions:
            builder = builder.add_extension(extension, critical=True)
        return builder.sign(signer, hashes.SHA256())

    authority_key, server_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    authority = certificate(
        "test authority", "test authority", authority_key, authority_key, [x509.BasicConstraints(ca=True, path_length=None)]
    )
    loopback = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.IPv4Address("127.0.0.1"))])
    server = certificate("api", "test authority", server_key, authority_key, [loopback])
    pem = serialization.Encoding.PEM
    return {
        "/etc/testbed/pki/ca.crt": authority.public_bytes(pem),
        "/lab/server.crt": server.public_bytes(pem),
        "/lab/server.key": server_key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
    }


HOLD = """
import socket, time
stream = socket.create_connection(("127.0.0.1", 80)).makefile("rwb", buffering=0)
print(stream.readline().decode().strip(), flush=True)
try:
    while stream.write(b"x\\n") and stream.readline():
        time.sleep(0.02)
except OSError:
    pass
print(time.monotonic_ns(), flush=True)
"""
"""Keeps one connection busy until it is cut, and prints who answered and when it was cut."""


class Bench:
    """A load balancer in its container with a cluster on loopback."""

    def __init__(self, container: RoleContainer) -> None:
        self.container = container

    def tell(self, **request: object) -> int:
        """Carry out a command in the lab; returns when it was done (CLOCK_MONOTONIC, ns)."""
        return int(self.container.run(*LAB, "tell", json.dumps(request)))

    def add_node(self, number: int, **fields: object) -> None:
        address = f"127.0.1.{number}"
        self.tell(op="listen", address=address, port=PORT)
        self.tell(op="node", name=f"node-{number}", address=address, **fields)

    def wait(self, event: str, server: str, count: int = 1) -> dict:
        return self.container.wait_event(event, server=server, count=count)

    def connect(self, rate_rps: float, duration_s: float, host: str = "127.0.0.1") -> dict[str, int]:
        return json.loads(self.container.run(*LAB, "connect", str(rate_rps), str(duration_s), host))

    def annotations(self, service: str) -> dict[str, str]:
        return json.loads(self.container.run(*LAB, "tell", json.dumps({"op": "annotations", "name": service})))

    def told(self, name: str) -> dict:
        """What was told of an object: its Ingress' status, and the reasons of its events."""
        return json.loads(self.container.run(*LAB, "tell", json.dumps({"op": "told", "name": name})))

    def until(self, holds: Callable[[], bool], what: str, deadline_s: float = 15.0) -> None:
        until_s = time.monotonic() + deadline_s
        while not holds():
            assert time.monotonic() < until_s, f"{what}; log:\n{self.container.container.logs(tail=30).decode()}"
            time.sleep(0.05)

    def connecting(self, rate_rps: float, duration_s: float) -> Callable[[], dict[str, int]]:
        """Connections in the background; calling the result waits for their outcomes."""
        command = self.container.background(*LAB, "connect", str(rate_rps), str(duration_s))
        return lambda: json.loads(command.line(1, deadline_s=duration_s + 10))

    def haproxy_pid(self) -> int:
        return int(self.container.run("cat", "/run/testbed/haproxy.pid"))


@contextmanager
def started_bench(
    engine: docker.DockerClient, pki: Mapping[str, bytes], haproxy: Mapping[str, object], **settings: object
) -> Iterator[Bench]:
    """With one static frontend on 127.0.0.1:80, whose service exists already."""
    config = render_config(
        container="loadbalancer",
        role="loadbalancer",
        processes=[
            {"name": "lab", "argv": [*LAB, "serve"], "restart": False},
            {"name": "lb", "argv": ["python3", "-m", "lbagent"], "restart": True},
        ],
        settings={
            "api_url": "https://127.0.0.1:6443",
            "token": "secret",
            "public_ip": "127.0.0.1",
            "frontends": [
                {
                    "name": "nodeport",
                    "bind": "127.0.0.1:80",
                    "service": "default/service-test",
                    "port": "http",
                    "mode": "tcp",
                    "haproxy": dict(haproxy),
                }
            ],
            **settings,
        },
    )
    files = {
        "/lab/lb_lab.py": (HERE / "lb_lab.py").read_bytes(),
        "/lab/lb_fake_api.py": (HERE.parent / "component/lbagent/lb_fake_api.py").read_bytes(),
        **pki,
    }
    with started(
        engine,
        "loadbalancer",
        config=config,
        files=files,
        # The log socket's queue: HAProxy drops what does not fit, and ten lines are the kernel's default.
        sysctls={"net.unix.max_dgram_qlen": "1000"},
        cap_add=("NET_ADMIN", "NET_BIND_SERVICE", "KILL"),
    ) as container:
        container.wait_event("haproxy-started", deadline_s=30.0)
        until_s = time.monotonic() + 30
        while container.container.exec_run([*LAB, "tell", json.dumps({"op": "service", "node_port": PORT})]).exit_code:
            assert time.monotonic() < until_s, container.container.logs().decode()
            time.sleep(0.05)
        yield Bench(container)
