"""Every fault that init carries out: what it is asked for, what its target and the kernel need, and what is refused."""

from dataclasses import replace
from typing import Any

import pydantic
import pytest

from orchestrator.errors import DeadlineError
from orchestrator.model.plan import StepPlan
from orchestrator.planner.fault_ground import features_of, on_ground
from orchestrator.registry import ACTIONS
from orchestrator.testbed.fake_kube import FakeKube
from orchestrator.testbed.fake_world import FakeWorld
from orchestrator.testbed.kernel_features import FEATURES
from testbed_init.faults import FAULTS
from testbed_init.ground import Ground
from tests.unit.faults.test_node_faults import CONTEXT, SECOND, evidence_of
from tests.unit.testbed.scripted_cluster import node_kill_plan

Options = dict[str, Any]
NODE: Options = {"target": "node-1"}
GATEWAY, CONTROLPLANE = "10.100.0.1", "10.100.0.250"
INSIDE: list[tuple[str, Options, str, str, Options]] = [
    (
        "partition",
        NODE | {"from": "control-plane"},
        "node-1",
        "partition",
        {"neighbours": [CONTROLPLANE], "addresses": [], "direction": "both"},
    ),
    (
        "partition",
        NODE | {"from": ["peers", "gateway", "load-balancer", "client"], "direction": "in"},
        "node-1",
        "partition",
        {"neighbours": [GATEWAY, "10.100.0.3"], "addresses": ["198.18.0.3", "198.18.0.2"], "direction": "in"},
    ),
    ("loss", NODE | {"ratio": "10%", "direction": "out"}, "node-1", "loss", {"ratio": 0.1, "direction": "out"}),
    ("delay", {"target": "loadbalancer", "delay": "50ms"}, "loadbalancer", "delay", {"delay_s": 0.05, "direction": "both"}),
    ("rate", NODE | {"mbit_per_s": 10}, "node-1", "rate", {"mbit_per_s": 10.0}),
    ("agent-kill", NODE, "node-1", "process-kill", {"process": "agent"}),
    ("agent-pause", NODE, "node-1", "process-pause", {"process": "agent"}),
    ("kube-proxy-kill", NODE, "node-1", "rule-writer", {"state": "ended"}),
    ("kube-proxy-pause", NODE, "node-1", "rule-writer", {"state": "paused"}),
    ("pod-not-ready", NODE | {"pods": 2}, "node-1", "pod-not-ready", {"count": 2}),
    ("conntrack-full", NODE, "node-1", "conntrack-full", {}),
    ("cpu-squeeze", NODE | {"cpu": "20%"}, "node-1", "cpu-squeeze", {"share_ratio": 0.2}),
    ("lb-kill", {}, "loadbalancer", "process-kill", {"process": "haproxy", "reviver": "lb", "revive_signal": "HUP"}),
    ("lb-pause", {}, "loadbalancer", "process-pause", {"process": "haproxy"}),
    ("controlplane-down", {}, "controlplane", "process-kill", {"process": "api"}),
    ("controlplane-down", {"mode": "pause"}, "controlplane", "process-pause", {"process": "api"}),
]
REBOOTS: list[tuple[str, Options, str]] = [("node-reboot", NODE, "node-1"), ("gateway-reboot", {}, "gateway")]


def planned(kind: str, options: Options, for_s: float | None = 15) -> StepPlan:
    action = ACTIONS[kind]
    return action.plan("1", 10, for_s, action.options.model_validate(options), CONTEXT)


@pytest.mark.parametrize(("kind", "fault"), [("kube-proxy-kill", "process-kill"), ("kube-proxy-pause", "process-pause")])
def test_a_kube_proxy_of_the_user_s_own_is_struck_as_the_process_that_it_is(kind: str, fault: str) -> None:
    context = replace(CONTEXT, has_own_kube_proxy=True)
    action = ACTIONS[kind]
    step = action.plan("1", 10, 15, action.options.model_validate(NODE), context)
    assert (step.parameters["fault"], step.parameters["parameters"]) == (fault, {"process": "kube-proxy"})


def place() -> FakeWorld:
    built = FakeWorld(node_kill_plan(), kube=FakeKube())
    built.running.update(("gateway", "loadbalancer", "controlplane"))
    # What the node's kubelet says of a pod that fails its probes.
    built.clock.at(
        built.clock.now_mono_ns() + 2 * SECOND, lambda: built.told("node-1/agent", "pod-not-ready", node="node-1") and None
    )
    built.on_control = lambda container, request: come_back(built) if request["op"] == "heal" else None
    return built


def come_back(here: FakeWorld) -> None:
    """Programs tell it once they are healed."""
    for source, event in (
        ("node-1/agent", "node-registered"),
        ("node-1/agent", "rules-committed"),
        ("loadbalancer/lb", "haproxy-started"),
    ):
        here.told(source, event, pid=42)


@pytest.mark.parametrize(("kind", "options", "target", "fault", "parameters"), INSIDE)
def test_init_of_the_target_is_asked_for_exactly_this(
    kind: str, options: Options, target: str, fault: str, parameters: Options
) -> None:
    here, step, action = place(), planned(kind, options), ACTIONS[kind]
    assert step.targets == (target,)
    at_ns = here.clock.now_mono_ns() + SECOND
    action.arm(step, here, at_ns)
    asked = here.armed["1"]
    assert (asked["fault"], asked["parameters"], asked["ttl_s"]) == (fault, parameters, 45)
    assert fault in FAULTS
    action.inject(step, here, at_ns)
    assert evidence_of(here, "step-effective")[0] == at_ns
    action.heal(step, here)
    action.heal(step, here)
    assert evidence_of(here, "step-healed")[1].startswith("as before")


