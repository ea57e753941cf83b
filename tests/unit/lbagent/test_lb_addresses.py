"""External addresses: whose they are, where they go, and how neighbours hear of them."""

from ipaddress import IPv4Address

import pytest

from lbagent.addresses import AddressError, find_interface, render_announcement

OWN, EXTERNAL = IPv4Address("198.18.0.3"), IPv4Address("198.18.0.128")
LINKS = [
    {
        "ifname": "lo",
        "flags": ["LOOPBACK", "UP"],
        "address": "00:00:00:00:00:00",
        "addr_info": [{"local": "127.0.0.1", "label": "lo"}],
    },
    {
        "ifname": "eth0",
        "flags": ["BROADCAST", "UP"],
        "address": "02:42:c6:12:00:03",
        "addr_info": [
            {"local": "198.18.0.3", "prefixlen": 24, "label": "eth0"},
            {"local": "198.18.0.128", "prefixlen": 32, "label": "eth0:lb"},
            {"local": "198.18.0.200", "prefixlen": 32, "label": "eth0"},
        ],
    },
]


def test_interface_is_that_of_the_own_address_and_ours_are_those_with_our_label():
    link = find_interface(LINKS, OWN)
    assert (link.name, link.mac, link.is_loopback, link.ours) == ("eth0", "02:42:c6:12:00:03", False, frozenset({EXTERNAL}))
    assert find_interface(LINKS, IPv4Address("127.0.0.1")).is_loopback


def test_address_of_no_interface_is_an_error():
    with pytest.raises(AddressError, match=r"no interface has 198\.18\.0\.4"):
        find_interface(LINKS, IPv4Address("198.18.0.4"))


def test_announcement_is_a_broadcast_request_for_the_own_address():
    """RFC 5227 section 3: an ARP request whose sender and target address are both the one announced."""
    frame = render_announcement("02:42:c6:12:00:03", EXTERNAL)
    assert frame.hex(" ", 2) == (
        "ffff ffff ffff 0242 c612 0003 0806 0001 0800 0604 0001 0242 c612 0003 c612 0080 0000 0000 0000 c612 0080"
    )
