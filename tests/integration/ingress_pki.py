"""Certificates as TLS Secrets, signed by an authority of the test's own."""

import base64
import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

PEM = serialization.Encoding.PEM


class Authority:
    """Signs certificates that are valid for an hour."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.pem = self._certificate("authority", self._key, x509.BasicConstraints(ca=True, path_length=None))

    def _certificate(self, name: str, key: ec.EllipticCurvePrivateKey, *extensions: x509.ExtensionType) -> bytes:
        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority")]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(hours=1))
        )
        for extension in extensions:
            builder = builder.add_extension(extension, critical=True)
        return builder.sign(self._key, hashes.SHA256()).public_bytes(PEM)

    def issue(self, *names: str) -> tuple[bytes, bytes]:
        """Certificate and key."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._certificate(names[0], key, x509.SubjectAlternativeName([x509.DNSName(name) for name in names]))
        return certificate, key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())

    def secret(self, name: str, *names: str, namespace: str = "default") -> dict:
        """A Secret for these server names."""
        return tls_secret(name, *self.issue(*names), namespace=namespace)


def tls_secret(name: str, certificate: bytes, key: bytes, *, namespace: str = "default", kind: str = "kubernetes.io/tls") -> dict:
    content = {part: base64.b64encode(text).decode() for part, text in (("tls.crt", certificate), ("tls.key", key))}
    return {"metadata": {"name": name, "namespace": namespace}, "type": kind, "data": content}
