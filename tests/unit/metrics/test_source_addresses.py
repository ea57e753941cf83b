"""Whose address the pods saw, path by path."""

import pytest
from sample_builder import Request, real_plan, samples

from orchestrator.metrics.sources import measure_sources
from orchestrator.model.measurements import SourceSeen
from orchestrator.model.samples import Outcome

CLIENT, BALANCER, NODE, BRIDGE, STRANGER = "198.18.0.2", "198.18.0.3", "10.100.0.2", "10.0.2.1", "192.0.2.1"


def seen(*clients: str, outcome: Outcome = Outcome.OK) -> SourceSeen:
    requests = [Request(at_s=place / 10, client=client, outcome=outcome) for place, client in enumerate(clients)]
    return next(item for item in measure_sources(real_plan(), samples(*requests)) if item.path == "nodeport")


@pytest.mark.parametrize(
    ("clients", "shares", "kept"),
    [
        ((CLIENT, CLIENT), {"client": 1.0}, True),
        ((BALANCER,), {"load balancer": 1.0}, False),
        # Towards its own pods a node has its bridge's address.
        ((NODE, BRIDGE, BRIDGE, BRIDGE), {"node": 1.0}, False),
        ((CLIENT, CLIENT, CLIENT, NODE), {"client": 0.75, "node": 0.25}, False),
        ((STRANGER,), {"other": 1.0}, False),
    ],
)
def test_address_is_put_to_whose_it_is(clients: tuple[str, ...], shares: dict[str, float], kept: bool) -> None:
    found = seen(*clients)
    assert (dict(found.share_by_owner), found.source_kept, found.requests) == (shares, kept, len(clients))


def test_addresses_are_listed_most_first() -> None:
    assert seen(NODE, BRIDGE, BRIDGE).addresses == (BRIDGE, NODE)


def test_path_whose_requests_no_pod_answered_keeps_and_loses_nothing() -> None:
    for found in (seen(), seen("", ""), seen(CLIENT, outcome=Outcome.BAD_BODY)):
        assert (found.source_kept, found.requests, found.addresses) == (None, 0, ())
