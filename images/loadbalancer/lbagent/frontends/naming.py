"""What a frontend is called in HAProxy, and which service port it is for: the part of its settings that several kinds have."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from lbagent.decoding import SettingsError

NAME = re.compile(r"[A-Za-z0-9_.:-]+")
"""What HAProxy allows in a proxy's name (configuration manual, section 4)."""


class NamedPort(NamedTuple):
    """The name of a frontend, and the port of a service by name or number; None: the only one."""

    name: str
    service: str
    port: str | int | None


def decode_named_port(given: Mapping[str, object], where: str) -> NamedPort:
    """Raises SettingsError: a name HAProxy would refuse, no service, no port."""
    name, service, port = (given.get(key) for key in ("name", "service", "port"))
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise SettingsError(f"{where}.name: must consist of letters, digits and _.:-, got {name!r}")
    if not isinstance(service, str) or service.count("/") != 1:
        raise SettingsError(f"{where}.service: must be namespace/name, got {service!r}")
    if isinstance(port, bool) or not isinstance(port, str | int | None):
        raise SettingsError(f"{where}.port: must be the name or number of a service port or null, got {port!r}")
    return NamedPort(name, service, port)
