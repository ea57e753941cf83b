"""Services: defaults, rules, and allocations with their bands, collisions, exhaustion and messages."""

import re

import pytest
from cp_world import World, service

from controlplane.allocation.bands import FullError, cluster_ip_band, node_port_band, pick
from controlplane.controllers.load_balancers import EXTERNAL_IP, RELEASED, SERVED_IP
from controlplane.errors import StatusError


def refusal(world: World, raw: dict) -> StatusError:
    with pytest.raises(StatusError) as caught:
        world.create(raw)
    return caught.value


def test_bands_are_those_of_kubernetes() -> None:
    assert (node_port_band(2768), node_port_band(100), node_port_band(100_000)) == (86, 16, 128)
    assert (cluster_ip_band(65_536), cluster_ip_band(4096), cluster_ip_band(64)) == (256, 256, 16)


def test_pick_leaves_the_lower_band_until_the_upper_is_full() -> None:
    used: set[int] = set()
    picked = []
    for _ in range(20):
        offset = pick(20, 4, used, lambda size: 7 % size)
        picked.append(offset)
        used.add(offset)
    assert set(picked[:16]) == set(range(4, 20))
    assert set(picked[16:]) == {0, 1, 2, 3}
    with pytest.raises(FullError):
        pick(20, 4, used, lambda size: 0)


def test_service_is_complete_when_nothing_was_said() -> None:
    spec = World().create(service())["spec"]
    assert spec["type"] == "ClusterIP"
    assert spec["clusterIPs"] == [spec["clusterIP"]]
    assert (spec["ipFamilies"], spec["ipFamilyPolicy"]) == (["IPv4"], "SingleStack")
    assert (spec["sessionAffinity"], spec["internalTrafficPolicy"]) == ("None", "Cluster")
    assert spec["ports"] == [{"name": "http", "port": 80, "protocol": "TCP", "targetPort": "http"}]
    assert "externalTrafficPolicy" not in spec


def test_node_port_service_gets_policy_and_port_of_the_upper_band() -> None:
    spec = World().create(service(type="NodePort"))["spec"]
    assert spec["externalTrafficPolicy"] == "Cluster"
    assert 30086 <= spec["ports"][0]["nodePort"] <= 32767


def test_target_port_is_the_port_when_nothing_was_said() -> None:
    assert World().create(service(ports=[{"port": 53, "protocol": "UDP"}]))["spec"]["ports"][0]["targetPort"] == 53


def test_client_affinity_lasts_three_hours_when_nothing_was_said() -> None:
    spec = World().create(service(sessionAffinity="ClientIP"))["spec"]
    assert spec["sessionAffinityConfig"] == {"clientIP": {"timeoutSeconds": 10800}}


def test_kubernetes_service_has_the_first_address() -> None:
    world = World()
    assert world.get("services", "kubernetes")["spec"]["clusterIP"] == "10.3.240.1"
    assert world.endpoints("kubernetes") == {"10.100.0.250:6443": {"ready": True}}


def test_dynamic_cluster_ip_is_above_the_static_band() -> None:
    world = World()
    for number in range(50):
        address = world.create(service(f"s{number}"))["spec"]["clusterIP"]
        assert int(address.split(".")[2]) * 256 + int(address.split(".")[3]) >= 240 * 256 + 257


