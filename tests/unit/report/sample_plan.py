"""A small plan for the report tests: three paths, a node kill, a node added and removed."""

from collections.abc import Mapping
from ipaddress import IPv4Address, IPv4Network

from orchestrator.model.plan import (
    Attachment,
    ContainerPlan,
    Expectation,
    LoadClassPlan,
    LoadPlan,
    NetworkName,
    NetworkPlan,
    PathPlan,
    Plan,
    Role,
    SloPlan,
    StepPlan,
    TimingsPlan,
)

DURATION_S = 90.0
RATES_RPS: Mapping[tuple[str, str], float] = {
    ("static-route", "fresh"): 100.0,
    ("static-route", "keepalive"): 50.0,
    ("nodeport", "fresh"): 200.0,
    ("nodeport", "keepalive"): 50.0,
    ("service-port", "fresh"): 20.0,
}


def sample_plan() -> Plan:
    return Plan(
        scenario="node-kill",
        question="How long does each ingress path fail its clients when a node dies, and when the cluster is rescaled?",
        seed=7,
        slot=3,
        trial=1,
        timings=TimingsPlan(
            profile="fast",
            values={"node_monitor_grace_period_s": 4.0, "kubelet_status_update_s": 1.0, "check_interval_s": 0.5},
        ),
        cluster={"kube_proxy_mode": "nftables", "external_traffic_policy": "Cluster"},
        networks=tuple(
            NetworkPlan(name=name, subnet=IPv4Network(f"10.3.{index}.0/24"), router=IPv4Address(f"10.3.{index}.1"))
            for index, name in enumerate(NetworkName)
        ),
        containers=_containers(),
        objects=(),
        paths=_paths(),
        control_path="control",
        load=LoadPlan(
            duration_s=DURATION_S,
            timeout_s=1.0,
            in_flight_limit=2000,
            seed=11,
            classes=tuple(
                LoadClassPlan(path=path, connection_class=name, url="http://10.3.1.2/", rate_rps=rate, connections=8)
                for (path, name), rate in RATES_RPS.items()
            ),
        ),
        timeline=(
            StepPlan(step="kill-node-1", kind="node-kill", at_s=20.0, for_s=12.0, targets=("node-1",)),
            StepPlan(step="add-node-4", kind="scale", at_s=50.0, for_s=None, targets=("node-4",)),
            StepPlan(step="remove-node-4", kind="scale", at_s=68.0, for_s=None, targets=("node-4",), parameters={"drain": False}),
        ),
        slos=(
            SloPlan(path="nodeport", connection_class=None, kind="availability", text=">= 99%", operator=">=", threshold=0.99),
        ),
    )


def _containers() -> tuple[ContainerPlan, ...]:
    names = (
        ("gateway", Role.GATEWAY),
        ("loadbalancer", Role.LOADBALANCER),
        ("client", Role.CLIENT),
        *((f"node-{number}", Role.NODE) for number in range(1, 5)),
    )
    return tuple(
        ContainerPlan(
            name=name,
            role=role,
            attachments=(Attachment(network=NetworkName.NODES, address=IPv4Address(f"10.3.1.{index}")),),
            config={},
            at_bring_up=name != "node-4",
        )
        for index, (name, role) in enumerate(names, start=10)
    )


def _paths() -> tuple[PathPlan, ...]:
    return (
        PathPlan(
            name="static-route",
            kind="static-route",
            url="http://10.96.0.20/",
            expect=Expectation.OK,
            service="default/web",
            entry_nodes=("node-1",),
            settings={"next_hop": "node-1"},
        ),
        PathPlan(
            name="nodeport",
            kind="nodeport",
            url="http://10.3.0.11:30080/",
            expect=Expectation.OK,
            service="default/web",
            entry_nodes=(),
            frontend="nodeport",
            settings={"check": "http", "balance": "roundrobin"},
        ),
        PathPlan(
            name="service-port",
            kind="service-port-on-node",
            url="http://10.3.0.11:8080/",
            expect=Expectation.REFUSED,
            service="default/web",
            entry_nodes=(),
            frontend="service-port",
        ),
    )
