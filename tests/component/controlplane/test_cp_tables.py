"""The columns people know."""

from datetime import UTC, datetime

import pytest
from cp_world import World, deployment, pod, service

from controlplane.api.tables import render_table
from controlplane.controllers.load_balancers import SERVED_IP
from controlplane.kinds.columns import describe_age, show_selector
from controlplane.kinds.registry import by_stored

NOW = datetime(2026, 1, 1, 0, 5, tzinfo=UTC)


def row(world: World, plural: str, name: str, *, wide: bool = False) -> dict:
    resource = by_stored(plural)
    table = render_table(resource, [world.get(plural, name)], now=NOW, metadata={})
    columns = [column["name"] for column in table["columnDefinitions"]]
    shown = {column["name"] for column in table["columnDefinitions"] if wide or column["priority"] == 0}
    return {name: cell for name, cell in zip(columns, table["rows"][0]["cells"], strict=True) if name in shown}


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-5, "<invalid>"), (-1, "0s"), (0, "0s"), (119, "119s"), (120, "2m"), (125, "2m5s"), (600, "10m"), (10_799, "179m"),
     (10_800, "3h"), (11_100, "3h5m"), (28_800, "8h"), (172_799, "47h"), (172_800, "2d"), (180_000, "2d2h"),
     (691_200, "8d"), (63_072_000, "2y"), (66_000_000, "2y33d"), (300_000_000, "9y")],
)  # fmt: skip
def test_age(seconds: float, text: str) -> None:
    assert describe_age(seconds) == text


def test_selector_is_shown_as_it_is_written() -> None:
    expressions = [{"key": "a", "operator": "In", "values": ["2", "1"]}, {"key": "b", "operator": "DoesNotExist"}]
    assert show_selector({"matchLabels": {"app": "web"}, "matchExpressions": expressions}) == "app=web,a in (1,2),!b"
    assert show_selector(None) == "<none>"


def test_service_line_of_each_type() -> None:
    world = World()
    world.create(service("cluster", clusterIP="10.3.241.152", ports=[{"port": 80}]))
    world.create(service("node", clusterIP="10.3.241.153", type="NodePort", ports=[{"port": 80, "nodePort": 32213}]))
    world.create(service("balanced", clusterIP="10.3.241.154", type="LoadBalancer", ports=[{"port": 80, "nodePort": 32214}]))
    world.change("services", "balanced", {"metadata": {"annotations": {SERVED_IP: "198.18.0.128"}}})
    world.create(service("headless", clusterIP="None"))
    rows = {name: row(world, "services", name) for name in ("cluster", "node", "balanced", "headless")}
    assert rows["cluster"] == {
        "Name": "cluster", "Type": "ClusterIP", "Cluster-IP": "10.3.241.152", "External-IP": "<none>", "Port(s)": "80/TCP", "Age": "5m",
    }  # fmt: skip
    assert rows["node"]["Port(s)"] == "80:32213/TCP"
    assert (rows["balanced"]["Type"], rows["balanced"]["External-IP"]) == ("LoadBalancer", "198.18.0.128")
    assert rows["headless"]["Cluster-IP"] == "None"


def test_load_balancer_without_an_address_is_pending() -> None:
    world = World(external_ip_pool=None)
    world.create(service(type="LoadBalancer"))
    assert row(world, "services", "web")["External-IP"] == "<pending>"


def test_node_line() -> None:
    world = World()
    world.add_node("node-1")
    world.change(
        "nodes", "node-1", {"spec": {"unschedulable": True}, "metadata": {"labels": {"node-role.kubernetes.io/edge": ""}}}
    )
    shown = row(world, "nodes", "node-1", wide=True)
    assert (shown["Status"], shown["Roles"], shown["Internal-IP"]) == ("Ready,SchedulingDisabled", "edge", "10.100.0.2")


def test_pod_line_from_pending_to_terminating() -> None:
    world = World()
    world.create(pod("p"))
    assert row(world, "pods", "p")["Status"] == "Pending"
    world.kubelets.ends_pods = False
    world.add_node("node-1")
    shown = row(world, "pods", "p", wide=True)
    assert (shown["Ready"], shown["Status"], shown["Restarts"], shown["Node"]) == ("1/1", "Running", "0", "node-1")
    world.delete("pods", "p")
    assert row(world, "pods", "p")["Status"] == "Terminating"


def test_workload_lines() -> None:
    world = World()
    world.add_node("node-1")
    world.create(deployment(replicas=2))
    shown = row(world, "deployments", "web", wide=True)
    assert (shown["Ready"], shown["Up-to-date"], shown["Available"], shown["Containers"], shown["Images"], shown["Selector"]) == (
        "2/2", 2, 2, "web", "nginx", "app=web",
    )  # fmt: skip


def test_endpoint_lines_show_three_and_count_the_rest() -> None:
    world = World()
    world.add_node("node-1")
    world.create(service())
    assert row(world, "endpoints", "web")["Endpoints"] == "<none>"
    world.create(deployment(replicas=5))
    name = next(i["metadata"]["name"] for i in world.store.items("endpointslices") if i["metadata"]["name"].startswith("web"))
    assert row(world, "endpoints", "web")["Endpoints"] == "10.0.0.2:8080,10.0.0.3:8080,10.0.0.4:8080 + 2 more..."
    assert row(world, "endpointslices", name)["Endpoints"] == "10.0.0.2,10.0.0.3,10.0.0.4 + 2 more..."
    assert row(world, "endpointslices", name)["Ports"] == "8080"


def test_ingress_line() -> None:
    world = World()
    backend = {"service": {"name": "web", "port": {"number": 80}}}
    rules = [
        {"host": f"{letter}.example.com", "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}
        for letter in "abcd"
    ]
    spec = {"ingressClassName": "haproxy", "rules": rules, "tls": [{"hosts": ["a.example.com"], "secretName": "tls"}]}
    world.create({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "i"}, "spec": spec})
    shown = row(world, "ingresses", "i")
    assert shown == {
        "Name": "i", "Class": "haproxy", "Hosts": "a.example.com,b.example.com,c.example.com + 1 more...",
        "Address": "", "Ports": "80, 443", "Age": "5m",
    }  # fmt: skip
