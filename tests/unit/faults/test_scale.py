"""Rescaling: what is planned, and the order in which it is carried out."""

import copy
import dataclasses
from collections.abc import Mapping
from ipaddress import IPv4Address
from typing import Any, cast

import pytest

from orchestrator.contracts import PlanContext
from orchestrator.errors import DeadlineError
from orchestrator.faults.scale import Scale, ScaleOptions
from orchestrator.model.plan import StepPlan
from orchestrator.testbed.fake_kube import FakeKube
from orchestrator.testbed.fake_world import FakeWorld
from tests.unit.faults.test_node_faults import CONTEXT
from tests.unit.testbed.scripted_cluster import node_kill_plan

S, DEPLOYMENT = "default/service-test", "service-test"
REPLICAS = {f"default/{DEPLOYMENT}": 6}


def context(*nodes: str) -> PlanContext:
    every = {f"node-{number}": IPv4Address(f"10.100.0.{number + 1}") for number in range(1, 8)}
    return dataclasses.replace(CONTEXT, nodes={node: every[node] for node in nodes}, all_nodes=every, replicas=REPLICAS)


def planned(options: Mapping[str, Any], *nodes: str) -> StepPlan:
    return Scale().plan("2-scale", 35, None, ScaleOptions.model_validate(options), context(*nodes))


THREE = ("node-1", "node-2", "node-3")


@pytest.mark.parametrize(
    ("nodes", "present", "add", "remove"),
    [
        (5, THREE, ["node-4", "node-5"], []),
        (3, ("node-1", "node-3"), ["node-2"], []),
        (2, ("node-1", "node-3", "node-5"), [], ["node-5"]),
        (1, THREE, [], ["node-2", "node-3"]),
        (3, THREE, [], []),
    ],
)
def test_the_lowest_free_numbers_come_and_the_highest_go(
    nodes: int, present: tuple[str, ...], add: list[str], remove: list[str]
) -> None:
    step = planned({"nodes": nodes, "pods": 1}, *present)
    assert (step.parameters["add"], step.parameters["remove"]) == (add, remove)
    assert step.targets == (*add, *remove)


