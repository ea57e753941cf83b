"""Secrets that Ingresses name and no manifest holds: made by the run, good for their hosts, never in the plan."""

import base64
import datetime
from ipaddress import IPv4Address

import pytest
from cryptography import x509

from lbagent.ingress.certificates import read_pair
from orchestrator.model.plan import TlsSecretPlan
from orchestrator.testbed.pki import Secrets, make_secrets

LONG = "a" * 60 + ".example.org"


@pytest.fixture(scope="module")
def secrets() -> Secrets:
    return make_secrets(
        addresses=[IPv4Address("127.0.0.1")],
        now=datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC),
        lifetime=datetime.timedelta(minutes=30),
        tls_secrets=[
            TlsSecretPlan(namespace="default", name="shop", hosts=("shop.example.org", "*.shop.example.org")),
            TlsSecretPlan(namespace="other", name="long", hosts=(LONG,)),
        ],
    )


def certificate_of(secret: dict) -> x509.Certificate:
    return x509.load_pem_x509_certificate(base64.b64decode(secret["data"]["tls.crt"]))


def test_secret_is_one_that_the_load_balancer_takes(secrets: Secrets) -> None:
    assert [(item["metadata"], item["type"]) for item in secrets.tls_secrets] == [
        ({"name": "shop", "namespace": "default"}, "kubernetes.io/tls"),
        ({"name": "long", "namespace": "other"}, "kubernetes.io/tls"),
    ]
    for item in secrets.tls_secrets:
        assert "PRIVATE KEY" in read_pair(item)


def test_certificate_is_for_the_hosts_and_signed_by_the_run_s_authority(secrets: Secrets) -> None:
    authority = x509.load_pem_x509_certificate(secrets.ca_pem)
    for item, hosts in zip(secrets.tls_secrets, (["shop.example.org", "*.shop.example.org"], [LONG]), strict=True):
        certificate = certificate_of(dict(item))
        certificate.verify_directly_issued_by(authority)
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert names.get_values_for_type(x509.DNSName) == hosts


def test_each_secret_has_a_key_of_its_own(secrets: Secrets) -> None:
    assert len({item["data"]["tls.key"] for item in map(dict, secrets.tls_secrets)}) == 2