def test_same_port_of_two_protocols_shares_one_node_port() -> None:
    ports = [{"name": "u", "port": 53, "protocol": "UDP"}, {"name": "t", "port": 53}, {"name": "x", "port": 54}]
    got = [port["nodePort"] for port in World().create(service(ports=ports, type="NodePort"))["spec"]["ports"]]
    assert got[0] == got[1] != got[2]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            {"type": "NodePort", "ports": [{"port": 80, "nodePort": 80}]},
            "spec.ports[0].nodePort: Invalid value: 80: provided port is not in the valid range. "
            "The range of valid ports is 30000-32767",
        ),
        (
            {"type": "NodePort", "ports": [{"port": 80, "nodePort": 32213}]},
            "spec.ports[0].nodePort: Invalid value: 32213: provided port is already allocated",
        ),
        (
            {"clusterIP": "10.3.241.152"},
            'spec.clusterIPs: Invalid value: ["10.3.241.152"]: failed to allocate IP 10.3.241.152: provided IP is already allocated',
        ),
        (
            {"clusterIP": "10.96.0.1"},
            'spec.clusterIPs: Invalid value: ["10.96.0.1"]: failed to allocate IP 10.96.0.1: '
            "the provided network does not match the current range",
        ),
        (
            {"externalTrafficPolicy": "Local"},
            'spec.externalTrafficPolicy: Invalid value: "Local": may only be set for externally-accessible services',
        ),
        (
            {"ports": [{"port": 80, "nodePort": 30080}]},
            "spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'",
        ),
        (
            {"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 0}}},
            "spec.sessionAffinityConfig.clientIP.timeoutSeconds: Invalid value: 0: must be greater than 0 and less than 86400",
        ),
        (
            {"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 86401}}},
            "spec.sessionAffinityConfig.clientIP.timeoutSeconds: Invalid value: 86401: must be greater than 0 and less than 86400",
        ),
        ({"ports": []}, "spec.ports: Required value"),
        ({"type": "Magic"}, 'spec.type: Unsupported value: "Magic": supported values: '
         '"ClusterIP", "ExternalName", "LoadBalancer", "NodePort"'),
        ({"ports": [{"port": 0}]}, "spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive"),
        ({"ports": [{"name": "a", "port": 1}, {"name": "a", "port": 2}]}, 'spec.ports[1].name: Duplicate value: "a"'),
        ({"type": "ExternalName"}, "spec.externalName: Required value"),
    ],
)  # fmt: skip
def test_service_is_refused_in_the_api_servers_words(spec: dict, message: str) -> None:
    world = World()
    world.create(service("first", type="NodePort", clusterIP="10.3.241.152", ports=[{"port": 80, "nodePort": 32213}]))
    raw = service("c1", **spec)
    if "ports" in spec:
        raw["spec"]["ports"] = spec["ports"]
    error = refusal(world, raw)
    assert (error.code, error.reason) == (422, "Invalid")
    assert message in error.message
    assert error.message.startswith('Service "c1" is invalid: ')
    assert not world.exists("services", "c1")


def test_one_node_port_may_serve_tcp_and_udp_of_a_service_but_not_tcp_twice() -> None:
    world = World()
    both = [{"name": "t", "port": 1, "nodePort": 30001}, {"name": "u", "port": 2, "protocol": "UDP", "nodePort": 30001}]
    world.create(service("both", type="NodePort", ports=both))
    twice = [{"name": "a", "port": 1, "nodePort": 30002}, {"name": "b", "port": 2, "nodePort": 30002}]
    assert (
        "spec.ports[1].nodePort: Duplicate value: 30002" in refusal(world, service("twice", type="NodePort", ports=twice)).message
    )
    udp = [{"port": 9, "protocol": "UDP", "nodePort": 30001}]
    assert "provided port is already allocated" in refusal(world, service("other", type="NodePort", ports=udp)).message


def test_refused_service_holds_nothing() -> None:
    world = World()
    world.create(service("first", type="NodePort", ports=[{"port": 80, "nodePort": 30080}]))
    bad = [{"name": "a", "port": 1, "nodePort": 30090}, {"name": "b", "port": 2, "nodePort": 30080}]
    refusal(world, service("bad", type="NodePort", ports=bad, clusterIP="10.3.241.7"))
    world.create(service("good", type="NodePort", clusterIP="10.3.241.7", ports=[{"port": 80, "nodePort": 30090}]))


def test_health_check_port_is_for_local_load_balancers_and_from_the_same_range() -> None:
    world = World()
    local = {"type": "LoadBalancer", "externalTrafficPolicy": "Local"}
    spec = world.create(service("a", **local))["spec"]
    assert 30086 <= spec["healthCheckNodePort"] <= 32767
    error = refusal(world, service("b", **local, healthCheckNodePort=spec["healthCheckNodePort"]))
    port = spec["healthCheckNodePort"]
    assert error.message.endswith(f"failed to allocate requested HealthCheck NodePort {port}: provided port is already allocated")
    assert error.code == 500
    with pytest.raises(StatusError, match=r"spec\.healthCheckNodePort: Forbidden: field is immutable"):
        world.change("services", "a", {"spec": {"healthCheckNodePort": 30001}})


