"""The plan decides everything, the same way every time, and refuses what cannot work."""

from pathlib import Path

import pytest

from orchestrator.errors import ScenarioError
from orchestrator.model.plan import Plan, Role
from orchestrator.planner import plan_run
from orchestrator.registry import KINDS
from orchestrator.scenario.loading import load_manifests, load_scenario

ROOT = Path(__file__).resolve().parents[3]
NODE_KILL = ROOT / "loadtests" / "scenarios" / "node-kill.yaml"

SMALL = """\
name: small
question: Does it work?
manifests: [service-test.yaml]
paths: {nodeport: {}}
duration: 20s
"""


def plan_file(file: Path, *, slot: int = 0, seed: int | None = None, **overrides: object) -> Plan:
    scenario = load_scenario(file, overrides)
    return plan_run(scenario, load_manifests(NODE_KILL, scenario.manifests), KINDS, file=file, slot=slot, seed=seed)


def plan_text(tmp_path: Path, text: str) -> Plan:
    file = tmp_path / "small.yaml"
    file.write_text(text, encoding="utf-8")
    return plan_file(file)


def test_default_slot_has_the_addresses_of_the_article() -> None:
    plan = plan_file(NODE_KILL)
    addresses = {item.name: str(item.address) for item in plan.containers}
    assert addresses["node-1"] == "10.100.0.2"
    assert addresses["node-2"] == "10.100.0.3"
    assert addresses["node-3"] == "10.100.0.4"
    assert addresses["client"].startswith("198.18.0.")
    assert plan.path("static-route").url == "http://10.3.241.152:80/"
    assert plan.path("nodeport").url == f"http://{addresses['loadbalancer']}:80/"
    gateway = plan.container("gateway")
    assert gateway.config["routes"] == [{"to": "10.3.240.0/20", "via": "10.100.0.2"}]


def test_same_scenario_seed_and_slot_give_the_same_plan() -> None:
    assert plan_file(NODE_KILL, slot=3, seed=9) == plan_file(NODE_KILL, slot=3, seed=9)
    assert repr(plan_file(NODE_KILL, slot=3, seed=9)) == repr(plan_file(NODE_KILL, slot=3, seed=9))


def test_slots_share_no_network() -> None:
    networks = [network.subnet for slot in range(5) for network in plan_file(NODE_KILL, slot=slot).networks]
    assert not any(a.overlaps(b) for index, a in enumerate(networks) for b in networks[index + 1 :])


def test_no_container_has_another_ones_address_or_the_routers() -> None:
    plan = plan_file(NODE_KILL)
    taken = [(a.network, a.address) for item in plan.containers for a in item.attachments]
    taken += [(network.name, network.router) for network in plan.networks]
    assert len(taken) == len(set(taken))


def test_nodes_that_the_timeline_adds_are_planned_but_not_brought_up() -> None:
    plan = plan_file(NODE_KILL)
    nodes = {item.name: item.at_bring_up for item in plan.of_role(Role.NODE)}
    assert nodes == {"node-1": True, "node-2": True, "node-3": True, "node-4": False, "node-5": False}


def test_every_path_gets_every_class_and_the_control_probe_its_own() -> None:
    plan = plan_file(NODE_KILL)
    assert {(item.path, item.connection_class) for item in plan.load.classes} == {
        (path, name) for path in ("static-route", "nodeport", "service-port-on-node") for name in ("new", "keepalive")
    } | {("control", "new")}
    assert all(item.rate_rps == 200.0 for item in plan.load.classes if item.path != "control")


def test_fast_timings_are_a_tenth_of_the_real_ones() -> None:
    fast = plan_file(NODE_KILL).timings
    real = plan_file(NODE_KILL, **{"cluster.timings": "kubernetes"}).timings
    assert real.values["node_monitor_grace_period_s"] == 50.0
    assert fast.values == {name: value / 10 for name, value in real.values.items()}


