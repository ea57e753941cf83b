"""An engine in memory, for tests: same seam, same behaviour as far as the testbed relies on it, no time and no kernel.

A container runs a program: a function that is called at its start and prints through it. Calls can be made to fail.
"""

import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from ipaddress import IPv4Address
from typing import TypeVar

from orchestrator.errors import EngineError
from orchestrator.testbed.archive import files_in, pack
from orchestrator.testbed.engine import ContainerSpec, EngineEvent, Found, Labels, NetworkSpec, PoolOverlapError
from orchestrator.testbed.fake_container import (
    Command,
    FakeAttachment,
    FakeContainer,
    FakeExecution,
    FakeFeed,
    Line,
    Program,
    no_command,
    silent,
)

KILLED = 137
_T = TypeVar("_T")


class FakeEngine:
    """Implements the Engine seam. `fail_call` makes that call (counted from 1) raise EngineError, before or after its effect."""

    def __init__(self, *, programs: Mapping[str, Program] | None = None, command: Command = no_command) -> None:
        self.programs = dict(programs or {})
        """Image -> program."""
        self.command = command
        self.calls: list[str] = []
        self.fail_call: int | None = None
        self.fail_after_effect = False
        self.on_call: Callable[[int], None] = lambda number: None
        self._networks: dict[str, NetworkSpec] = {}
        self._containers: dict[str, FakeContainer] = {}
        self._feeds: list[tuple[Labels, queue.SimpleQueue[EngineEvent | None]]] = []
        self._lock = threading.RLock()
        self._serial = 0
        self._wall_ns = 0

    def container(self, name: str) -> FakeContainer:
        return next(item for item in self._containers.values() if name in (item.id, item.spec.name))

    def report(self, action: str, labels: Labels) -> None:
        self._wall_ns += 1
        event = EngineEvent(t_wall_ns=self._wall_ns, action=action, labels=labels)
        for wanted, feed in self._feeds:
            if _has(labels, wanted):
                feed.put(event)

    def forget(self, identity: str) -> None:
        self._containers.pop(identity, None)

    def create_network(self, spec: NetworkSpec) -> str:
        def create() -> str:
            for other in self._networks.values():
                if other.subnet.overlaps(spec.subnet):
                    raise PoolOverlapError(f"{spec.subnet} overlaps {other.subnet}")
            return self._keep(self._networks, spec)

        return self._call("create_network", create)

    def remove_network(self, network: str) -> None:
        def remove() -> None:
            spec = self._networks.get(network)
            if spec is not None and any(spec.name in dict(item.spec.networks) for item in self._containers.values()):
                raise EngineError(f"the engine could not remove network {spec.name}: it has active endpoints")
            self._networks.pop(network, None)

        self._call("remove_network", remove)

    def networks(self, labels: Labels) -> tuple[Found, ...]:
        found = [Found(id=key, name=spec.name, labels=spec.labels) for key, spec in self._networks.items()]
        return self._call("networks", lambda: tuple(item for item in found if _has(item.labels, labels)))

    def create_container(self, spec: ContainerSpec) -> str:
        def create() -> str:
            addresses = {item for other in self._containers.values() for item in other.spec.networks}
            if taken := addresses & set(spec.networks):
                raise EngineError(f"the engine could not create container {spec.name}: address in use: {sorted(map(str, taken))}")
            identity = self._next_id()
            self._containers[identity] = FakeContainer(id=identity, spec=spec, engine=self)
            return identity

        return self._call("create_container", create)

    def put_archive(self, container: str, archive: bytes) -> None:
        self._call("put_archive", lambda: self._get(container).files.update(files_in(archive)))

    def get_archive(self, container: str, path: str) -> bytes | None:
        def get() -> bytes | None:
            files = self._get(container).files
            below = {name: content for name, content in files.items() if name == path or name.startswith(f"{path}/")}
            parent = path.rpartition("/")[0]
            return pack({name.removeprefix(parent): content for name, content in below.items()}) if below else None

        return self._call("get_archive", get)

    def attach(self, container: str, *, stdin: bool = False) -> "FakeAttachment":
        def attach() -> FakeAttachment:
            lines: queue.SimpleQueue[Line | None] = queue.SimpleQueue()
            target = self._get(container)
            target.listeners.append(lines)
            return FakeAttachment(target, lines)

        return self._call("attach", attach)

    def replay(self, container: str) -> "FakeAttachment":
        def replay() -> FakeAttachment:
            lines: queue.SimpleQueue[Line | None] = queue.SimpleQueue()
            target = self._get(container)
            for line in target.said:
                lines.put(line)
            if target.running:
                target.listeners.append(lines)
            else:
                lines.put(None)
            return FakeAttachment(target, lines)

        return self._call("replay", replay)

    def start(self, container: str) -> None:
        def start() -> FakeContainer:
            target = self._get(container)
            target.running = target.started = True
            self.report("start", target.spec.labels)
            return target

        target = self._call("start", start)
        self.programs.get(target.spec.image, silent)(target)

    def stop(self, container: str, grace_s: float) -> None:
        self._call("stop", lambda: self._containers[container].exit(0) if container in self._containers else None)

    def remove_container(self, container: str) -> None:
        def remove() -> None:
            target = self._containers.get(container)
            if target is not None:
                target.exit(KILLED)
                self.forget(container)

        self._call("remove_container", remove)

    def containers(self, labels: Labels) -> tuple[Found, ...]:
        def find() -> tuple[Found, ...]:
            return tuple(
                Found(
                    id=item.id,
                    name=item.spec.name,
                    labels=item.spec.labels,
                    running=item.running,
                    never_started=not item.started,
                )
                for item in self._containers.values()
                if _has(item.spec.labels, labels)
            )

        return self._call("containers", find)

    def is_running(self, container: str) -> bool:
        return self._call("is_running", lambda: self._get(container).running)

    def host_port(self, container: str, port: int) -> int:
        published = {number for _, number in self._get(container).spec.published}
        if port not in published:
            raise EngineError(f"the engine did not publish port {port} of {container}")
        return 30000 + port

    def wait_removed(self, container: str, deadline_s: float) -> bool:
        return self._call("wait_removed", lambda: container not in self._containers)

    def execute(self, container: str, argv: Sequence[str]) -> "FakeExecution":
        return self._call("execute", lambda: FakeExecution(*self.command(self._get(container), argv)))

    def events(self, labels: Labels) -> "FakeFeed":
        def follow() -> FakeFeed:
            feed: queue.SimpleQueue[EngineEvent | None] = queue.SimpleQueue()
            self._feeds.append((dict(labels), feed))
            return FakeFeed(feed)

        return self._call("events", follow)

    def addresses(self) -> Mapping[str, IPv4Address]:
        return {item.spec.name: item.spec.networks[0][1] for item in self._containers.values() if item.spec.networks}

    def _get(self, container: str) -> FakeContainer:
        if container not in self._containers:
            raise EngineError(f"the engine could not find {container}: no such container")
        return self._containers[container]

    def _keep(self, kept: dict[str, NetworkSpec], spec: NetworkSpec) -> str:
        identity = self._next_id()
        kept[identity] = replace(spec)
        return identity

    def _next_id(self) -> str:
        self._serial += 1
        return f"id{self._serial}"

    def _call(self, name: str, act: Callable[[], _T]) -> _T:
        with self._lock:
            self.calls.append(name)
            self.on_call(len(self.calls))
            failing = len(self.calls) == self.fail_call
            if failing and not self.fail_after_effect:
                raise EngineError(f"the engine could not {name}: planned failure")
            result = act()
            if failing:
                raise EngineError(f"the engine could not {name}: planned failure after the effect")
            return result


def _has(labels: Labels, wanted: Labels) -> bool:
    return all(key in labels and value in ("", labels[key]) for key, value in wanted.items())