def test_health_check_port_goes_with_the_policy() -> None:
    world = World()
    world.create(service("a", type="LoadBalancer", externalTrafficPolicy="Local"))
    spec = world.change("services", "a", {"spec": {"externalTrafficPolicy": "Cluster"}})["spec"]
    assert "healthCheckNodePort" not in spec


def test_change_of_type_keeps_the_cluster_ip_and_drops_what_the_new_type_has_no_use_for() -> None:
    world = World()
    before = world.create(service(type="NodePort", ports=[{"port": 80, "nodePort": 32213}]))["spec"]
    plain = world.change("services", "web", {"spec": {"type": "ClusterIP"}})["spec"]
    assert plain["clusterIP"] == before["clusterIP"]
    assert "nodePort" not in plain["ports"][0]
    assert "externalTrafficPolicy" not in plain
    world.create(service("heir", type="NodePort", ports=[{"port": 80, "nodePort": 32213}]))


def test_replacement_without_allocations_keeps_them() -> None:
    world = World()
    before = world.create(service(type="NodePort"))["spec"]
    after = world.change(
        "services", "web", {"spec": {"clusterIP": None, "clusterIPs": None, "ports": [{"name": "http", "port": 80}]}}
    )["spec"]
    assert after["clusterIP"] == before["clusterIP"]
    assert after["ports"][0]["nodePort"] == before["ports"][0]["nodePort"]


def test_cluster_ip_may_not_change() -> None:
    world = World()
    world.create(service(clusterIP="10.3.241.7"))
    with pytest.raises(StatusError, match="may not change once set"):
        world.change("services", "web", {"spec": {"clusterIP": "10.3.241.8", "clusterIPs": ["10.3.241.8"]}})


def test_headless_service_has_no_address() -> None:
    spec = World().create(service(clusterIP="None"))["spec"]
    assert (spec["clusterIP"], spec["clusterIPs"]) == ("None", ["None"])


def test_external_name_has_neither_address_nor_ports() -> None:
    raw = service(type="ExternalName", externalName="example.com")
    del raw["spec"]["ports"], raw["spec"]["selector"]
    spec = World().create(raw)["spec"]
    assert "clusterIP" not in spec
    assert "internalTrafficPolicy" not in spec


def assigned(world: World, name: str) -> str | None:
    return (world.get("services", name)["metadata"].get("annotations") or {}).get(EXTERNAL_IP)


def shown(world: World, name: str) -> list:
    return world.get("services", name)["status"]["loadBalancer"].get("ingress", [])


def serve(world: World, name: str, address: str | None = None) -> None:
    """What the load balancer's agent reports once HAProxy listens."""
    world.change("services", name, {"metadata": {"annotations": {SERVED_IP: address or assigned(world, name)}}})


def complaints(world: World, name: str) -> list[str]:
    prefix = "Error syncing load balancer: failed to ensure load balancer: "
    return [
        event["message"].removeprefix(prefix)
        for event in world.store.items("events")
        if (event["reason"], event["involvedObject"]["name"]) == ("SyncLoadBalancerFailed", name)
    ]


def test_load_balancer_gets_an_address_of_the_pool_and_gives_it_back() -> None:
    world = World(external_ip_pool="198.18.0.128/31")
    for name in ("a", "b", "c"):
        world.create(service(name, type="LoadBalancer"))
    assert [assigned(world, name) for name in "abc"] == ["198.18.0.128", "198.18.0.129", None]
    assert complaints(world, "c") == ["all 2 addresses of the pool 198.18.0.128/31 are assigned"]
    world.delete("services", "b")
    assert assigned(world, "c") == "198.18.0.129"


def synced(world: World, name: str) -> tuple[str, str, str] | None:
    conditions = world.get("services", name)["status"].get("conditions", [])
    entries = [entry for entry in conditions if entry["type"] == "ingress-testbed.io/LoadBalancerSynced"]
    return (entries[0]["status"], entries[0]["reason"], entries[0]["message"]) if entries else None