def test_two_settings_of_one_path_listen_side_by_side(tmp_path: Path) -> None:
    plan = plan_text(
        tmp_path,
        SMALL.replace("{nodeport: {}}", "{a: {kind: nodeport, haproxy: {fall: 2}}, b: {kind: nodeport, haproxy: {fall: 3}}}"),
    )
    frontends = plan.container("loadbalancer").config["settings"]["frontends"]  # type: ignore[index]
    assert [item["name"] for item in frontends] == ["a", "b"]
    assert len({item["bind"] for item in frontends}) == 2
    assert [item["haproxy"]["fall"] for item in frontends] == [2, 3]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "{nodeport: {}}",
            "{nodport: {}}",
            "paths.nodport: unknown ingress path; found 'nodport'; allowed: ",
        ),
        ("{nodeport: {}}", "{a: {kind: b}}", "paths.a.kind: unknown ingress path; found 'b'"),
        ("{nodeport: {}}", "{nodeport: {fall: 2}}", "paths.nodeport.fall: unknown key; allowed: haproxy, port, service"),
        ("{nodeport: {}}", "{nodeport: {haproxy: {inter: 5}}}", "paths.nodeport.haproxy.inter: is not a duration"),
        (
            "{nodeport: {}}",
            "{nodeport: {service: x}}",
            "paths.nodeport.service: no manifest has a Service 'x'; allowed: default/",
        ),
        ("{nodeport: {}}", "{nodeport: {port: x}}", "paths.nodeport.port: Service default/service-test has no port named 'x'"),
        (
            "{nodeport: {}}",
            "{static-route: {next_hop: node-9}}",
            "paths.static-route.next_hop: no such node 'node-9' at the start",
        ),
        ("{nodeport: {}}", "{static-route: {}, s: {kind: static-route}}", "paths.s: a gateway has one static route"),
        ("{nodeport: {}}", "{control: {kind: nodeport}}", "paths.control: 'control' is the control probe's name"),
        (
            "duration: 20s",
            "duration: 20s\ncluster: {nodes: 900}",
            "cluster.nodes: more nodes than addresses; found 900; allowed: 1 to",
        ),
        (
            "duration: 20s",
            "duration: 20s\ncluster: {service_network: 10.0.8.0/24}",
            "cluster.service_network: overlaps pod_network 10.0.0.0/16; found 10.0.8.0/24",
        ),
        (
            "duration: 20s",
            "duration: 20s\ncluster: {client_pool: 198.19.0.0/20}",
            "cluster.client_pool: overlaps the management networks 198.19.0.0/16",
        ),
        (
            "duration: 20s",
            "duration: 20s\ncluster: {service_network: 10.4.0.0/20}",
            "document 1.spec.clusterIP: outside the service network; found 10.3.241.152; allowed: 10.4.0.0/20",
        ),
        ("duration: 20s", "duration: 20s\nload: {rate: 5000/s}", "load.rate: 5000/s on 2 path classes is"),
        (
            "duration: 20s",
            "duration: 20s\ncluster: {timings: {node_monitor_grace_period: 1s, lease_renew: 2s}}",
            "cluster.timings.node_monitor_grace_period: 1s must be longer than lease_renew (2s)",
        ),
        (
            "duration: 20s",
            "duration: 20s\ntimeline: [{at: 3s, fault: nod}]",
            "timeline[0].fault: unknown fault; found 'nod'; allowed:",
        ),
        (
            "duration: 20s",
            "duration: 20s\ntimeline: [{at: 30s, fault: node-kill, target: node-1}]",
            "timeline[0].at: after the end of the load; found 30s; allowed: 0s to 19s",
        ),
        (
            "duration: 20s",
            "duration: 20s\ntimeline: [{at: 3s, for: 30s, fault: node-kill, target: node-1}]",
            "timeline[0].for: ends at 33s, with no time left to see a recovery; found 30s; allowed: up to 16s",
        ),
        (
            "duration: 20s",
            "duration: 20s\ntimeline: [{at: 3s, for: 5s, fault: node-kill, target: node-8}]",
            "timeline[0].target: ",
        ),
        (
            "duration: 20s",
            "duration: 20s\ntimeline: [{at: 3s, for: 5s, fault: node-kill, target: node-1, fore: 1}]",
            "timeline[0].fore: unknown key; allowed: ",
        ),
        (
            "duration: 20s",
            "duration: 20s\ntimeline: [{at: 3s, for: 5s, fault: node-kill, target: node-1}, {at: 5s, for: 1s, fault: node-kill, target: node-1}]",
            "timeline[1].at: strikes node-1 while timeline[0] still does; found 5s; allowed: from 10s on",
        ),
        ("duration: 20s", "duration: 20s\ntimeline: [{at: 3s, scale: {nodes: 900}}]", "timeline[0]"),
        (
            "duration: 20s",
            "duration: 20s\nslo: {x: {availability: '>= 9%'}}",
            "slo.x: no such path; found 'x'; allowed: nodeport",
        ),
        (
            "duration: 20s",
            "duration: 20s\nslo: {nodeport/udp: {availability: '>= 9%'}}",
            "slo.nodeport/udp: no such connection class; found 'udp'; allowed: new, keepalive",
        ),
        ("duration: 20s", "duration: 20s\nslo: {nodeport: {availabilty: '>= 9%'}}", "slo.nodeport.availabilty: "),
        ("duration: 20s", "duration: 20s\nslo: {nodeport: {availability: 'many'}}", "slo.nodeport.availability: "),
    ],
)
def test_what_cannot_work_is_refused_with_key_and_what_is_allowed(tmp_path: Path, old: str, new: str, expected: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        plan_text(tmp_path, SMALL.replace(old, new))
    assert expected in str(caught.value)


def test_every_problem_of_a_stage_is_told_at_once(tmp_path: Path) -> None:
    text = SMALL.replace("{nodeport: {}}", "{a: {kind: x}, b: {kind: y}}")
    with pytest.raises(ScenarioError) as caught:
        plan_text(tmp_path, text)
    assert len(caught.value.problems) == 2


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("cluster.pod_network", "127.0.0.0/8", "cluster.pod_network: is not for hosts of a network"),
        ("cluster.pod_network", "224.0.0.0/16", "cluster.pod_network: is not for hosts of a network"),
        ("cluster.client_pool", "192.0.2.0/24", "cluster.client_pool: is not private to this machine; found 192.0.2.0/24"),
        ("cluster.node_pool", "8.8.0.0/16", "cluster.node_pool: is not private to this machine; found 8.8.0.0/16"),
        (
            "paths.nodeport.haproxy.inter",
            "100us",
            "paths.nodeport.haproxy.inter: is too small; found 100us; allowed: 1ms or more",
        ),
        (
            "paths.nodeport.haproxy.fall",
            10**12,
            "paths.nodeport.haproxy.fall: is too large; found 1000000000000; allowed: a whole number from 1 to 1000",
        ),
    ],
)
def test_values_that_no_testbed_can_have_are_refused(key: str, value: object, message: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        plan_file(NODE_KILL, **{key: value})
    assert message in str(caught.value)


def test_a_wrong_option_of_a_path_is_the_only_problem_told() -> None:
    with pytest.raises(ScenarioError) as caught:
        plan_file(NODE_KILL, **{"paths.nodeport.haproxy.fal": 2})
    assert [problem.key for problem in caught.value.problems] == ["paths.nodeport.haproxy.fal"]


@pytest.mark.parametrize(
    ("objective", "value", "about"),
    [
        ("lost_draining", "<= 0", "rescale"),
        ("lost_scaling_up", "<= 0", "rescale"),
        ("convergence", "<= 8s", "fault"),
        ("converged", True, "fault"),
    ],
)
def test_an_objective_about_what_never_happens_is_refused(tmp_path: Path, objective: str, value: object, about: str) -> None:
    with pytest.raises(ScenarioError, match=rf"slo\.nodeport\.{objective}: is about a {about}, and the timeline has none"):
        plan_text(
            tmp_path, SMALL + f"slo: {{nodeport: {{{objective}: {str(value).lower() if value is True else repr(value)}}}}}\n"
        )
