"""Faults of links in real containers: the effect on what a peer sees, and every table as it was when they are healed."""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import docker
import pytest

from fault_lab import Lab, fault_lab

pytestmark = pytest.mark.integration

SEND = """
import socket, sys, time
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for number in range(int(sys.argv[2])):
    sock.sendto(b"x" * int(sys.argv[3]), (sys.argv[1], 9))
    if number % 50 == 0:
        time.sleep(0.001)
"""
FLOOD = """
import socket, sys, time
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
end = time.monotonic() + float(sys.argv[2])
while time.monotonic() < end:
    for _ in range(4):
        sock.sendto(b"x" * 1200, (sys.argv[1], 9))
    time.sleep(0.001)
"""


@pytest.fixture(scope="module")
def engine():
    client = docker.from_env()
    yield client
    client.close()


@pytest.fixture(scope="module")
def lab(engine) -> Iterator[Lab]:
    with fault_lab(engine, ground=["frames", "output", "rate", "delay"]) as built:
        yield built


@dataclass(frozen=True, slots=True)
class Case:
    """A fault, and what must be so while it lasts; `before` must be so without it."""

    fault: str
    parameters: dict[str, object]
    during: Callable[[Lab], None]
    before: Callable[[Lab], None]

    @property
    def name(self) -> str:
        return f"{self.fault}-{self.parameters.get('direction', 'both')}-{'-'.join(self.parameters)}"


def reaches(lab: Lab) -> None:
    assert lab.dial().startswith("greeted")


def peer_cut_off(lab: Lab) -> None:
    assert lab.dial() == "silence"
    assert lab.dial(lab.other).startswith("greeted")


def peer_cut_off_one_way(lab: Lab) -> None:
    """What goes out is lost: requests arrive, answers do not."""
    arrived = lab.received(lab.subject)
    assert lab.dial() == "silence"
    assert lab.received(lab.subject) > arrived


def all_lost(lab: Lab) -> None:
    assert lab.dial() == "silence"
    assert lab.dial(lab.other) == "silence"


def loses_a_part(lab: Lab) -> None:
    assert 0.4 < lost_ratio(lab) < 0.6


def loses_nothing(lab: Lab) -> None:
    assert lost_ratio(lab) < 0.01
    reaches(lab)


def lost_ratio(lab: Lab) -> float:
    sent, before = 1000, lab.received(lab.peer)
    lab.subject.run("python3", "-c", SEND, lab.addresses["peer"], str(sent), "100")
    return 1 - (lab.received(lab.peer) - before) / sent


def is_narrow(lab: Lab) -> None:
    assert throughput_bps(lab) < 1.3e6


def is_wide(lab: Lab) -> None:
    assert throughput_bps(lab) > 3e6


def throughput_bps(lab: Lab) -> float:
    before, began = lab.received(lab.peer, "rx_bytes"), time.monotonic()
    lab.subject.run("python3", "-c", FLOOD, lab.addresses["peer"], "0.6")
    return (lab.received(lab.peer, "rx_bytes") - before) * 8 / (time.monotonic() - began)


def takes_longer(lab: Lab) -> None:
    """There and back: SYN waits on its way in, SYN-ACK on its way out."""
    word, took_s = lab.dial(wait_s=3).split()
    assert word == "greeted"
    assert 0.2 <= float(took_s) < 1.0


def takes_no_time(lab: Lab) -> None:
    word, took_s = lab.dial(wait_s=3).split()
    assert word == "greeted"
    assert float(took_s) < 0.1


CASES = [
    Case("partition", {"neighbours": ["peer"]}, peer_cut_off, reaches),
    Case("partition", {"neighbours": ["peer"], "direction": "out"}, peer_cut_off_one_way, reaches),
    Case("partition", {"addresses": ["peer"]}, peer_cut_off, reaches),
    Case("partition", {"addresses": ["peer"], "direction": "in"}, peer_cut_off, reaches),
    Case("loss", {"ratio": 0.5, "direction": "out"}, loses_a_part, loses_nothing),
    Case("loss", {"ratio": 1.0, "direction": "in"}, all_lost, reaches),
    Case("rate", {"mbit_per_s": 1}, is_narrow, is_wide),
    Case("delay", {"delay_s": 0.1}, takes_longer, takes_no_time),
    Case("link-down", {}, all_lost, reaches),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_link_fault_strikes_and_leaves_no_trace_when_healed(lab: Lab, case: Case) -> None:
    lab.subject.run("ip", "neigh", "flush", "nud", "failed")
    case.before(lab)
    before = lab.snapshot()
    id = lab.strike(case.fault, case.parameters)
    case.during(lab)
    lab.heal(id)
    assert lab.snapshot() == before
    case.before(lab)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_link_fault_that_nobody_heals_expires_and_leaves_no_trace(lab: Lab, case: Case) -> None:
    """Whoever armed it has been killed: nobody asks for anything any more."""
    before = lab.snapshot()
    id = lab.strike(case.fault, case.parameters, ttl_s=0.3)
    lab.subject.wait_event("fault-expired", id=id)
    assert lab.snapshot() == before


def test_two_faults_of_one_container_go_one_by_one(lab: Lab) -> None:
    before = lab.snapshot()
    first = lab.strike("partition", {"addresses": ["peer"]})
    second = lab.strike("partition", {"addresses": ["other"]})
    assert (lab.dial(), lab.dial(lab.other)) == ("silence", "silence")
    lab.heal(first)
    assert lab.dial().startswith("greeted")
    assert lab.dial(lab.other) == "silence"
    lab.heal(second)
    assert lab.snapshot() == before


def test_the_evidence_of_a_healed_loss_is_what_the_kernel_counted(lab: Lab) -> None:
    id = lab.strike("loss", {"ratio": 0.5, "direction": "out"})
    lab.subject.run("python3", "-c", SEND, lab.addresses["peer"], "200", "100")
    words = lab.heal(id).split()
    lost, seen = int(words[words.index("out:") + 1]), int(words[words.index("of") + 1])
    assert seen >= 200
    assert 0 < lost < seen


def test_a_neighbour_that_does_not_answer_cannot_be_cut_off(lab: Lab) -> None:
    address = lab.addresses["peer"].rsplit(".", 1)[0] + ".222"
    at_mono_ns = time.monotonic_ns() + 400_000_000
    lab.subject.ctl(
        op="arm", id="nobody", fault="partition", at_mono_ns=at_mono_ns, ttl_s=9, parameters={"neighbours": [address]}
    )
    failed = lab.subject.wait_event("fault-failed", id="nobody")
    assert failed["fields"]["evidence"] == f"prepare: partition: no neighbour answers at {address}"


def test_ground_is_laid_when_a_fault_is_armed_where_the_plan_did_not_lay_it(lab: Lab) -> None:
    assert json.loads(lab.peer.run("tc", "-json", "qdisc", "show", "dev", "eth0"))[0]["kind"] != "tbf"
    answer = lab.peer.ctl(
        op="arm", id="late", fault="rate", at_mono_ns=time.monotonic_ns(), ttl_s=0.2, parameters={"mbit_per_s": 5}
    )
    assert answer["ok"] is True
    lab.peer.wait_event("fault-expired", id="late")
    assert json.loads(lab.peer.run("tc", "-json", "qdisc", "show", "dev", "eth0"))[0]["kind"] == "tbf"