@pytest.mark.parametrize(("kind", "options", "target", "fault", "parameters"), INSIDE)
def test_without_init_s_report_there_is_no_effect(
    kind: str, options: Options, target: str, fault: str, parameters: Options
) -> None:
    here, step = place(), planned(kind, options)
    here.without_effect.add(fault)
    ACTIONS[kind].arm(step, here, here.clock.now_mono_ns() + SECOND)
    with pytest.raises(DeadlineError, match=f"evidence of {kind} in {target}"):
        ACTIONS[kind].inject(step, here, here.clock.now_mono_ns() + SECOND)
    assert here.history().first("step-effective") is None


@pytest.mark.parametrize(("kind", "options", "target"), REBOOTS)
def test_a_reboot_is_off_and_on_again_in_one_step(kind: str, options: Options, target: str) -> None:
    here, step, action = place(), planned(kind, options, None), ACTIONS[kind]
    at_ns = here.clock.now_mono_ns() + SECOND
    action.arm(step, here, at_ns)
    action.inject(step, here, at_ns)
    assert here.is_running(target)
    assert evidence_of(here, "step-effective") == (at_ns, "eth0 down; the engine saw it die with status 99; booted 0 ms later")
    action.heal(step, here)
    assert here.calls.count(("start", target)) == 1


def test_a_reload_is_effective_when_the_successor_answers_and_counts_from_the_order() -> None:
    here, step, action = place(), planned("lb-reload", {}, None), ACTIONS["lb-reload"]
    at_ns = here.clock.now_mono_ns() + SECOND
    action.arm(step, here, at_ns)
    here.clock.at(at_ns + SECOND // 10, lambda: here.told("loadbalancer/lb", "haproxy-reloaded", version="2.6", pid=42) and None)
    action.inject(step, here, at_ns)
    assert evidence_of(here, "step-effective") == (at_ns, "eth0 down; pid 42 answers 100 ms later")


def test_a_reload_that_haproxy_refuses_is_no_reload() -> None:
    here, step, action = place(), planned("lb-reload", {}, None), ACTIONS["lb-reload"]
    action.arm(step, here, here.clock.now_mono_ns() + SECOND)
    with pytest.raises(DeadlineError, match="the successor of HAProxy"):
        action.inject(step, here, here.clock.now_mono_ns() + SECOND)


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (
            "partition",
            NODE | {"from": "node-9"},
            "from: cannot cut node-1 off from node-9; allowed: control-plane, gateway, node-2,",
        ),
        ("partition", NODE | {"from": "node-1"}, "from: cannot cut node-1 off from node-1"),
        ("partition", {"target": "loadbalancer", "from": "gateway"}, "target: no node 'loadbalancer' at that instant"),
        (
            "loss",
            {"target": "gateway", "ratio": 0.1},
            "target: no node 'gateway' at that instant; allowed: node-1, node-2, loadb",
        ),
        ("agent-kill", {"target": "node-9"}, "target: no node 'node-9' at that instant; allowed: node-1, node-2"),
        ("node-reboot", NODE, "for: a reboot takes as long as it takes"),
        ("gateway-reboot", {}, "for: a reboot takes as long as it takes"),
        ("lb-reload", {}, "for: a reload has no end"),
    ],
)
def test_what_cannot_be_planned_is_refused_with_the_key_and_what_is_allowed(kind: str, options: Options, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        planned(kind, options)


@pytest.mark.parametrize(
    ("kind", "options", "key"),
    [
        ("loss", NODE | {"ratio": "110%"}, "ratio"),
        ("loss", NODE | {"ratio": 0}, "ratio"),
        ("loss", NODE | {"ratio": 0.1, "direction": "up"}, "direction"),
        ("rate", NODE | {"mbit_per_s": 0}, "mbit_per_s"),
        ("delay", NODE | {"delay": "11s"}, "delay"),
        ("delay", NODE | {"delay": 50}, "delay"),
        ("controlplane-down", {"mode": "explode"}, "mode"),
        ("partition", NODE, "from"),
        ("lb-kill", NODE, "target"),
        ("cpu-squeeze", NODE | {"cpu": "100%"}, "cpu"),
        ("pod-kill", NODE | {"pods": 0}, "pods"),
    ],
)
def test_bad_options_name_their_key(kind: str, options: Options, key: str) -> None:
    with pytest.raises(pydantic.ValidationError) as caught:
        planned(kind, options)
    assert {error["loc"][0] for error in caught.value.errors()} == {key}


def test_what_faults_need_is_known_to_the_kernel_s_probe_and_to_init() -> None:
    steps = [planned(kind, options) for kind, options, *_ in INSIDE]
    assert {feature for step in steps for feature in step.kernel_features} <= {feature.name for feature in FEATURES}
    assert {ground for step in steps for ground in step.fault_ground} <= set(Ground)


def test_a_plan_names_each_feature_once_and_lays_ground_in_the_targets_alone() -> None:
    timeline = (
        planned("loss", NODE | {"ratio": 0.1}),
        planned("rate", NODE | {"mbit_per_s": 1}),
        planned("partition", {"target": "node-2", "from": "gateway"}),
    )
    assert features_of(timeline) == ("nf_tables egress", "tbf")
    plan = node_kill_plan()
    grounds = {item.name: item.config.get("fault_ground") for item in on_ground(timeline, *plan.containers)}
    assert grounds.pop("node-1") == ["frames", "rate"]
    assert grounds.pop("node-2") == ["frames"]
    assert set(grounds.values()) == {None}