def test_condition_says_whether_a_load_balancer_has_its_address_and_what_it_lacks() -> None:
    world = World(external_ip_pool="198.18.0.128/32")
    for name in ("a", "b"):
        world.create(service(name, type="LoadBalancer"))
    assert synced(world, "a") == ("True", "AddressAssigned", "198.18.0.128 is assigned")
    exhausted = ("False", "PoolExhausted", "all 1 addresses of the pool 198.18.0.128/32 are assigned")
    assert synced(world, "b") == exhausted
    since = world.get("services", "b")["status"]["conditions"][0]["lastTransitionTime"]
    world.clock.advance(5)
    world.change("services", "b", {"metadata": {"labels": {"x": "y"}}})
    assert synced(world, "b") == exhausted
    assert world.get("services", "b")["status"]["conditions"][0]["lastTransitionTime"] == since
    assert len(complaints(world, "b")) == 1, "told once: nothing has changed"
    world.change("services", "a", {"spec": {"type": "NodePort"}})
    assert synced(world, "a") is None
    assert world.get("services", "a")["status"].get("conditions", []) == []
    assert synced(world, "b") == ("True", "AddressAssigned", "198.18.0.128 is assigned")
    assert world.get("services", "b")["status"]["conditions"][0]["lastTransitionTime"] > since


