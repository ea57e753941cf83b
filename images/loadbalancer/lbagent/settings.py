"""`settings` of the load balancer's `/etc/testbed/config.json`, decoded and checked."""

from __future__ import annotations

import ipaddress
import json
from dataclasses import dataclass

from lbagent.decoding import SettingsError, expect_list, expect_object
from lbagent.frontends import Backend, Frontend, decode_frontend
from lbagent.frontends.ingress import IngressEntry
from lbagent.frontends.service import ServiceFrontend

KEYS = {"api_url", "token", "public_ip", "frontends", "threads", "max_connections", "restart_haproxy"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the agent is told."""

    container: str
    api_url: str
    token: str
    public_ip: ipaddress.IPv4Address
    frontends: tuple[Frontend, ...]
    """Those that are there from the start."""
    services: tuple[ServiceFrontend, ...] = ()
    """Those whose address the cluster decides."""
    ingresses: tuple[IngressEntry, ...] = ()
    """Those that serve the cluster's Ingresses."""
    threads: int = 1
    """One thread carries far more than a testbed's load, and keeps the order of servers in a round exact."""
    max_connections: int = 8192
    restart_haproxy: bool = False
    """Whether a HAProxy that ended is started again at once; otherwise SIGHUP to the agent does it."""

    def backends(self) -> tuple[Backend, ...]:
        """The backends of all frontends."""
        return tuple(backend for frontend in self.frontends for backend in frontend.backends())


def decode_settings(text: str | bytes) -> Settings:
    """Decode the whole file; everything outside `settings` and `container` is init's.

    Raises:
        SettingsError: with the path of the key.
    """
    try:
        document = json.loads(text)
    except ValueError as error:
        raise SettingsError(f"config: not JSON: {error}") from error
    if not isinstance(document, dict):
        raise SettingsError(f"config: must be an object, got {document!r}")
    raw = expect_object(document.get("settings"), "settings", KEYS)
    strings = {
        key: value
        for key, value in (("container", document.get("container")), ("api_url", raw.get("api_url")), ("token", raw.get("token")))
        if isinstance(value, str) and value
    }
    if missing := sorted({"container", "api_url", "token"} - set(strings)):
        raise SettingsError(f"settings: {missing} must be non-empty strings")
    try:
        public_ip = ipaddress.IPv4Address(str(raw.get("public_ip")))
    except ValueError as error:
        raise SettingsError(f"settings.public_ip: {error}") from error
    entries = tuple(
        decode_frontend(item, f"settings.frontends[{i}]")
        for i, item in enumerate(expect_list(raw.get("frontends"), "settings.frontends"))
    )
    names = [frontend.name for frontend in entries]
    if len(set(names)) != len(names):
        raise SettingsError(f"settings.frontends: names must be unique, got {names}")
    restart_haproxy = raw.get("restart_haproxy", False)
    if not isinstance(restart_haproxy, bool):
        raise SettingsError(f"settings.restart_haproxy: must be true or false, got {restart_haproxy!r}")
    return Settings(
        container=strings["container"],
        api_url=strings["api_url"].rstrip("/"),
        token=strings["token"],
        public_ip=public_ip,
        frontends=tuple(entry for entry in entries if not isinstance(entry, ServiceFrontend | IngressEntry)),
        services=tuple(entry for entry in entries if isinstance(entry, ServiceFrontend)),
        ingresses=tuple(entry for entry in entries if isinstance(entry, IngressEntry)),
        threads=_count(raw.get("threads", 1), "settings.threads"),
        max_connections=_count(raw.get("max_connections", 8192), "settings.max_connections"),
        restart_haproxy=restart_haproxy,
    )


def _count(value: object, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise SettingsError(f"{where}: must be an integer above 0, got {value!r}")
    return value
