"""Which nodes become servers, and at which port."""

from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from lbagent.cluster import EXCLUDE_LABEL, TO_BE_DELETED_TAINT, Cluster, desired_servers, find_node_port
from lbagent.frontends import Backend, Check
from lbagent.servers import Server

BACKEND = Backend(name="nodeport", service="default/service-test", port="http", server_options=(), checks=True, starts_down=True)


def node(name="node-1", address="10.100.0.2", ready="True", labels=None, taints=None, deleting=False):
    return {
        "metadata": {
            "name": name,
            "labels": labels or {},
            **({"deletionTimestamp": "2026-01-01T00:00:00Z"} if deleting else {}),
        },
        "spec": {"taints": taints} if taints else {},
        "status": {
            "addresses": [{"type": "Hostname", "address": name}, {"type": "InternalIP", "address": address}],
            "conditions": [{"type": "MemoryPressure", "status": "False"}, {"type": "Ready", "status": ready}],
        },
    }


def service(*ports):
    ports = ports or ({"name": "http", "port": 80, "nodePort": 32213},)
    return {"metadata": {"namespace": "default", "name": "service-test"}, "spec": {"ports": list(ports)}}


def servers_after(*histories, services=None):
    """The desired servers after the node list went through these states."""
    cluster = Cluster().with_services([service()] if services is None else services)
    for nodes in histories:
        cluster = cluster.with_nodes(nodes)
    desired = desired_servers(cluster, [BACKEND])
    return None if desired is None else [(server.name, server.drain) for server in desired["nodeport"]]


@pytest.mark.parametrize(
    ("check", "spec", "check_ports"),
    [
        (Check.TCP, {"healthCheckNodePort": 30500}, [0]),
        (Check.AGENT, {}, [0]),
        (Check.HTTP_HEALTHZ, {}, [10256]),
        (Check.HEALTH_CHECK_NODE_PORT, {"healthCheckNodePort": 30500}, [30500]),
        pytest.param(
            Check.HEALTH_CHECK_NODE_PORT, {}, [], id="no health check node port: no server rather than an unchecked one"
        ),
    ],
)
def test_check_decides_the_port_that_is_checked(check, spec, check_ports):
    item = service()
    cluster = Cluster().with_services([{**item, "spec": item["spec"] | spec}]).with_nodes([node()])
    desired = desired_servers(cluster, [replace(BACKEND, check=check)])
    assert [server.check_port for server in desired["nodeport"]] == check_ports


@pytest.mark.parametrize(
    ("histories", "servers"),
    [
        pytest.param([[node(ready="False")]], [], id="never ready yet"),
        pytest.param([[node()]], [("node-1", False)], id="ready"),
        pytest.param([[node()], [node(ready="Unknown")]], [("node-1", False)], id="not ready any more: checks decide"),
        pytest.param([[node()], []], [], id="node object gone"),
        pytest.param([[node()], [], [node(ready="False")]], [], id="returned, not ready yet"),
        pytest.param([[node()], [], [node()]], [("node-1", False)], id="returned and ready"),
        pytest.param([[node()], [node(deleting=True)]], [], id="being deleted"),
        pytest.param([[node()], [node(labels={EXCLUDE_LABEL: ""})]], [("node-1", True)], id="excluded by label"),
        pytest.param(
            [[node()], [node(taints=[{"key": TO_BE_DELETED_TAINT, "effect": "NoSchedule"}])]],
            [("node-1", True)],
            id="tainted by the autoscaler",
        ),
        pytest.param(
            [[node(taints=[{"key": "node.kubernetes.io/unreachable", "effect": "NoExecute"}])]],
            [("node-1", False)],
            id="another taint does not drain",
        ),
        pytest.param([[node("node-2", "10.100.0.3"), node()]], [("node-1", False), ("node-2", False)], id="sorted by name"),
    ],
)
def test_nodes_of_a_load_balancer(histories, servers):
    assert servers_after(*histories) == servers


def test_a_server_is_the_node_s_internal_ip_at_the_node_port():
    desired = desired_servers(Cluster().with_services([service()]).with_nodes([node()]), [BACKEND])
    assert desired == {"nodeport": (Server(name="node-1", address=IPv4Address("10.100.0.2"), port=32213),)}


def test_nothing_is_decided_before_both_lists_are_known():
    assert desired_servers(Cluster().with_nodes([node()]), [BACKEND]) is None
    assert desired_servers(Cluster().with_services([service()]), [BACKEND]) is None


def test_a_service_that_is_gone_has_no_servers():
    assert servers_after([node()], services=()) == []


def test_a_node_without_address_is_no_server():
    bare = node()
    bare["status"]["addresses"] = []
    assert servers_after([bare]) == []


HTTP = {"name": "http", "port": 80, "nodePort": 32213}
ADMIN = {"name": "admin", "port": 8080, "nodePort": 32214}


@pytest.mark.parametrize(
    ("ports", "port", "node_port"),
    [
        ((HTTP, ADMIN), "admin", 32214),
        ((HTTP, ADMIN), 80, 32213),
        ((HTTP, ADMIN), "metrics", None),
        ((HTTP, ADMIN), None, None),
        (({"port": 80, "nodePort": 31000},), None, 31000),
        (({"port": 80},), None, None),
        (({"port": 80, "nodePort": 0},), None, None),
    ],
)
def test_node_port_by_name_number_or_being_the_only_one(ports, port, node_port):
    assert find_node_port(service(*ports), port) == node_port
