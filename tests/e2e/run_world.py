"""The containers of one run, looked into through the engine alone: what state they are in, and whom they reach."""

import json
from pathlib import Path
from typing import Any

import docker
from testbed_command import RUN_LABEL

ROLE_LABEL, CONTAINER_LABEL = "ingress-testbed.role", "ingress-testbed.container"

# Links and addresses, routes, queues and what faults put into netfilter, to the byte; processes of init's own and HAProxy's, and whether
# they are stopped. Left out is what another life or another pod changes: numbers of links, the links and the bridge of pods, pods that outlived their agent.
LOOK = """
import json, os, re, subprocess
def run(*argv):
    return subprocess.run(argv, capture_output=True, text=True, timeout=10).stdout.splitlines()
state = {"processes": {}}
for argv in (["ip", "-brief", "address"], ["ip", "route"], ["tc", "qdisc"], ["nft", "--stateless", "list", "ruleset", "netdev"]):
    state[" ".join(argv)] = sorted(re.sub("@if[0-9]+", "", line) for line in run(*argv) if not re.search("(^|dev )(veth|cbr0)", line))
for entry in filter(str.isdigit, os.listdir("/proc")):
    try:
        fields = open(f"/proc/{entry}/stat").read().rpartition(") ")[2].split()
        words = open(f"/proc/{entry}/cmdline").read().split("\\0")
    except OSError:
        continue
    name = os.path.basename(words[0])
    if name == "haproxy" or int(fields[1]) == 1 and not name.startswith("nginx"):
        state["processes"][name if name == "haproxy" else " ".join(words[:3])] = "stopped" if fields[0] in "Tt" else "running"
try:
    state["rule writer"] = open("/run/testbed/rule-writer").read().split()[1]
except OSError:
    state["rule writer"] = None
print(json.dumps(state))
"""

PROBE = """
import socket, sys, json
answers = []
for _ in range(int(sys.argv[3])):
    try:
        with socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=0.4) as stream:
            stream.sendall(b"GET / HTTP/1.1\\r\\nHost: probe\\r\\nConnection: close\\r\\n\\r\\n")
            text = b""
            while part := stream.recv(4096):
                text += part
        answers.append(text.decode().rpartition("\\r\\n\\r\\n")[2].strip() or "closed")
    except OSError as error:
        answers.append("silence" if isinstance(error, TimeoutError) else type(error).__name__)
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
        return {name: self._look(item) for name, item in self.containers().items()}

    def probe(self, target: str, port: int, *, source: str = "client", times: int = 1) -> list[str]:
        """Answers to HTTP requests, each on its own connection: the body, `silence`, or the name of the error."""
        status, output = self.containers()[source].exec_run(["python3", "-c", PROBE, target, str(port), str(times)])
        assert status == 0, output
        answers: list[str] = json.loads(output)
        return answers

    @staticmethod
    def _look(container: Any) -> Any:
        if container.status != "running":
            return container.status
        status, output = container.exec_run(["python3", "-c", LOOK])
        return json.loads(output) if status == 0 else output.decode()


def differences(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """Container -> what was and what is, of each part of the state that is not equal."""
    return {
        name: {key: (before[name][key], after[name][key]) for key in before[name] if before[name][key] != after[name][key]}
        if isinstance(after.get(name), dict)
        else after.get(name)
        for name in before
        if after.get(name) != before[name]
    }
