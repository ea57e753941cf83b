"""What runs inside the warden: its watch over the connection, its reading of the host, its reaping."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import docker.errors
import pytest

from orchestrator.render.guard import render_guard
from warden.clocks import read_clocks
from warden.config import decode_config
from warden.host import COMMENT, TABLE, decode_routes
from warden.reaper import reap
from warden.reviving import revive
from warden.watch import End, watch


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe()
    yield reading, writing
    for descriptor in (reading, writing):
        try:
            os.close(descriptor)
        except OSError:
            continue  # closed by the test


def watched(reading: int, expires_mono_s: float = 1e9, asked: list[str] | None = None) -> End:
    asks = asked if asked is not None else []
    return watch(reading, expires_mono_s=expires_mono_s, on_time=lambda: asks.append("time"))


def test_a_stream_that_ends_means_an_orphan(pipe: tuple[int, int]) -> None:
    os.close(pipe[1])
    assert watched(pipe[0]) is End.ORPHANED


def test_an_orchestrator_that_is_done_needs_no_reaping(pipe: tuple[int, int]) -> None:
    os.write(pipe[1], b"time\ndo")
    os.write(pipe[1], b"ne\n")
    asked: list[str] = []
    assert watched(pipe[0], asked=asked) is End.DONE
    assert asked == ["time"]


def test_a_run_that_expires_ends_although_somebody_is_there(pipe: tuple[int, int]) -> None:
    assert watched(pipe[0], expires_mono_s=0.0) is End.EXPIRED


def test_a_kept_run_outlives_the_stream_until_it_expires(pipe: tuple[int, int]) -> None:
    os.write(pipe[1], b"keep\n")
    os.close(pipe[1])
    ticks = iter([0.0, 0.0, 0.999, 2.0])
    assert watch(pipe[0], expires_mono_s=1.0, on_time=lambda: None, clock=lambda: next(ticks)) is End.EXPIRED


def test_of_several_readings_of_both_clocks_the_one_that_nothing_interrupted_counts() -> None:
    mono = iter([0, 900, 1000, 1010, 2000, 2500, 3000, 3100, 4000, 4900])
    wall = iter([50_000, 51_005, 52_000, 53_000, 54_000])
    assert read_clocks(lambda: next(mono), lambda: next(wall)) == (1005, 51_005)


def test_routes_of_every_table_are_reported_but_the_default_and_the_local_ones() -> None:
    text = """[
        {"dst": "default", "gateway": "192.0.2.1", "dev": "eth0"},
        {"dst": "192.0.2.0/24", "dev": "eth0", "scope": "link"},
        {"dst": "10.0.0.0/8", "gateway": "172.16.0.1", "dev": "tun0", "table": "51820"},
        {"type": "local", "dst": "192.0.2.2", "dev": "eth0", "table": "local"}
    ]"""
    assert decode_routes(text) == [
        {"to": "192.0.2.0/24", "dev": "eth0", "connected": True},
        {"to": "10.0.0.0/8", "dev": "tun0", "connected": False},
    ]


def test_a_host_without_routes_has_none() -> None:
    assert decode_routes("") == []


def test_the_guard_is_found_by_the_comment_that_the_orchestrator_gives_it() -> None:
    listed = "\n".join(line.replace("    ", "\t") for line in render_guard("a1b2", published_port=6443).splitlines())
    match = COMMENT.search(listed)
    assert match is not None
    assert match["run"] == "a1b2"
    assert TABLE.findall("table ip nat\ntable inet ingress_testbed_a1b2\n") == ["inet ingress_testbed_a1b2"]


def test_the_configuration_is_checked() -> None:
    config = decode_config('{"run_id": "r", "expires_in_s": 60, "settings": {"guard": "table"}}')
    assert (config.run_id, config.expires_in_s, config.guard) == ("r", 60.0, "table")
    with pytest.raises(ValueError, match="lacks 'settings'"):
        decode_config('{"run_id": "r", "expires_in_s": 60}')
    with pytest.raises(ValueError, match="expires_in_s is a number"):
        decode_config('{"run_id": "r", "expires_in_s": "soon", "settings": {"guard": ""}}')


@dataclass
class Thing:
    """A container, network or volume of docker's client."""

    id: str
    engine: "Things"
    role: str = "node"
    refusals: int = 0

    @property
    def labels(self) -> dict[str, str]:
        return {"ingress-testbed.role": self.role}

    def remove(self, **options: object) -> None:
        if self.refusals:
            self.refusals -= 1
            raise docker.errors.DockerException("device busy")
        self.engine.kept.remove(self)
        self.engine.removed.append(self.id)


