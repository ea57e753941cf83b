"""Runs a script inside a node's container with the modules of this source tree; kernel and tools are those of the image."""

import json
import uuid
from pathlib import Path

import docker

from orchestrator.testbed.labels import labels_for_test
from role_container import find_image, pack

HERE = Path(__file__).parent
SOURCE = HERE.parents[1] / "images/node/nodeagent"
# As compose/testbed.yaml gives the node.
CAPABILITIES = [
    "NET_ADMIN",
    "SYS_ADMIN",
    "NET_RAW",
    "NET_BIND_SERVICE",
    "SETUID",
    "SETGID",
    "CHOWN",
    "DAC_OVERRIDE",
    "KILL",
]
SYSCTLS = {
    "net.ipv4.ip_forward": "1",
    "net.ipv4.icmp_ratelimit": "0",
    "net.ipv4.conf.all.rp_filter": "2",
    "net.ipv4.conf.all.route_localnet": "1",
}


def run_lab(*scripts, arguments=(), deadline_s=30):
    """What the first of these scripts of tests/integration prints, decoded; the others are there to be imported."""
    client = docker.from_env()
    files = {f"/lab/nodeagent/{file.relative_to(SOURCE)}": file.read_bytes() for file in SOURCE.rglob("*.py")}
    files |= {f"/lab/{script}": (HERE / script).read_bytes() for script in scripts}
    container = client.containers.create(
        find_image(client, "node"),
        entrypoint=["sleep", str(2 * deadline_s)],
        name=f"itb-test-{uuid.uuid4().hex[:12]}",
        network="none",
        cap_drop=["ALL"],
        cap_add=CAPABILITIES,
        security_opt=["apparmor=unconfined"],
        sysctls=SYSCTLS,
        init=True,
        labels=dict(labels_for_test()),
    )
    try:
        container.put_archive("/", pack(files))
        container.start()
        argv = ["timeout", str(deadline_s), "python3", f"/lab/{scripts[0]}", *arguments]
        result = container.exec_run(argv, environment={"PYTHONPATH": "/lab:/opt/testbed"}, demux=True)
        output, errors = (part.decode() if part else "" for part in result.output)
        assert result.exit_code == 0, f"status {result.exit_code}: {errors}{output}"
        return json.loads(output)
    finally:
        container.remove(force=True)
        client.close()
