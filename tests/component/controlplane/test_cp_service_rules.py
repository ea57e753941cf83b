"""Rules of Services in the API server's words, and what it fills in of addresses and families."""

import pytest
from cp_world import World, service

from controlplane.errors import StatusError

HTTP = {"name": "http", "port": 80}
PAIR = '{"Name":"","Protocol":"TCP","AppProtocol":null,"Port":80,"TargetPort":0,"NodePort":0}'
ADDRESS = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
CIDR = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"
EXTERNAL_NAME = {"type": "ExternalName", "externalName": "example.com"}


@pytest.mark.parametrize(
    ("spec", "complaint"),
    [
        (
            {"type": "NodePort", "clusterIP": "None"},
            "clusterIPs[0]: Invalid value: \"None\": may not be set to 'None' for NodePort",
        ),
        (
            {"type": "LoadBalancer", "clusterIP": "None"},
            "clusterIPs[0]: Invalid value: \"None\": may not be set to 'None' for LoadBalancer services",
        ),
        (
            {**EXTERNAL_NAME, "clusterIP": "10.3.241.7"},
            "clusterIPs: Forbidden: may not be set for ExternalName services",
        ),
        ({**EXTERNAL_NAME, "ipFamilies": ["IPv4"]}, "ipFamilies: Forbidden: may not be set for ExternalName services"),
        (
            {**EXTERNAL_NAME, "ipFamilyPolicy": "SingleStack"},
            "ipFamilyPolicy: Forbidden: may not be set for ExternalName services",
        ),
        ({"type": "ExternalName"}, "externalName: Required value"),
        ({"type": "ExternalName", "externalName": "_"}, 'externalName: Invalid value: "_": a lowercase RFC 1123 subdomain'),
        (
            {"clusterIPs": ["10.3.241.7"]},
            'clusterIPs: Invalid value: ["10.3.241.7"]: must be empty when `clusterIP` is not specified',
        ),
        (
            {"clusterIP": "10.3.241.7", "clusterIPs": ["10.3.241.8"]},
            'clusterIPs: Invalid value: ["10.3.241.8"]: first value must match `clusterIP`',
        ),
        ({"clusterIP": "10.3.241"}, f'clusterIPs[0]: Invalid value: "10.3.241": {ADDRESS}'),
        (
            {"clusterIP": "None", "clusterIPs": ["None", "10.3.241.7"]},
            'clusterIPs: Invalid value: ["None","10.3.241.7"]: \'None\' must be the first and only value',
        ),
        (
            {"clusterIP": "10.3.241.7", "clusterIPs": ["10.3.241.7", "10.3.241.8"]},
            'clusterIPs: Invalid value: ["10.3.241.7","10.3.241.8"]: may specify no more than one IP for each IP family',
        ),
        (
            {"clusterIP": "10.3.241.7", "clusterIPs": ["10.3.241.7", "10.3.241.8", "10.3.241.9"]},
            "may only hold up to 2 values",
        ),
        (
            {"clusterIP": "fd00::7", "ipFamilies": ["IPv4"]},
            'clusterIPs[0]: Invalid value: "fd00::7": expected an IPv4 value as indicated by `ipFamilies[0]`',
        ),
        (
            {"clusterIP": "10.3.241.7", "clusterIPs": ["10.3.241.7", "fd00::7"]},
            "ipFamilyPolicy: Invalid value: \"SingleStack\": must be 'RequireDualStack' or 'PreferDualStack' when multiple cluster",
        ),
        (
            {"ipFamilies": ["IPv4", "IPv6"]},
            "ipFamilyPolicy: Invalid value: \"SingleStack\": must be 'RequireDualStack' or 'PreferDualStack' when multiple IP fam",
        ),
        ({"ipFamilies": ["IPv6"]}, 'ipFamilies[0]: Invalid value: "IPv6": not configured on this cluster'),
        ({"ipFamilies": ["IPv5"]}, 'ipFamilies[0]: Unsupported value: "IPv5": supported values: "IPv4", "IPv6"'),
        ({"ipFamilies": ["IPv4", "IPv4"]}, 'ipFamilies[1]: Duplicate value: "IPv4"'),
        (
            {"ipFamilyPolicy": "RequireDualStack"},
            'ipFamilyPolicy: Invalid value: "RequireDualStack": this cluster is not configured for dual-stack services',
        ),
        (
            {"ipFamilyPolicy": "Both"},
            'ipFamilyPolicy: Unsupported value: "Both": supported values: "PreferDualStack", "RequireDualStack", "SingleStack"',
        ),
        ({"externalIPs": ["nowhere"]}, f'externalIPs[0]: Invalid value: "nowhere": {ADDRESS}'),
        ({"externalIPs": ["0.0.0.0"]}, 'externalIPs[0]: Invalid value: "0.0.0.0": may not be unspecified (0.0.0.0)'),
        (
            {"externalIPs": ["127.0.0.1"]},
            'externalIPs[0]: Invalid value: "127.0.0.1": may not be in the loopback range (127.0.0.0/8, ::1/128)',
        ),
        (
            {"externalIPs": ["169.254.0.1"]},
            'externalIPs[0]: Invalid value: "169.254.0.1": may not be in the link-local range (169.254.0.0/16, fe80::/10)',
        ),
        (
            {"externalIPs": ["224.0.0.1"]},
            'externalIPs[0]: Invalid value: "224.0.0.1": may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)',
        ),
        ({"ports": [HTTP, {"port": 81}]}, "ports[1].name: Required value"),
        ({"ports": [HTTP, {**HTTP, "port": 81}]}, 'ports[1].name: Duplicate value: "http"'),
        ({"ports": [HTTP, {"name": "b", "port": 80}]}, f"ports[1]: Duplicate value: {PAIR}"),
        ({"ports": [{**HTTP, "appProtocol": "a b"}]}, 'ports[0].appProtocol: Invalid value: "a b": name part must consist of'),
        (
            {"ports": [{**HTTP, "protocol": "ICMP"}]},
            'protocol: Unsupported value: "ICMP": supported values: "SCTP", "TCP", "UDP"',
        ),
        ({"ports": [{**HTTP, "targetPort": 70000}]}, "targetPort: Invalid value: 70000: must be between 1 and 65535, inclusive"),
        (
            {"ports": [{**HTTP, "targetPort": "-"}]},
            'targetPort: Invalid value: "-": must contain at least one letter',
        ),
        ({"ports": None}, "ports: Required value"),
        (
            {"loadBalancerSourceRanges": ["10.0.0.0/8"]},
            "spec.LoadBalancerSourceRanges: Forbidden: may only be used when `type` is",
        ),
        (
            {"type": "LoadBalancer", "loadBalancerSourceRanges": ["10.0.0.1"]},
            f'spec.LoadBalancerSourceRanges[0]: Invalid value: "10.0.0.1": {CIDR}',
        ),
        (
            {"type": "LoadBalancer", "loadBalancerSourceRanges": ["10.0.0.0/255.0.0.0"]},
            f'spec.LoadBalancerSourceRanges[0]: Invalid value: "10.0.0.0/255.0.0.0": {CIDR}',
        ),
        ({"loadBalancerClass": "example.com/a"}, "loadBalancerClass: Forbidden: may only be used when `type` is 'LoadBalancer'"),
        (
            {"allocateLoadBalancerNodePorts": True},
            "allocateLoadBalancerNodePorts: Forbidden: may only be used when `type` is 'LoadBalancer'",
        ),
        (
            {"type": "NodePort", "externalTrafficPolicy": "Far"},
            'externalTrafficPolicy: Unsupported value: "Far": supported values: "Cluster", "Local"',
        ),
        (
            {"internalTrafficPolicy": "Far"},
            'internalTrafficPolicy: Unsupported value: "Far": supported values: "Cluster", "Local"',
        ),
        (
            {"trafficDistribution": "Far"},
            'trafficDistribution: Unsupported value: "Far": supported values: "PreferClose", "PreferSameNode", "PreferSameZone"',
        ),
        ({"sessionAffinity": "Cookie"}, 'sessionAffinity: Unsupported value: "Cookie": supported values: "ClientIP", "None"'),
        ({"selector": {"a b": "c"}}, 'selector: Invalid value: "a b": name part must consist of alphanumeric characters'),
    ],
)
def test_service_is_refused_with(spec: dict, complaint: str) -> None:
    raw = service("c1")
    raw["spec"] |= spec
    with pytest.raises(StatusError) as caught:
        World().create(raw)
    assert (caught.value.code, caught.value.reason) == (422, "Invalid")
    assert caught.value.message.startswith('Service "c1" is invalid: ')
    assert complaint in caught.value.message


