"""Which files go first: a worker that begins a long one when the others are done keeps everybody waiting."""

import pytest

from tests.integration.leftovers import swept

__all__ = ["swept"]

LONGEST = (
    "test_lb_haproxy",
    "test_lb_services",
    "test_testbed_lifecycle",
    "test_ingress_agent",
    "test_node_rules",
    "test_faults_processes",
    "test_testbed_steady_state",
    "test_routing_daemons",
    "test_load_locust",
    "test_images_build",
    "test_controlplane_process",
    "test_node_conntrack",
)
"""By what they take, without the reordering of pytest-xdist, which counts tests."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    rank = {name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(item.path.stem, len(rank)))
