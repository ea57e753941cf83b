"""Containers for tests of faults: a subject that is struck, and two peers that look on."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count

import docker

from role_container import RoleContainer, private_network, render_config, started

ECHO = """
import socket
server = socket.create_server(("0.0.0.0", 7000), backlog=64)
while True:
    stream, _ = server.accept()
    stream.sendall(b"hello")
    stream.close()
"""
DIAL = """
import socket, sys, time
began = time.monotonic()
try:
    stream = socket.create_connection((sys.argv[1], 7000), timeout=float(sys.argv[2]))
    connected = time.monotonic()
    assert stream.recv(5) == b"hello"
    print("greeted", connected - began)
except TimeoutError:
    print("silence")
except OSError as error:
    print(type(error).__name__)
"""
SNAPSHOT = ("ip -json addr", "ip -json route", "nft --stateless list ruleset", "tc qdisc show")
"""Without counters: those of rules that stay count traffic."""
CAPABILITIES = ("NET_ADMIN", "NET_RAW", "KILL", "SETUID", "SETGID", "CHOWN", "DAC_OVERRIDE")
_numbers = count(1)


@dataclass(frozen=True, slots=True)
class Lab:
    """A subject that serves on port 7000, and two peers that do so too."""

    subject: RoleContainer
    peer: RoleContainer
    other: RoleContainer
    addresses: Mapping[str, str]

    def snapshot(self) -> list[str]:
        return [self.subject.run(*command.split()) for command in SNAPSHOT]

    def dial(self, source: RoleContainer | None = None, target: str = "subject", wait_s: float = 0.6) -> str:
        """`greeted SECONDS`, `silence`, or the error's name."""
        return (source or self.peer).run("python3", "-c", DIAL, self.addresses[target], str(wait_s)).strip()

    def received(self, container: RoleContainer, what: str = "rx_packets") -> int:
        return int(container.run("cat", f"/sys/class/net/eth0/statistics/{what}"))

    def arm(self, fault: str, parameters: Mapping[str, object], *, ttl_s: float = 60, ahead_s: float = 0.4) -> tuple[str, int]:
        """Id and instant, a moment from now. Containers are named, not addressed."""
        id = f"step-{next(_numbers)}"
        at_mono_ns = time.monotonic_ns() + round(ahead_s * 1e9)
        resolved = {key: self._resolve(key, value) for key, value in parameters.items()}
        answer = self.subject.ctl(op="arm", id=id, fault=fault, at_mono_ns=at_mono_ns, ttl_s=ttl_s, parameters=resolved)
        assert answer == {"ok": True, "state": "armed"}, answer
        return id, at_mono_ns

    def strike(self, fault: str, parameters: Mapping[str, object], *, ttl_s: float = 60, ahead_s: float = 0.4) -> str:
        """Arm, wait for the effect, return the id."""
        id, at_mono_ns = self.arm(fault, parameters, ttl_s=ttl_s, ahead_s=ahead_s)
        effective = self.subject.wait_event("fault-effective", id=id)
        assert effective["t_mono_ns"] >= at_mono_ns
        return id

    def heal(self, id: str) -> str:
        """Twice, because it must be idempotent; returns the evidence."""
        for _ in range(2):
            assert self.subject.ctl(op="heal", id=id) == {"ok": True, "state": "healed"}
        return str(self.subject.wait_event("fault-healed", id=id)["fields"]["evidence"])

    def _resolve(self, key: str, value: object) -> object:
        return [self.addresses[item] for item in value] if key in ("neighbours", "addresses") else value  # type: ignore[attr-defined]


@contextmanager
def fault_lab(
    engine: docker.DockerClient,
    *,
    ground: Sequence[str],
    processes: Sequence[Mapping[str, object]] = (),
    files: Mapping[str, str] | None = None,
) -> Iterator[Lab]:
    """Three containers on a network of their own; the subject with this ground, these processes and files."""
    echo = {"name": "echo", "argv": ["python3", "-c", ECHO], "restart": True}
    config = render_config(processes=[echo, *processes], fault_ground=list(ground))
    plain = render_config(processes=[echo])
    with (
        private_network(engine) as network,
        started(engine, "base", config=config, network=network, cap_add=CAPABILITIES, files=files) as subject,
        started(engine, "base", config=plain, network=network, cap_add=CAPABILITIES) as peer,
        started(engine, "base", config=plain, network=network, cap_add=CAPABILITIES) as other,
    ):
        members = {"subject": subject, "peer": peer, "other": other}
        for member in members.values():
            member.wait_event("booted")
        built = Lab(subject, peer, other, {name: member.address for name, member in members.items()})
        until_s = time.monotonic() + 10
        for source, target in ((peer, "subject"), (other, "subject"), (subject, "peer")):
            while not built.dial(source, target).startswith("greeted"):
                assert time.monotonic() < until_s, f"the server of {target} does not answer"
        yield built