@pytest.mark.parametrize(
    "spec",
    [
        {"externalIPs": ["239.1.1.1"]},
        {"externalIPs": ["2001:db8::1"]},
        {"type": "LoadBalancer", "loadBalancerSourceRanges": [" 10.0.0.1/8 ", "2001:db8::/64"]},
        {**EXTERNAL_NAME, "ports": [{**HTTP, "nodePort": 30500}]},
        {**EXTERNAL_NAME, "externalName": "example.com."},
        {"clusterIP": "None", "ports": None},
        {"ipFamilyPolicy": "PreferDualStack"},
        {"ports": [{"name": "dns", "port": 53, "protocol": "UDP"}, {"name": "dns-tcp", "port": 53}]},
    ],
)
def test_service_is_taken_with(spec: dict) -> None:
    raw = service()
    raw["spec"] |= spec
    assert World().create(raw)["metadata"]["uid"]


def test_source_ranges_in_an_annotation_are_looked_at_where_the_field_is_empty() -> None:
    raw = service("c1")
    raw["metadata"]["annotations"] = {"service.beta.kubernetes.io/load-balancer-source-ranges": "10.0.0.0/8, x"}
    with pytest.raises(StatusError) as caught:
        World().create(raw)
    place = "metadata.annotations[service.beta.kubernetes.io/load-balancer-source-ranges]"
    assert f"{place}: Forbidden: may only be used when `type` is 'LoadBalancer'" in caught.value.message
    assert f'{place}: Invalid value: "x": {CIDR}' in caught.value.message


