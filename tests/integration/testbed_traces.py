"""What Services and Ingresses leave on the machines of a testbed: rules, routes, addresses, HAProxy's configuration and certificates."""

import re

from orchestrator.model.plan import Role
from orchestrator.testbed.world import Testbed

RUNTIME = """
import socket, sys
for line in sys.argv[1:]:
    stream = socket.socket(socket.AF_UNIX)
    stream.connect("/run/testbed/haproxy.sock")
    stream.sendall(line.encode() + b"\\n")
    answer = b""
    while part := stream.recv(65536):
        answer += part
    rows = (row.split() for row in answer.decode().splitlines())
    print("\\n".join(sorted(row[-1] if line == "show ssl cert" else " ".join(row[1:4:2]) for row in rows if row)))
"""
"""Files of certificates, and every server with its backend, as HAProxy has them in memory."""
_COMMON = {"addresses": "ip -brief -4 address", "routes": "ip -4 route"}
_LOOKS = {
    Role.GATEWAY: {**_COMMON, "bird": "cat /etc/testbed/bird.conf 2>/dev/null || true"},
    Role.NODE: {**_COMMON, "nft": "nft --stateless list ruleset", "iptables": "iptables-save | grep -v '^[#:]' || true"},
    Role.LOADBALANCER: {
        **_COMMON,
        "haproxy.cfg": "grep -v '^    server ' /run/testbed/haproxy.cfg",
        "files": "find /run/testbed/ingress -type f | xargs --no-run-if-empty sha256sum",
    },
}


def read_traces(world: Testbed) -> dict[str, list[str]]:
    """By `container what`: what was told, in an order of its own, for the kernel's order of a set is none."""
    found = {}
    for role, looks in _LOOKS.items():
        for container in (item.name for item in world.plan.of_role(role) if item.at_bring_up):
            for what, command in looks.items():
                shown = world.execute(container, ["sh", "-c", command], deadline_s=10)
                # Links of pods are named for their pods, and come and go with them.
                lines = (line.strip() for line in re.split(r"[\n,]", shown) if not re.match("veth", line))
                found[f"{container} {what}"] = sorted(lines)
            if role is Role.LOADBALANCER:
                argv = ["python3", "-c", RUNTIME, "show ssl cert", "show servers state"]
                found[f"{container} memory"] = world.execute(container, argv, deadline_s=10).split("\n")
    return found


def differences(before: dict[str, list[str]], after: dict[str, list[str]]) -> dict[str, list[str]]:
    """Where something came (`+`) or went (`-`)."""
    found = {
        name: [f"- {line}" for line in before[name] if line not in after[name]]
        + [f"+ {line}" for line in after[name] if line not in before[name]]
        for name in before
    }
    return {name: lines for name, lines in found.items() if lines}