@dataclass
class Things:
    kept: list[Thing] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    late: list[Thing] = field(default_factory=list)
    """Appear at the second look."""

    def list(self, **options: object) -> list[Thing]:
        assert options["filters"] == {"label": "ingress-testbed.run=r"}
        found = list(self.kept)
        self.kept.extend(self.late)
        self.late.clear()
        return found


@dataclass
class Client:
    containers: Things = field(default_factory=Things)
    networks: Things = field(default_factory=Things)
    volumes: Things = field(default_factory=Things)


@dataclass
class Ended:
    """A container of docker's client that can end and start."""

    state: dict[str, object]
    starts: int = 0

    @property
    def attrs(self) -> dict[str, object]:
        return {"State": dict(self.state)}

    def start(self) -> None:
        self.starts += 1


class Named(dict[str, Ended]):
    @property
    def containers(self) -> "Named":
        return self

    def get(self, key: str, default: object = None) -> Any:
        if key not in self:
            raise docker.errors.NotFound(key)
        return self[key]


def test_what_a_fault_ended_starts_again_unless_somebody_was_quicker() -> None:
    engine = Named(
        dead=Ended({"Running": True, "StartedAt": "1"}),
        alive=Ended({"Running": True, "StartedAt": "1"}),
        healed=Ended({"Running": True, "StartedAt": "1"}),
        struck_twice=Ended({"Running": True, "StartedAt": "1"}),
        removed=Ended({"Running": True, "StartedAt": "1"}),
    )

    def meanwhile(seconds: float) -> None:
        assert seconds == 30.0
        engine["dead"].state["Running"] = False
        engine["healed"].state["StartedAt"] = "2"
        engine["struck_twice"].state.update(Running=False, StartedAt="2")
        del engine["removed"]

    assert revive(engine, [*engine, "never-there"], 30.0, sleep=meanwhile) == ["dead"]
    assert {name: item.starts for name, item in engine.items() if item.starts} == {"dead": 1}


def reaped(client: Any) -> list[str]:
    return reap(client, "r", sleep=lambda seconds: None)


def test_the_reaper_removes_everything_but_itself() -> None:
    client = Client()
    client.containers.kept = [Thing("n1", client.containers), Thing("w", client.containers, role="warden")]
    client.networks.kept = [Thing("net", client.networks)]
    assert reaped(client) == []
    assert client.containers.removed == ["n1"]
    assert client.networks.removed == ["net"]
    assert [item.id for item in client.containers.kept] == ["w"]


def test_the_reaper_looks_again_for_what_the_engine_was_still_creating() -> None:
    client = Client()
    client.containers.late = [Thing("late", client.containers)]
    assert reaped(client) == []
    assert client.containers.removed == ["late"]


def test_the_reaper_tries_again_what_could_not_be_removed() -> None:
    client = Client()
    client.networks.kept = [Thing("net", client.networks, refusals=3)]
    assert reaped(client) == []
    assert client.networks.removed == ["net"]


def test_the_reaper_says_what_it_had_to_leave() -> None:
    client = Client()
    client.networks.kept = [Thing("net", client.networks, refusals=10**9)]
    assert reaped(client) == ["net: device busy"]
