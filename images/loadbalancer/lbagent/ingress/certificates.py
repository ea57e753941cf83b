"""TLS Secrets: a certificate and its key, checked as OpenSSL will, so that a broken one never reaches HAProxy."""

from __future__ import annotations

import base64
import os
import ssl
from collections.abc import Mapping
from typing import Any

TYPE = "kubernetes.io/tls"
CERTIFICATE, KEY = "tls.crt", "tls.key"


class CertificateError(ValueError):
    """A Secret that cannot serve TLS; the message says why, and shows nothing of the key."""


def read_pair(secret: Mapping[str, Any]) -> str:
    """Certificate chain and key in one PEM text, as HAProxy takes them (configuration manual, section 5.1, `crt`).

    Raises:
        CertificateError: wrong type, a part that is missing or not base64, no PEM, or a key that is another certificate's.
    """
    if secret.get("type") != TYPE:
        raise CertificateError(f"its type is {secret.get('type')!r}; allowed: {TYPE!r}")
    pem = "".join(_decode(secret.get("data") or {}, part) for part in (CERTIFICATE, KEY))
    _check(pem)
    return pem


def _decode(content: Mapping[str, str], part: str) -> str:
    if not content.get(part):
        raise CertificateError(f"it has no {part}")
    try:
        text = base64.b64decode(content[part], validate=True).decode("ascii")
    except ValueError as error:  # of base64 and of ASCII alike
        raise CertificateError(f"{part} is not PEM in base64") from error
    # The Runtime API takes an empty line for the end of a payload (management manual, section 9.3).
    return "".join(f"{line.strip()}\n" for line in text.splitlines() if line.strip())


def _check(pem: str) -> None:
    """Has OpenSSL load both; it takes files only, so the key stays in memory as one without a name (memfd_create(2))."""
    descriptor = os.memfd_create("certificate")
    try:
        os.write(descriptor, pem.encode())
        # An encrypted key would otherwise be asked for on the terminal.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(f"/proc/self/fd/{descriptor}", password=lambda: "")
    except (ssl.SSLError, ValueError) as error:
        raise CertificateError(f"certificate and key cannot be used: {getattr(error, 'reason', None) or error}") from error
    finally:
        os.close(descriptor)