@pytest.mark.parametrize(
    ("options", "for_s", "message"),
    [
        ({}, None, "scale: changes nothing; allowed: nodes, pods, or both"),
        ({"pods": 4, "drain": True}, None, "drain: no node leaves in this step"),
        ({"nodes": 5, "drain": True}, None, "drain: no node leaves in this step"),
        ({"nodes": 8}, None, "nodes: more nodes than addresses; found 8; allowed: up to 7"),
        ({"nodes": 5}, 10.0, "for: a rescale has no end"),
        ({"nodes": 3}, None, "scale: changes nothing: there are 3 nodes already; allowed: another number of nodes or pods"),
        ({"pods": 6}, None, "scale: changes nothing: there are 3 nodes and 6 pods of default/service-test already"),
        ({"nodes": 3, "pods": 6}, None, "scale: changes nothing"),
        ({"nodes": 5, "deployment": DEPLOYMENT}, None, "deployment: without `pods` none of its pods come or go"),
        (
            {"pods": 4, "deployment": "web"},
            None,
            "deployment: no such Deployment in the manifests; found 'web'; allowed: default/",
        ),
    ],
)
def test_what_cannot_be_planned_is_refused(options: dict[str, Any], for_s: float | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Scale().plan("1", 35, for_s, ScaleOptions.model_validate(options), context(*THREE))


@pytest.mark.parametrize(
    ("replicas", "options", "message"),
    [
        ({}, {"pods": 1}, "pods: there is no Deployment in the manifests; allowed: `nodes` alone"),
        ({"a/web": 1, "b/web": 1}, {"pods": 2}, "deployment: is needed, the manifests hold several; allowed: a/web, b/web"),
        (
            {"a/web": 1, "b/web": 1},
            {"pods": 2, "deployment": "web"},
            "deployment: the name of several Deployments in the manifests; found 'web'; allowed: a/web, b/web",
        ),
    ],
)
def test_whose_pods_change_must_be_known(replicas: dict[str, int | None], options: dict[str, Any], message: str) -> None:
    here = dataclasses.replace(context(*THREE), replicas=replicas)
    with pytest.raises(ValueError, match=message):
        Scale().plan("1", 35, None, ScaleOptions.model_validate(options), here)


def test_the_only_deployment_needs_no_name_and_one_of_several_no_namespace_where_it_is_clear() -> None:
    assert planned({"pods": 1}, *THREE).parameters["deployment"] == "default/service-test"
    here = dataclasses.replace(context(*THREE), replicas={"a/web": 1, "b/other": 1})
    step = Scale().plan("1", 35, None, ScaleOptions(pods=4, deployment="other"), here)
    assert step.parameters["deployment"] == "b/other"


def test_pods_whose_number_is_not_known_may_be_scaled_to_any() -> None:
    here = dataclasses.replace(context(*THREE), replicas={"default/web": None})
    assert Scale().plan("1", 35, None, ScaleOptions(pods=4), here).parameters["pods"] == 4


class Cluster:
    """Control plane, nodes and load balancer in memory, as far as a rescale sees them. They react at once, or not at all."""

    def __init__(self, *nodes: str, pods: int) -> None:
        self.kube = FakeKube(self.react)
        self.world = FakeWorld(node_kill_plan(), kube=self.kube)
        self.world.running.update(nodes)
        self.endpoints: dict[str, tuple[str, str]] = {}
        self.serial = 0
        self.deaf: set[str] = set()
        """Nodes whose rules are never updated."""
        deployment = next(item for item in self.world.plan.objects if item["kind"] == "Deployment")
        self.kube.put("deployments", copy.deepcopy(deployment))
        for node in nodes:
            self.join(node)
        self.kube.patch("deployments", DEPLOYMENT, {"spec": {"replicas": pods}}, namespace="default")
        self.world.calls.clear()
        self.kube.calls.clear()

    def nodes(self) -> list[str]:
        return [str(cast(Mapping[str, object], node["metadata"])["name"]) for node in self.kube.list("nodes")]

    def join(self, node: str) -> None:
        ready = {"conditions": [{"type": "Ready", "status": "True"}]}
        self.kube.put("nodes", {"kind": "Node", "metadata": {"name": node}, "spec": {}, "status": ready})
        self.world.told("controlplane/api", "node-ready", node=node)
        self.world.told("loadbalancer/lb", "server-up", backend="nodeport", server=node)
        self.commit()

    def react(self, verb: str, resource: str, manifest: Mapping[str, object]) -> None:
        metadata = cast(Mapping[str, Any], manifest["metadata"])
        if resource == "deployments":
            self.reconcile(int(cast(Mapping[str, Any], manifest["spec"])["replicas"]))
        elif resource == "pods" and verb == "delete":
            endpoint, node = self.endpoints.pop(metadata["name"])
            self.world.told("controlplane/api", "endpoint-removed", service=S, endpoint=endpoint, node=node)
            self.reconcile(self.replicas())
        elif resource == "nodes" and verb == "patch":
            if "node.kubernetes.io/exclude-from-external-load-balancers" in metadata.get("labels", {}):
                self.world.told("loadbalancer/lb", "server-drain", backend="nodeport", server=metadata["name"])
        elif resource == "nodes" and verb == "delete":
            self.world.told("controlplane/api", "node-deleted", node=metadata["name"])
            self.world.told("loadbalancer/lb", "server-removed", backend="nodeport", server=metadata["name"])

    def replicas(self) -> int:
        deployment = self.kube.get("deployments", DEPLOYMENT, namespace="default")
        assert deployment is not None
        return int(cast(Mapping[str, Any], deployment["spec"])["replicas"])

    def reconcile(self, replicas: int) -> None:
        while len(self.endpoints) > replicas:
            self.kube.delete("pods", min(self.endpoints, key=self.cost), namespace="default")
        while len(self.endpoints) < replicas:
            self.serial += 1
            name, node = f"{DEPLOYMENT}-5d9f-{self.serial}", self.emptiest()
            self.endpoints[name] = f"10.0.{node[-1]}.{self.serial}:8080", node
            self.kube.put("pods", {"kind": "Pod", "metadata": {"name": name, "namespace": "default"}, "spec": {"nodeName": node}})
            self.world.told("controlplane/api", "endpoint-ready", service=S, endpoint=self.endpoints[name][0], node=node)
        self.commit()

    def cost(self, pod: str) -> tuple[int, int]:
        """Pod deletion cost first, then the youngest."""
        found = self.kube.get("pods", pod, namespace="default")
        assert found is not None
        annotations = cast(Mapping[str, Any], found["metadata"]).get("annotations", {})
        cost = int(annotations.get("controller.kubernetes.io/pod-deletion-cost", "0"))
        return cost, -int(pod.rpartition("-")[2])

    def emptiest(self) -> str:
        schedulable = [
            str(cast(Mapping[str, Any], node["metadata"])["name"])
            for node in self.kube.list("nodes")
            if not cast(Mapping[str, Any], node["spec"]).get("unschedulable")
        ]
        return min(schedulable, key=lambda name: (sum(node == name for _, node in self.endpoints.values()), name))

    def commit(self) -> None:
        endpoints = sorted(endpoint for endpoint, _ in self.endpoints.values())
        for node in self.nodes():
            if node not in self.deaf:
                fields = {"node": node, "revision": 1, "endpoints": {f"{S}:http": endpoints}}
                self.world.told(f"{node}/agent", "rules-committed", **fields)

    def scale(self, options: Mapping[str, Any]) -> None:
        create = self.world.create

        def created(*containers: str) -> None:
            create(*containers)
            for container in containers:
                self.join(container)

        self.world.create = created  # type: ignore[method-assign]
        step = planned(options, *self.nodes())
        Scale().arm(step, self.world, self.world.clock.now_mono_ns())
        Scale().inject(step, self.world, self.world.clock.now_mono_ns())

    def spread(self) -> dict[str, int]:
        nodes = [node for _, node in self.endpoints.values()]
        return {node: nodes.count(node) for node in sorted(set(nodes))}


def test_scaling_up_creates_the_nodes_before_the_pods_so_that_they_spread() -> None:
    cluster = Cluster(*THREE, pods=6)
    cluster.scale({"nodes": 5, "pods": 10})
    assert [name for call, *names in cluster.world.calls if call == "create" for name in names] == ["node-4", "node-5"]
    assert cluster.spread() == {"node-1": 2, "node-2": 2, "node-3": 2, "node-4": 2, "node-5": 2}


def test_every_new_node_tells_when_it_was_requested_and_when_it_served() -> None:
    cluster = Cluster(*THREE, pods=6)
    cluster.scale({"nodes": 5, "pods": 10})
    told = [
        (item.event, item.fields["node"])
        for item in cluster.world.events
        if item.event.startswith("node-") and "step" in item.fields
    ]
    assert sorted(told) == [
        ("node-requested", "node-4"),
        ("node-requested", "node-5"),
        ("node-serving", "node-4"),
        ("node-serving", "node-5"),
    ]
    assert told.index(("node-requested", "node-5")) < told.index(("node-serving", "node-4"))


def test_a_rescale_is_effective_when_all_endpoints_are_served() -> None:
    cluster = Cluster(*THREE, pods=6)
    cluster.scale({"nodes": 5, "pods": 10})
    effective = cluster.world.history().first("step-effective")
    assert effective is not None
    assert (
        effective.fields["evidence"]
        == "5 nodes in the API; 10 endpoints of default/service-test ready and in the rules of every node"
    )


def test_a_rescale_whose_rules_are_not_programmed_says_where() -> None:
    cluster = Cluster(*THREE, pods=6)
    cluster.deaf.add("node-2")
    with pytest.raises(DeadlineError, match=r"rules of node-2 lack 10\.0\."):
        cluster.scale({"pods": 10})


def test_a_node_that_fails_while_others_are_scaled_is_not_waited_for() -> None:
    cluster = Cluster(*THREE, pods=6)
    cluster.deaf.add("node-2")
    later_ns = cluster.world.clock.now_mono_ns() + 5_000_000_000
    cluster.world.clock.at(later_ns, lambda: cluster.world.told("controlplane/api", "node-not-ready", node="node-2") and None)
    cluster.scale({"pods": 10})
    assert cluster.world.clock.now_mono_ns() == later_ns
    assert cluster.world.history().first("step-effective") is not None


def test_pods_alone_can_be_scaled_up_and_down() -> None:
    cluster = Cluster(*THREE, pods=6)
    cluster.scale({"pods": 9})
    assert sum(cluster.spread().values()) == 9
    cluster.scale({"pods": 2})
    assert sum(cluster.spread().values()) == 2
    assert cluster.world.calls == []


def test_a_drained_node_leaves_the_balancer_then_its_pods_then_the_api_then_the_world() -> None:
    cluster = Cluster(*THREE, "node-4", "node-5", pods=10)
    cluster.scale({"nodes": 3, "pods": 6, "drain": True})
    verbs = [(verb, resource) for verb, resource, name in cluster.kube.calls]
    order = [verbs.index(item) for item in (("patch", "nodes"), ("patch", "pods"), ("patch", "deployments"), ("delete", "nodes"))]
    assert order == sorted(order)
    assert [call for call in cluster.world.calls if call[0] != "control"] == [("remove", "node-4", "node-5")]
    assert cluster.spread() == {"node-1": 2, "node-2": 2, "node-3": 2}
    assert cluster.nodes() == list(THREE)
    gone = [item.fields["node"] for item in cluster.world.events if item.event == "node-gone"]
    assert gone == ["node-4", "node-5"]


def test_pods_that_the_deployment_keeps_on_a_leaving_node_are_evicted_and_made_anew_elsewhere() -> None:
    cluster = Cluster(*THREE, pods=6)
    cluster.scale({"nodes": 2, "drain": True})
    assert [name for verb, _, name in cluster.kube.calls if verb == "evict"] != []
    assert cluster.spread() == {"node-1": 3, "node-2": 3}


def test_a_node_is_not_removed_while_some_rule_still_leads_to_it() -> None:
    cluster = Cluster(*THREE, "node-4", pods=8)
    cluster.deaf.add("node-1")
    with pytest.raises(DeadlineError, match=r"rules of node-1 still have 10\.0\.4\."):
        cluster.scale({"nodes": 3, "pods": 6, "drain": True})
    assert "remove" not in [call for call, *_ in cluster.world.calls]


def test_the_drain_period_passes_before_the_node_is_deleted() -> None:
    cluster = Cluster(*THREE, pods=4)
    before_ns = cluster.world.clock.now_mono_ns()
    cluster.scale({"nodes": 2, "pods": 4, "drain": True, "drain_period": "7s"})
    assert cluster.world.clock.now_mono_ns() - before_ns == 7_000_000_000


def test_an_undrained_node_is_gone_first_and_reported_afterwards() -> None:
    cluster = Cluster(*THREE, "node-4", pods=8)
    removed_at: list[int] = []
    remove = cluster.world.remove

    def noted(*containers: str, grace_s: float) -> None:
        removed_at.append(len(cluster.kube.calls))
        assert grace_s == 0.0
        remove(*containers, grace_s=grace_s)

    cluster.world.remove = noted  # type: ignore[method-assign]
    cluster.scale({"nodes": 3, "pods": 6})
    assert removed_at == [0]
    assert "server-drain" not in cluster.world.names()
    # The Node first: what is made in place of its pods is not to come to it.
    verbs = [(verb, resource) for verb, resource, _ in cluster.kube.calls]
    assert verbs.index(("delete", "nodes")) < len(verbs) - 1 - verbs[::-1].index(("delete", "pods"))
    assert cluster.spread() == {"node-1": 2, "node-2": 2, "node-3": 2}


def test_a_node_name_that_comes_back_serves_anew() -> None:
    cluster = Cluster(*THREE, pods=6)
    cluster.scale({"nodes": 4, "pods": 8})
    cluster.scale({"nodes": 3, "pods": 6, "drain": True})
    cluster.world.clock.advance(cluster.world.clock.now_mono_ns() + 1)
    requested_ns = cluster.world.clock.now_mono_ns()
    cluster.scale({"nodes": 4, "pods": 8})
    serving = [item.t_mono_ns for item in cluster.world.events if item.event == "node-serving"]
    assert len(serving) == 2
    assert serving[1] >= requested_ns


def test_a_rescale_is_never_healed_away() -> None:
    cluster = Cluster(*THREE, pods=6)
    Scale().heal(planned({"pods": 1}, *THREE), cluster.world)
    assert cluster.kube.calls == []
