"""The kinds of frontends, by the `mode` of their settings: one file each, registered here."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from lbagent.decoding import SettingsError
from lbagent.frontends import ingress, service, tcp
from lbagent.frontends.seam import Backend, Check, Frontend

KINDS: Mapping[str, Callable[[object, str], Frontend | service.ServiceFrontend | ingress.IngressEntry]] = {
    "tcp": tcp.decode,
    "loadbalancer": service.decode,
    "ingress": ingress.decode,
}

__all__ = ["KINDS", "Backend", "Check", "Frontend", "decode_frontend"]


def decode_frontend(raw: object, where: str) -> Frontend | service.ServiceFrontend | ingress.IngressEntry:
    """Decode one entry of `settings.frontends`.

    Raises:
        SettingsError: unknown mode, or what the kind's own decoder refuses.
    """
    mode = raw.get("mode", "tcp") if isinstance(raw, dict) else "tcp"
    if mode not in KINDS:
        raise SettingsError(f"{where}.mode: must be one of {sorted(KINDS)}, got {mode!r}")
    return KINDS[mode](raw, where)