def test_condition_of_another_is_left_alone() -> None:
    world = World()
    world.create(service("a", type="LoadBalancer"))
    other = {
        "type": "example.com/Seen",
        "status": "True",
        "reason": "Seen",
        "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    mine = world.get("services", "a")["status"]["conditions"]
    world.change("services", "a", {"status": {"conditions": [*mine, other]}}, subresource="status")
    world.change("services", "a", {"spec": {"type": "NodePort"}})
    assert [entry["type"] for entry in world.get("services", "a")["status"]["conditions"]] == ["example.com/Seen"]


def test_service_that_wants_another_address_than_it_holds_keeps_its_own_until_that_is_freed() -> None:
    world = World()
    world.create(service("a", type="LoadBalancer", loadBalancerIP="198.18.0.140"))
    world.create(service("b", type="LoadBalancer"))
    serve(world, "b")
    world.change("services", "b", {"spec": {"loadBalancerIP": "198.18.0.140"}})
    assert synced(world, "b") == ("False", "AddressInUse", "198.18.0.140 is already assigned")
    assert (assigned(world, "b"), shown(world, "b")) == ("198.18.0.128", [{"ip": "198.18.0.128", "ipMode": "VIP"}])
    world.delete("services", "a")
    assert synced(world, "b") == ("True", "AddressAssigned", "198.18.0.140 is assigned")
    assert (assigned(world, "b"), shown(world, "b")) == ("198.18.0.140", [])


def test_address_is_pending_until_the_load_balancer_listens_there() -> None:
    world = World()
    world.create(service("a", type="LoadBalancer"))
    assert shown(world, "a") == []
    serve(world, "a", "198.18.0.140")
    assert shown(world, "a") == []
    serve(world, "a")
    assert shown(world, "a") == [{"ip": "198.18.0.128", "ipMode": "VIP"}]
    reasons = [event["reason"] for event in world.store.items("events")]
    assert sorted(reasons) == ["EnsuredLoadBalancer", "EnsuringLoadBalancer"]


def test_service_that_is_no_load_balancer_any_more_frees_its_address_for_who_waits() -> None:
    world = World(external_ip_pool="198.18.0.128/32")
    for name in ("a", "b"):
        world.create(service(name, type="LoadBalancer"))
    serve(world, "a")
    world.change("services", "a", {"spec": {"type": "NodePort"}})
    assert (shown(world, "a"), assigned(world, "a")) == ([], None)
    assert (shown(world, "b"), assigned(world, "b")) == ([], "198.18.0.128")


def test_address_stays_when_a_client_replaces_the_object_whole() -> None:
    world = World()
    world.create(service("a", type="LoadBalancer"))
    world.create(service("b", type="LoadBalancer"))
    serve(world, "b")
    world.delete("services", "a")
    world.change("services", "b", {"metadata": {"annotations": None}})
    assert assigned(world, "b") == "198.18.0.129"
    assert shown(world, "b") == []
    serve(world, "b")
    assert shown(world, "b") == [{"ip": "198.18.0.129", "ipMode": "VIP"}]


@pytest.mark.parametrize("copied", ["198.18.0.128", "198.18.0.1", "foo"])
def test_an_address_in_a_copied_or_made_up_annotation_is_not_given(copied: str) -> None:
    world = World()
    world.create(service("a", type="LoadBalancer"))
    world.clock.advance(1)
    made = service("b", type="LoadBalancer")
    made["metadata"]["annotations"] = {EXTERNAL_IP: copied, SERVED_IP: copied}
    world.create(made)
    assert [assigned(world, name) for name in "ab"] == ["198.18.0.128", "198.18.0.129"]
    assert shown(world, "b") == []
    world.create(service("c", type="LoadBalancer"))
    assert assigned(world, "c") == "198.18.0.130"


def test_the_address_is_pending_again_once_a_port_cannot_be_served() -> None:
    world = World()
    world.create(service("a", type="LoadBalancer"))
    serve(world, "a")
    udp = {"name": "dns", "port": 53, "protocol": "UDP"}
    ports = world.get("services", "a")["spec"]["ports"]
    world.change("services", "a", {"spec": {"ports": [{**ports[0], "name": "http"}, udp]}})
    assert (assigned(world, "a"), shown(world, "a")) == ("198.18.0.128", [])


def test_load_balancer_keeps_to_the_address_that_was_asked_for() -> None:
    world = World()
    world.create(service("a", type="LoadBalancer", loadBalancerIP="198.18.0.140"))
    world.create(service("b", type="LoadBalancer", loadBalancerIP="198.18.0.140"))
    world.create(service("c", type="LoadBalancer", loadBalancerIP="192.0.2.1"))
    assert [assigned(world, name) for name in "abc"] == ["198.18.0.140", None, None]
    assert complaints(world, "b") == ["198.18.0.140 is already assigned"]
    assert complaints(world, "c") == ["192.0.2.1 is not in the pool 198.18.0.128/26"]
    assert synced(world, "c") == ("False", "AddressOutsidePool", "192.0.2.1 is not in the pool 198.18.0.128/26")
    serve(world, "a")
    world.change("services", "a", {"spec": {"loadBalancerIP": "198.18.0.150"}})
    assert (assigned(world, "a"), shown(world, "a")) == ("198.18.0.150", [])
    assert assigned(world, "b") == "198.18.0.140"


@pytest.mark.parametrize(
    ("spec", "complaint"),
    [
        (
            {"allocateLoadBalancerNodePorts": False},
            "port http has no node port, which this load balancer forwards to: set allocateLoadBalancerNodePorts to true, or give "
            "the port a nodePort",
        ),
        ({"ports": [{"port": 53, "protocol": "UDP"}]}, "port 53: this load balancer forwards TCP only, not UDP"),
    ],
)
def test_what_the_load_balancer_cannot_do_is_told_on_the_service(spec: dict, complaint: str) -> None:
    world = World()
    world.create(service("a", type="LoadBalancer", **spec))
    assert complaints(world, "a") == [complaint]
    status, reason, message = synced(world, "a") or ("", "", "")
    assert (status, reason in ("NoNodePort", "ProtocolNotSupported"), message) == ("False", True, complaint)
    assert (assigned(world, "a"), shown(world, "a")) == (None, [])


def test_load_balancer_without_node_ports_has_none() -> None:
    spec = World().create(service(type="LoadBalancer", allocateLoadBalancerNodePorts=False))["spec"]
    assert "nodePort" not in spec["ports"][0]


def test_load_balancer_of_a_class_is_left_to_its_owner() -> None:
    created = World()
    created.create(service(type="LoadBalancer", loadBalancerClass="example.com/other"))
    assert created.get("services", "web")["status"]["loadBalancer"] == {}


def test_same_requests_give_the_same_allocations() -> None:
    first, second = (World().create(service(type="NodePort")) for _ in range(2))
    assert first == second


def test_node_port_stays_with_the_name_of_its_port() -> None:
    world = World()
    ports = [{"name": "http", "port": 80, "nodePort": 30100}, {"name": "https", "port": 443, "nodePort": 30101}]
    world.create(service(type="NodePort", ports=ports))
    wanted = [{"name": "https", "port": 8443}, {"name": "http", "port": 8080}, {"name": "admin", "port": 80}]
    changed = world.change("services", "web", {"spec": {"ports": wanted}})["spec"]["ports"]
    assert [port["nodePort"] for port in changed[:2]] == [30101, 30100]
    assert changed[2]["nodePort"] not in (30100, 30101)


def test_node_port_that_another_port_has_taken_over_is_not_kept_as_well() -> None:
    world = World()
    world.create(service(type="NodePort", ports=[{"name": "http", "port": 80, "nodePort": 30100}]))
    wanted = [{"name": "http", "port": 80}, {"name": "other", "port": 81, "nodePort": 30100}]
    changed = world.change("services", "web", {"spec": {"ports": wanted}})["spec"]["ports"]
    assert changed[0]["nodePort"] != changed[1]["nodePort"] == 30100


@pytest.mark.parametrize("address", ["10.3.241.152", "None"])
def test_another_cluster_ip_over_an_allocated_one_has_one_refusal(address: str) -> None:
    world = World()
    world.create(service(clusterIP="10.3.241.7"))
    with pytest.raises(StatusError) as caught:
        world.change("services", "web", {"spec": {"clusterIP": address}})
    assert caught.value.message == (
        f'Service "web" is invalid: spec.clusterIPs[0]: Invalid value: ["{address}"]: may not change once set'
    )


def test_cluster_ip_that_is_cleared_is_the_allocated_one() -> None:
    world = World()
    world.create(service(clusterIP="10.3.241.7"))
    for patch in ({"clusterIP": None}, {"clusterIP": ""}, {"clusterIP": None, "clusterIPs": None}):
        spec = world.change("services", "web", {"spec": patch})["spec"]
        assert (spec["clusterIP"], spec["clusterIPs"]) == ("10.3.241.7", ["10.3.241.7"])


def test_class_of_a_load_balancer_stays_while_it_is_one() -> None:
    world = World()
    world.create(service(type="LoadBalancer", loadBalancerClass="example.com/a"))
    for wanted in ("example.com/b", None):
        with pytest.raises(StatusError, match=r"spec\.loadBalancerClass: Invalid value: .*: may not change once set"):
            world.change("services", "web", {"spec": {"loadBalancerClass": wanted}})
    world.change("services", "web", {"spec": {"type": "NodePort"}})
    changed = world.change("services", "web", {"spec": {"type": "LoadBalancer", "loadBalancerClass": "example.com/b"}})
    assert changed["spec"]["loadBalancerClass"] == "example.com/b"


def test_service_of_the_api_comes_back_with_its_address_and_endpoints_when_everything_is_deleted() -> None:
    world = World()
    spec = world.get("services", "kubernetes")["spec"]
    kept = {plural: world.get(plural, "kubernetes") for plural in ("endpoints", "endpointslices")}
    uid = world.get("services", "kubernetes")["metadata"]["uid"]
    for plural in ("services", "endpoints", "endpointslices"):
        world.delete(plural, "kubernetes")
    again = world.get("services", "kubernetes")
    assert again["spec"] == spec
    assert again["metadata"]["uid"] != uid
    for plural, before in kept.items():
        after = world.get(plural, "kubernetes")
        assert after["metadata"]["labels"] == before["metadata"]["labels"]
    assert world.get("endpoints", "kubernetes")["subsets"] == kept["endpoints"]["subsets"]
    assert world.get("endpointslices", "kubernetes")["endpoints"] == kept["endpointslices"]["endpoints"]


def test_endpoints_of_the_api_that_somebody_changes_are_set_right() -> None:
    world = World()
    world.change("endpointslices", "kubernetes", {"endpoints": []})
    world.change("endpoints", "kubernetes", {"subsets": None})
    assert [item["addresses"] for item in world.get("endpointslices", "kubernetes")["endpoints"]] == [["10.100.0.250"]]
    assert world.get("endpoints", "kubernetes")["subsets"][0]["addresses"] == [{"ip": "10.100.0.250"}]


def told(world: World, name: str) -> list[tuple[str, str]]:
    """Reasons and messages of the Events about a Service."""
    return [
        (event["reason"], event["message"]) for event in world.store.items("events") if event["involvedObject"]["name"] == name
    ]


def test_change_of_the_type_to_a_load_balancer_and_back_is_told() -> None:
    world = World()
    world.create(service("a"))
    world.change("services", "a", {"spec": {"type": "LoadBalancer"}})
    serve(world, "a")
    assert told(world, "a") == [
        ("Type", "ClusterIP -> LoadBalancer"),
        ("EnsuringLoadBalancer", "Ensuring load balancer"),
        ("EnsuredLoadBalancer", "Ensured load balancer"),
    ]
    world.change("services", "a", {"spec": {"type": "NodePort"}})
    assert told(world, "a")[3:] == [
        ("Type", "LoadBalancer -> NodePort"),
        ("DeletingLoadBalancer", "Deleting load balancer"),
        ("DeletedLoadBalancer", "Deleted load balancer"),
    ]


def test_change_between_types_without_a_load_balancer_is_nothing_to_tell() -> None:
    world = World()
    world.create(service("a"))
    world.change("services", "a", {"spec": {"type": "NodePort"}})
    assert told(world, "a") == []


@pytest.mark.parametrize(
    ("change", "reason", "message"),
    [
        ({"loadBalancerSourceRanges": ["10.0.0.0/8", "11.0.0.0/8"]}, "LoadBalancerSourceRanges", "[] -> [10.0.0.0/8 11.0.0.0/8]"),
        ({"loadBalancerIP": "198.18.0.140"}, "LoadbalancerIP", " -> 198.18.0.140"),
        ({"externalIPs": ["203.0.113.9"]}, "ExternalIP", "Count: 0 -> 1"),
        ({"externalTrafficPolicy": "Local", "healthCheckNodePort": 30333}, "ExternalTrafficPolicy", "Cluster -> Local"),
        ({"externalTrafficPolicy": "Local", "healthCheckNodePort": 30333}, "HealthCheckNodePort", "0 -> 30333"),
    ],
)
def test_change_that_a_load_balancer_looks_at_is_told(change: dict, reason: str, message: str) -> None:
    world = World()
    world.create(service("a", type="LoadBalancer"))
    world.change("services", "a", {"spec": change})
    assert (reason, message) in told(world, "a")


@pytest.mark.parametrize(
    ("kind", "entry", "said"),
    [
        ("NodePort", {"ip": "203.0.113.9"}, "ingress: Forbidden: may only be used when `spec.type` is 'LoadBalancer'"),
        (
            "LoadBalancer",
            {"hostname": "h", "ipMode": "VIP"},
            "ingress[0].ipMode: Forbidden: may not be specified when `ip` is not set",
        ),
        ("LoadBalancer", {"ip": "203.0.113.9", "ipMode": "X"}, 'ingress[0].ipMode: Unsupported value: "X"'),
    ],
)
def test_status_that_no_load_balancer_has_is_refused(kind: str, entry: dict, said: str) -> None:
    world = World()
    world.create(service("a", type=kind))
    with pytest.raises(StatusError, match=re.escape(f"status.loadBalancer.{said}")):
        world.change("services", "a", {"status": {"loadBalancer": {"ingress": [entry]}}}, subresource="status")


@pytest.mark.parametrize("entry", [{}, {"ip": None}, {"hostname": "h"}, {"ip": "10.0.0.1", "ports": [None]}, None])
def test_status_of_somebody_else_ends_no_controller(entry: dict | None) -> None:
    world = World()
    world.create(service("a", type="LoadBalancer"))
    world.change("services", "a", {"status": {"loadBalancer": {"ingress": [entry]}}}, subresource="status")
    assert world.plane.loop.failing == []
    assert assigned(world, "a") == "198.18.0.128"


def test_address_of_a_load_balancer_of_somebody_else_is_a_virtual_one_unless_it_says_otherwise() -> None:
    world = World()
    world.create(service("a", type="LoadBalancer", loadBalancerClass="example.com/lb"))
    told = [{"ip": "203.0.113.9"}, {"ip": "203.0.113.8", "ipMode": "Proxy"}, {"hostname": "h"}]
    world.change("services", "a", {"status": {"loadBalancer": {"ingress": told}}}, subresource="status")
    assert shown(world, "a") == [
        {"ip": "203.0.113.9", "ipMode": "VIP"},
        {"ip": "203.0.113.8", "ipMode": "Proxy"},
        {"hostname": "h"},
    ]


def cleanup_finalizer(world: World, name: str) -> bool:
    return "service.kubernetes.io/load-balancer-cleanup" in world.get("services", name)["metadata"].get("finalizers", [])


def test_load_balancer_that_is_deleted_stays_with_its_address_until_it_is_let_go_of_however_long_that_takes() -> None:
    world = World(external_ip_pool="198.18.0.128/32")
    world.create(service("a", type="LoadBalancer"))
    serve(world, "a")
    world.create(service("b", type="LoadBalancer"))
    world.balancer.is_up = False
    world.delete("services", "a")
    world.advance(3600, step_s=600)
    assert world.get("services", "a")["metadata"]["deletionTimestamp"]
    assert (assigned(world, "a"), assigned(world, "b")) == ("198.18.0.128", None)
    assert shown(world, "a") == [{"ip": "198.18.0.128", "ipMode": "VIP"}]
    world.balancer.is_up = True
    world.advance(1)
    assert not world.exists("services", "a")
    assert assigned(world, "b") == "198.18.0.128"
    assert told(world, "a")[-2:] == [
        ("DeletingLoadBalancer", "Deleting load balancer"),
        ("DeletedLoadBalancer", "Deleted load balancer"),
    ]


def test_finalizer_of_a_load_balancer_goes_with_the_type_once_it_is_let_go_of() -> None:
    world = World()
    world.create(service("a", type="LoadBalancer"))
    assert cleanup_finalizer(world, "a")
    world.balancer.is_up = False
    world.change("services", "a", {"spec": {"type": "ClusterIP"}})
    assert (cleanup_finalizer(world, "a"), assigned(world, "a")) == (True, "198.18.0.128")
    world.balancer.is_up = True
    world.advance(1)
    assert (cleanup_finalizer(world, "a"), assigned(world, "a")) == (False, None)
    assert world.exists("services", "a")


def test_load_balancer_that_becomes_one_again_before_it_was_let_go_of_keeps_its_address() -> None:
    world = World()
    world.create(service("a", type="LoadBalancer"))
    world.balancer.is_up = False
    world.change("services", "a", {"spec": {"type": "ClusterIP"}})
    world.change("services", "a", {"spec": {"type": "LoadBalancer"}})
    world.change("services", "a", {"metadata": {"annotations": {RELEASED: "true"}}})
    assert (cleanup_finalizer(world, "a"), assigned(world, "a")) == (True, "198.18.0.128")
    assert RELEASED not in world.get("services", "a")["metadata"]["annotations"], "said of what was, it counts for nothing"
    world.delete("services", "a")
    assert world.exists("services", "a")


def test_finalizer_that_somebody_takes_away_is_set_again() -> None:
    world = World()
    world.create(service("a", type="LoadBalancer"))
    world.change("services", "a", {"metadata": {"finalizers": None}})
    assert cleanup_finalizer(world, "a")


@pytest.mark.parametrize("spec", [{"loadBalancerIP": "203.0.113.9"}, {"allocateLoadBalancerNodePorts": False}])
def test_load_balancer_that_never_had_an_address_waits_for_nobody(spec: dict) -> None:
    world = World()
    world.balancer.is_up = False
    world.create(service("a", type="LoadBalancer", **spec))
    assert cleanup_finalizer(world, "a")
    world.delete("services", "a")
    assert not world.exists("services", "a")


def test_service_that_is_no_load_balancer_of_ours_has_no_finalizer() -> None:
    world = World()
    world.create(service("a", type="NodePort"))
    world.create(service("b", type="LoadBalancer", loadBalancerClass="example.com/other"))
    assert not cleanup_finalizer(world, "a")
    assert not cleanup_finalizer(world, "b")
