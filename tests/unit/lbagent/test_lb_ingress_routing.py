"""Where requests go by the rules of Ingress, from the table that HAProxy is held to as well (test_ingress_haproxy.py)."""

import pytest

from ingress_cases import CASES, CERTIFICATES, SERVICES, WORLDS, Case, service
from ingress_pki import Authority
from lbagent.ingress.reading import IngressView, read_ingresses
from lbagent.ingress.routing import Target, Unrouted, find_target


@pytest.fixture(scope="module")
def views() -> dict[str, IngressView]:
    authority = Authority()
    secrets = [authority.secret(name, *names) for name, names in CERTIFICATES.items()]
    services = {f"default/{name}": service(name) for name in SERVICES}
    return {world: read_ingresses(objects, services, secrets) for world, objects in WORLDS.items()}


def name_of(found: Target | Unrouted) -> str:
    return str(found) if isinstance(found, Unrouted) else found.service.removeprefix("default/")


def shown_certificate(view: IngressView, host: str) -> str | None:
    """Exact name, then wildcard, then the one for every other name, as crt-list has it."""
    for name in (host, "*." + host.partition(".")[2], ""):
        for certificate in view.certificates:
            if name in certificate.names:
                return CERTIFICATES[certificate.secret.removeprefix("default/")][0]
    return None


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.world}-{case.scheme}-{case.host}{case.path}")
def test_request_goes_where_the_rules_of_ingress_send_it(views: dict[str, IngressView], case: Case):
    view = views[case.world]
    if case.scheme == "https":
        assert shown_certificate(view, case.host) == case.certificate
    if case.goes_to != "tls":
        assert name_of(find_target(view.table, case.host, case.path.partition("?")[0])) == case.goes_to


def test_table_is_as_long_as_promised():
    assert len(set(CASES)) == len(CASES) >= 60
