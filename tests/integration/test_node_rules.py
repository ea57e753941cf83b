"""The node's rules in the real kernel: pods with nginx, a client in a namespace of its own, real connections (`node_lab.py`).

The modules are those of this source tree; kernel, libnftables, nginx and pyroute2 those of the image.
"""

import json
import uuid
from pathlib import Path

import docker
import pytest

from role_container import find_image, pack

pytestmark = pytest.mark.integration

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
SYSCTLS = {"net.ipv4.ip_forward": "1", "net.ipv4.icmp_ratelimit": "0", "net.ipv4.conf.all.rp_filter": "2"}
CLIENT, BRIDGE = "10.100.0.9", "10.0.1.1"


@pytest.fixture(scope="module")
def seen():
    client = docker.from_env()
    files = {f"/lab/nodeagent/{file.relative_to(SOURCE)}": file.read_bytes() for file in SOURCE.rglob("*.py")}
    files["/lab/node_lab.py"] = (HERE / "node_lab.py").read_bytes()
    container = client.containers.create(
        find_image(client, "node"),
        entrypoint=["sleep", "60"],
        name=f"itb-test-{uuid.uuid4().hex[:12]}",
        network="none",
        cap_drop=["ALL"],
        cap_add=CAPABILITIES,
        security_opt=["apparmor=unconfined"],
        sysctls=SYSCTLS,
        init=True,
        labels={"ingress-testbed.test": "1"},
    )
    try:
        container.put_archive("/", pack(files))
        container.start()
        result = container.exec_run(
            ["timeout", "30", "python3", "/lab/node_lab.py"], environment={"PYTHONPATH": "/lab"}, demux=True
        )
        output, errors = (part.decode() if part else "" for part in result.output)
        assert result.exit_code == 0, f"status {result.exit_code}: {errors}{output}"
        yield json.loads(output)
    finally:
        container.remove(force=True)
        client.close()


def pods(client):
    return [f"pod-a {client}", f"pod-b {client}"]


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        # Masqueraded, a pod sees the node's address on the bridge.
        ("cluster IP from a client", pods(BRIDGE)),
        ("cluster IP from the node", pods(BRIDGE)),
        ("node port", pods(BRIDGE)),
        ("node port from a pod", pods(BRIDGE)),
        ("node port from the node", pods(BRIDGE)),
        ("service port at the node's address", "ECONNREFUSED"),
        ("node port at the bridge's address", "ECONNREFUSED"),
        ("unknown port at the cluster IP", "ECONNREFUSED"),
        ("address that no service has", "timed out"),
        ("node port without endpoints", "ECONNREFUSED"),
        ("cluster IP without endpoints", "ECONNREFUSED"),
        ("policy Local", pods(CLIENT)),
        ("policy Local without local endpoints", "timed out"),
        ("policy Local without endpoints", "ECONNREFUSED"),
        ("load balancer IP", f"pod-a {CLIENT}"),
        ("external IP", f"pod-a {CLIENT}"),
        ("load balancer IP for others only", "timed out"),
        ("external IP beside source ranges", f"pod-a {CLIENT}"),
    ],
)
def test_connection_goes_where_kubernetes_says(seen, what, expected):
    assert seen[what] == expected


def test_pod_keeps_its_address_on_the_way_to_a_cluster_ip_unless_it_reaches_itself(seen):
    """pod-a asks. That pod-b's answer is translated back although both are on one bridge is br_netfilter's work."""
    if not seen["bridged packets are tracked"]:
        pytest.skip("br_netfilter is not loaded")
    assert seen["cluster IP from a pod"] == [f"pod-a {BRIDGE}", "pod-b 10.0.1.2"]


def test_established_connection_keeps_its_endpoint_when_that_is_removed(seen):
    assert seen["established over a change"] == [f"pod-a {BRIDGE}", f"pod-a {BRIDGE}", f"pod-b {BRIDGE}"]
    assert seen["established without endpoints"] == f"pod-a {BRIDGE}"


def test_affinity_holds_also_when_its_time_out_is_changed(seen):
    assert len(seen["affinity of 60 s"]) == 1
    assert seen["affinity of 30 s"] == seen["affinity of 60 s"]


def test_kernel_holds_the_same_after_every_change_as_after_a_fresh_start(seen):
    assert seen["contents after every change"] == seen["contents afresh"]
    assert any(name.startswith("chain firewall-") for name in seen["contents afresh"])
