"""The guard's text; its effect on the kernel is an integration test."""

import pytest

from orchestrator.model.plan import NetworkName
from orchestrator.render.guard import bridge_name, render_guard

GOLDEN = """\
table inet ingress_testbed_a1b2c3d4 {}
delete table inet ingress_testbed_a1b2c3d4
table inet ingress_testbed_a1b2c3d4 {
    comment "ingress-testbed run a1b2c3d4"
    chain forward {
        type filter hook forward priority -10; policy accept;
        iifname "itba1b2c3d4c" oifname != "itba1b2c3d4c" counter drop
        iifname != "itba1b2c3d4c" oifname "itba1b2c3d4c" counter drop
        iifname "itba1b2c3d4n" oifname != "itba1b2c3d4n" counter drop
        iifname != "itba1b2c3d4n" oifname "itba1b2c3d4n" counter drop
        iifname "itba1b2c3d4m" oifname != "itba1b2c3d4m" counter drop
        iifname != "itba1b2c3d4m" oifname "itba1b2c3d4m" counter drop
    }
    chain input {
        type filter hook input priority -10; policy accept;
        iifname "itba1b2c3d4m" ct state established,related accept
        iifname { "itba1b2c3d4c", "itba1b2c3d4n", "itba1b2c3d4m" } counter drop
    }
    chain output {
        type filter hook output priority -10; policy accept;
        oifname "itba1b2c3d4m" tcp dport 6443 accept
        oifname { "itba1b2c3d4c", "itba1b2c3d4n", "itba1b2c3d4m" } counter drop
    }
}
"""


def test_the_guard_keeps_every_bridge_to_itself() -> None:
    assert render_guard("a1b2c3d4", published_port=6443) == GOLDEN


def test_bridge_names_fit_the_kernel_with_the_longest_run_id() -> None:
    assert {len(bridge_name("tbsu5saaaaa", network)) for network in NetworkName} == {15}


def test_a_run_id_that_leaves_no_room_is_refused() -> None:
    with pytest.raises(ValueError, match="longer than 15 characters"):
        bridge_name("tbsu5saaaaaa", NetworkName.NODES)


def test_bridges_of_one_run_differ() -> None:
    assert len({bridge_name("a1b2c3d4", network) for network in NetworkName}) == len(NetworkName)
