"""The containers of one run, looked into through the engine alone: what state they are in, and whom they reach."""

import json
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import docker
from testbed_command import RUN_LABEL

from tests.kept_output import execute

ROLE_LABEL, CONTAINER_LABEL = "ingress-testbed.role", "ingress-testbed.container"

LOOK = (Path(__file__).parent / "container_state.py").read_text(encoding="utf-8")
RULES_OF_PODS = ("nft ip kube-proxy", "nft ip cni_hostport")
"""Parts of a node's state that name its cluster's pods by their addresses: others as soon as a pod has another life."""
LOOKS_AT_ONCE = 4

PROBE = """
import json, socket, sys, time
host, port, times, every_s = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
answers = []
for _ in range(times):
    began_s = time.monotonic()
    try:
        with socket.create_connection((host, port), timeout=0.5) as stream:
            stream.sendall(b"GET / HTTP/1.1\\r\\nHost: probe\\r\\nConnection: close\\r\\n\\r\\n")
            text = b""
            while part := stream.recv(4096):
                text += part
        answers.append(text.decode().rpartition("\\r\\n\\r\\n")[2].strip() or "closed")
    except OSError as error:
        answers.append("silence" if isinstance(error, TimeoutError) else type(error).__name__)
    answers[-1] = [answers[-1], time.monotonic() - began_s]
    time.sleep(every_s)
print(json.dumps(answers))
"""


class RunWorld:
    def __init__(self, engine: docker.DockerClient, directory: Path) -> None:
        self._engine = engine
        self._run_id = directory.resolve().name
        self.plan: dict[str, Any] = json.loads((directory / "plan.json").read_text(encoding="utf-8"))

    def containers(self) -> dict[str, Any]:
        """Every container of the run but its warden, running or not, by name."""
        found = self._engine.containers.list(all=True, filters={"label": f"{RUN_LABEL}={self._run_id}"}, ignore_removed=True)
        return {item.labels[CONTAINER_LABEL]: item for item in found if item.labels[ROLE_LABEL] != "warden"}

    def started_at(self) -> dict[str, str]:
        """When the engine last started each container."""
        return {name: item.attrs["State"]["StartedAt"] for name, item in self.containers().items()}

    def address(self, container: str, network: str = "nodes") -> str:
        (planned,) = (item for item in self.plan["containers"] if item["name"] == container)
        return next(str(item["address"]) for item in planned["attachments"] if item["network"] == network)

    def state(self) -> dict[str, Any]:
        """By container; of one that does not run, its status."""
        containers = self.containers()
        with ThreadPoolExecutor(max_workers=LOOKS_AT_ONCE) as looking:
            return dict(zip(containers, looking.map(self._look, containers.values()), strict=True))

    def probe(self, target: str, port: int, *, source: str = "client", times: int = 1, every_s: float = 0.0) -> list[str]:
        """Answers to HTTP requests, each on its own connection: the body, `silence`, or the name of the error."""
        return [answer for answer, _ in self.time(target, port, source=source, times=times, every_s=every_s)]

    def time(
        self, target: str, port: int, *, source: str = "client", times: int = 1, every_s: float = 0.0
    ) -> list[tuple[str, float]]:
        """The same, and how long each took in s."""
        output = self.execute(source, "python3", "-c", PROBE, target, str(port), str(times), str(every_s))
        return [(str(answer), float(took_s)) for answer, took_s in json.loads(output)]

    def execute(self, container: str, *argv: str) -> str:
        """Standard output of a command in a container."""
        found = self._engine.containers.get(f"itb-{self._run_id}-{container}")
        status, output, errors = execute(found, argv)
        assert status == 0, errors + output
        return output

    @staticmethod
    def _look(container: Any) -> Any:
        if container.status != "running":
            return container.status
        status, output, errors = execute(container, ["python3", "-c", LOOK])
        return json.loads(output) if status == 0 else errors


def differences(before: dict[str, Any], after: dict[str, Any], *, less: Collection[str] = ()) -> dict[str, Any]:
    """Container -> what was and what is, of each part of the state that is not equal; `less`: parts that do not count."""
    found = {name: _changes(before.get(name), after.get(name), less) for name in {**before, **after}}
    return {name: changes for name, changes in found.items() if changes}


def _changes(was: Any, is_now: Any, less: Collection[str]) -> Any:
    if not isinstance(was, dict) or not isinstance(is_now, dict):
        return None if was == is_now else (was, is_now)
    parts = [part for part in {**was, **is_now} if part not in less and was.get(part) != is_now.get(part)]
    return {part: _unequal(was.get(part), is_now.get(part)) for part in parts}


def _unequal(was: Any, is_now: Any) -> Any:
    """Of lines, those that only one side has."""
    if isinstance(was, list) and isinstance(is_now, list):
        return [line for line in was if line not in is_now], [line for line in is_now if line not in was]
    return was, is_now
