"""Secrets of one run: its certificate authority, the control plane's certificate, and the token. Never written to the plan."""

import base64
import datetime
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from orchestrator.model.plan import TlsSecretPlan

CLOCK_SKEW = datetime.timedelta(hours=1)
"""Engine and orchestrator need not agree on the time of day to the minute."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Secrets:
    ca_pem: bytes
    server_pem: bytes
    server_key_pem: bytes
    token: str
    tls_secrets: tuple[Mapping[str, object], ...] = ()
    """Kubernetes Secrets of type kubernetes.io/tls, to be applied."""


def make_secrets(
    *,
    addresses: Sequence[IPv4Address],
    now: datetime.datetime,
    lifetime: datetime.timedelta,
    tls_secrets: Sequence[TlsSecretPlan] = (),
) -> Secrets:
    """A new CA (P-256, made in milliseconds), a server certificate for these addresses and the API's names, a token, and what TLS
    Secrets hold.

    Source: RFC 5280 (profile), kubernetes.io "PKI certificates and requirements" (names of the API server).
    """
    ca_key, server_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ingress-testbed-ca")])
    ca_identifier = x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key())

    def builder(subject: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(ca_name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - CLOCK_SKEW)
            .not_valid_after(now + lifetime + CLOCK_SKEW)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(ca_identifier), critical=False)
        )

    ca = (
        builder(ca_name, ca_key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .sign(ca_key, hashes.SHA256())
    )

    def issue(common_name: str, alternatives: Sequence[x509.GeneralName], key: ec.EllipticCurvePrivateKey) -> bytes:
        certificate = (
            builder(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)]), key)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
            .sign(ca_key, hashes.SHA256())
        )
        return certificate.public_bytes(serialization.Encoding.PEM)

    def make_tls_secret(wanted: TlsSecretPlan) -> Mapping[str, object]:
        key = ec.generate_private_key(ec.SECP256R1())
        # The names are in the alternatives; a common name has 64 characters at most (RFC 5280, appendix A.1).
        pair = {
            "tls.crt": issue(wanted.hosts[0][:64], [x509.DNSName(host) for host in wanted.hosts], key),
            "tls.key": _render_key(key),
        }
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": wanted.name, "namespace": wanted.namespace},
            "type": "kubernetes.io/tls",
            "data": {name: base64.b64encode(text).decode() for name, text in pair.items()},
        }

    names = ["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"]
    alternatives = [*(x509.DNSName(name) for name in names), *(x509.IPAddress(address) for address in addresses)]
    return Secrets(
        ca_pem=ca.public_bytes(serialization.Encoding.PEM),
        server_pem=issue("kube-apiserver", alternatives, server_key),
        server_key_pem=_render_key(server_key),
        token=secrets.token_urlsafe(32),
        tls_secrets=tuple(map(make_tls_secret, tls_secrets)),
    )


def _render_key(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )
