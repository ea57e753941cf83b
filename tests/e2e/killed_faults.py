"""Which faults are in place when their orchestrator is killed, and why the others are not: every kind is in one of the two."""

FAULTS = (
    {"target": "node-1", "fault": "node-kill"},
    {"target": "node-3", "fault": "node-pause"},
    {"target": "node-4", "fault": "link-down"},
    {"target": "node-5", "fault": "partition", "from": "control-plane"},
    {"target": "node-6", "fault": "loss", "ratio": "30%"},
    {"target": "node-7", "fault": "rate", "mbit_per_s": 1},
    {"target": "node-8", "fault": "delay", "delay": "50ms"},
    {"target": "node-9", "fault": "cpu-squeeze", "cpu": "20%"},
    {"target": "node-10", "fault": "agent-kill"},
    {"target": "node-11", "fault": "agent-pause"},
    {"target": "node-12", "fault": "kube-proxy-kill"},
    {"target": "node-13", "fault": "kube-proxy-pause"},
    {"fault": "lb-kill"},
    {"fault": "controlplane-down"},
)
"""Strike together."""
DRAINS = ({"target": "node-14", "fault": "node-drain"}, {"target": "node-2", "fault": "node-stop", "drain": True})
"""Before them, one after the other: a drain needs a control plane."""
SCALE_DOWN = {"scale": {"nodes": 14}, "drain": True, "drain_period": "20s"}
"""Begins after the drains, and is broken off while what still flows has time to end: as long as the strike takes, and more."""
NODES = 15
EXCUSED = {
    "conntrack-full": "expires in tests/integration/test_faults_processes.py; a table of 262,144 entries more for the machine",
    "gateway-reboot": "comes back by itself; off for good it would be as after node-kill, which the same revival starts",
    "lb-pause": "the fault of agent-pause in another process; the load balancer suffers lb-kill here",
    "lb-reload": "an order: nothing of it is in place",
    "no-op": "changes nothing",
    "node-reboot": "comes back by itself; off for good it would be as after node-kill, which the same revival starts",
    "node-replace": "the node is lost for good, as asked for",
    "pod-kill": "the kubelet starts a pod's program again by itself",
    "pod-not-ready": "expires in tests/integration/test_faults_processes.py; not every node has a pod here",
    "rolling-restart": "node-stop with a drain, node by node, with the same guards",
}
