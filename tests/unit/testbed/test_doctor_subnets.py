"""What the doctor reads out of the engine's networks and the machine's routes."""

from ipaddress import IPv4Network

from orchestrator.testbed.doctor import decode_networks, decode_routes
from orchestrator.testbed.prerequisites import TakenSubnet

FOREIGN = {"Name": "bridge", "IPAM": {"Config": [{"Subnet": "172.17.0.0/16", "Gateway": "172.17.0.1"}]}, "Labels": {}}
DUAL = {"Name": "dual", "IPAM": {"Config": [{"Subnet": "fd00::/64"}, {"Subnet": "172.18.0.0/16"}]}, "Labels": None}
HOST = {"Name": "host", "IPAM": {"Config": None}, "Labels": None}
OURS = {
    "Name": "itb-a1b2-mgmt",
    "IPAM": {"Config": [{"Subnet": "198.19.0.0/24"}]},
    "Labels": {"ingress-testbed.run": "a1b2"},
    "Options": {"com.docker.network.bridge.name": "itb-a1b2-mgmt"},
}


def test_networks_of_others_take_their_subnets_and_those_of_testbeds_do_not() -> None:
    assert decode_networks([FOREIGN, DUAL, HOST, OURS]) == (
        TakenSubnet(network=IPv4Network("172.17.0.0/16"), owner="docker network bridge"),
        TakenSubnet(network=IPv4Network("172.18.0.0/16"), owner="docker network dual"),
    )


def test_routes_count_except_the_default_the_machine_s_own_addresses_and_testbeds() -> None:
    routes = [
        {"dst": "default", "gateway": "192.0.2.1", "dev": "eth0"},
        {"dst": "192.0.2.0/24", "dev": "eth0"},
        {"dst": "10.100.4.1", "dev": "tun0", "table": "52"},
        {"type": "local", "dst": "127.0.0.0/8", "dev": "lo", "table": "local"},
        {"type": "broadcast", "dst": "192.0.2.255", "dev": "eth0", "table": "local"},
        {"dst": "198.19.0.0/24", "dev": "itb-a1b2-mgmt"},
    ]
    assert decode_routes(routes, [FOREIGN, OURS]) == (
        TakenSubnet(network=IPv4Network("192.0.2.0/24"), owner="host route dev eth0"),
        TakenSubnet(network=IPv4Network("10.100.4.1/32"), owner="host route dev tun0"),
    )