def test_wrong_addresses_are_told_before_anything_else() -> None:
    """They are looked at before the allocation, everything else after it."""
    with pytest.raises(StatusError) as caught:
        World().create(service("c1", type="Magic", clusterIPs=["10.3.241.7"], ports=[{"port": 0}]))
    assert [cause["field"] for cause in caught.value.details["causes"]] == ["spec.clusterIPs"]


def test_one_complaint_is_said_once_and_counted_as_often_as_it_is_made() -> None:
    with pytest.raises(StatusError) as caught:
        World().create(service("c1", selector={"a b": "c", "-": "d"}))
    causes = [cause["message"] for cause in caught.value.details["causes"]]
    assert caught.value.message.count("spec.selector: Invalid value: ") == len(set(causes))


@pytest.mark.parametrize(
    ("spec", "families", "policy"),
    [
        ({}, ["IPv4"], "SingleStack"),
        ({"clusterIP": "None"}, ["IPv4"], "SingleStack"),
        ({"clusterIP": "None", "selector": None}, ["IPv4", "IPv6"], "RequireDualStack"),
        ({"clusterIP": "None", "selector": None, "ipFamilyPolicy": "SingleStack"}, ["IPv4"], "SingleStack"),
        ({"ipFamilyPolicy": "PreferDualStack"}, ["IPv4"], "PreferDualStack"),
        ({"type": "ExternalName", "externalName": "example.com"}, None, None),
    ],
)
def test_families_are_filled_in(spec: dict, families: list[str] | None, policy: str | None) -> None:
    raw = service()
    raw["spec"] |= spec
    made = World().create(raw)["spec"]
    assert (made.get("ipFamilies"), made.get("ipFamilyPolicy")) == (families, policy)


def test_family_policy_that_a_change_leaves_out_is_the_one_that_was() -> None:
    world = World()
    world.create(service(ipFamilyPolicy="PreferDualStack"))
    assert world.change("services", "web", {"spec": {"ipFamilyPolicy": None}})["spec"]["ipFamilyPolicy"] == "PreferDualStack"


def test_headless_service_cannot_come_to_an_address_nor_the_other_way_round() -> None:
    world = World()
    world.create(service(clusterIP="None"))
    for change in ({"clusterIP": "10.3.241.7"}, {"clusterIP": "10.3.241.7", "clusterIPs": ["10.3.241.7"]}):
        with pytest.raises(StatusError, match="may not change once set"):
            world.change("services", "web", {"spec": change})


def test_service_comes_to_an_address_and_loses_it_by_way_of_an_external_name() -> None:
    world = World()
    world.create(service(clusterIP="10.3.241.7"))
    spec = world.change("services", "web", {"spec": EXTERNAL_NAME})["spec"]
    assert not {"clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy"} & spec.keys()
    spec = world.change("services", "web", {"spec": {"type": "ClusterIP", "externalName": None, "clusterIP": "10.3.241.9"}})[
        "spec"
    ]
    assert (spec["clusterIPs"], spec["ipFamilies"], spec["internalTrafficPolicy"]) == (["10.3.241.9"], ["IPv4"], "Cluster")


@pytest.mark.parametrize(
    ("address", "complaint"),
    [
        ("169.254.1.1", "may not be in the link-local range (169.254.0.0/16, fe80::/10)"),
        ("127.0.0.1", "may not be in the loopback range (127.0.0.0/8, ::1/128)"),
        ("224.0.0.5", "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)"),
        ("0.0.0.0", "may not be unspecified (0.0.0.0)"),
    ],
)
def test_endpoints_are_of_no_address_that_means_a_node_or_a_link(address: str, complaint: str) -> None:
    metadata = {"name": "e"}
    by_hand = {"apiVersion": "v1", "kind": "Endpoints", "metadata": metadata, "subsets": [{"addresses": [{"ip": address}]}]}
    item = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": metadata,
        "addressType": "IPv4",
        "endpoints": [{"addresses": [address]}],
        "ports": [],
    }
    for raw, place in ((by_hand, "subsets[0].addresses[0].ip"), (item, "endpoints[0].addresses[0]")):
        with pytest.raises(StatusError) as caught:
            World().create(raw)
        assert f'{place}: Invalid value: "{address}": {complaint}' in caught.value.message


def test_several_ports_of_endpoints_have_names() -> None:
    subset = {"addresses": [{"ip": "10.0.1.2"}], "ports": [{"port": 80}, {"port": 81, "protocol": "ICMP", "name": "x"}]}
    with pytest.raises(StatusError) as caught:
        World().create({"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "e"}, "subsets": [subset]})
    assert [cause["field"] for cause in caught.value.details["causes"]] == [
        "subsets[0].ports[0].name",
        "subsets[0].ports[1].protocol",
    ]
