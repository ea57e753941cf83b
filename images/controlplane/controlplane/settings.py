"""The control plane's part of /etc/testbed/config.json (docs/contracts.md section 3), checked before anything starts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from controlplane.objects import Object


class SettingsError(Exception):
    """The configuration cannot be used; the message names the key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PortRange:
    """Node ports, both ends included."""

    first: int
    last: int

    @property
    def size(self) -> int:
        return self.last - self.first + 1

    def __contains__(self, port: int) -> bool:
        return self.first <= port <= self.last

    def __str__(self) -> str:
        return f"{self.first}-{self.last}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Timings:
    """Intervals of the controllers; the defaults are Kubernetes' own (kube-controller-manager flags)."""

    node_monitor_period_s: float = 5.0
    node_monitor_grace_period_s: float = 50.0
    node_startup_grace_period_s: float = 60.0
    toleration_s: float = 300.0
    eviction_rate_per_s: float = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Bind:
    """Where to listen."""

    host: str
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that the plan decided for this process."""

    run_id: str
    container: str
    bind: Bind
    insecure_bind: Bind | None
    token: str
    advertise_via: IPv4Address | None
    cluster_cidr: IPv4Network
    node_cidr_mask_size: int
    service_cidr: IPv4Network
    node_port_range: PortRange
    external_ip_pool: IPv4Network | None
    timings: Timings
    objects: tuple[Object, ...]
    control_responder_port: int | None


KNOWN = frozenset(
    {
        "bind",
        "insecure_bind",
        "token",
        "cluster_cidr",
        "node_cidr_mask_size",
        "service_cidr",
        "node_port_range",
        "external_ip_pool",
        "timings",
        "objects",
        "control_responder_port",
    }
)


def decode_settings(text: bytes) -> Settings:
    """The whole configuration file.

    Raises:
        SettingsError: it is not JSON, a key is unknown, missing or of the wrong kind.
    """
    try:
        config = json.loads(text)
    except ValueError as error:
        raise SettingsError(f"not JSON: {error}") from error
    raw = _mapping(_mapping(config, "config").get("settings"), "settings")
    if unknown := sorted(set(raw) - KNOWN):
        raise SettingsError(f"settings: unknown keys {unknown}; allowed: {sorted(KNOWN)}")
    insecure, pool, port = raw.get("insecure_bind"), raw.get("external_ip_pool"), raw.get("control_responder_port")
    cluster_cidr = _network(raw.get("cluster_cidr"), "cluster_cidr")
    return Settings(
        run_id=_text(config.get("run_id"), "run_id"),
        container=_text(config.get("container"), "container"),
        bind=_bind(raw.get("bind"), "bind"),
        insecure_bind=None if insecure is None else _bind(insecure, "insecure_bind"),
        token=_text(raw.get("token"), "token"),
        advertise_via=_address(config.get("default_via")),
        cluster_cidr=cluster_cidr,
        node_cidr_mask_size=_integer(raw.get("node_cidr_mask_size", 24), "node_cidr_mask_size", cluster_cidr.prefixlen, 30),
        service_cidr=_network(raw.get("service_cidr"), "service_cidr"),
        node_port_range=_port_range(raw.get("node_port_range", "30000-32767")),
        external_ip_pool=None if pool is None else _network(pool, "external_ip_pool"),
        timings=_timings(raw.get("timings", {})),
        objects=_objects(raw.get("objects", [])),
        control_responder_port=None if port is None else _integer(port, "control_responder_port", 1, 65535),
    )


def _mapping(raw: object, where: str) -> Mapping[str, Any]:
    if not isinstance(raw, dict):
        raise SettingsError(f"{where}: must be an object, got {raw!r}")
    return raw


def _text(raw: object, where: str) -> str:
    if not isinstance(raw, str) or not raw:
        raise SettingsError(f"{where}: must be a text that is not empty, got {raw!r}")
    return raw


def _integer(raw: object, where: str, low: int, high: int) -> int:
    if not isinstance(raw, int) or isinstance(raw, bool) or not low <= raw <= high:
        raise SettingsError(f"{where}: must be an integer from {low} to {high}, got {raw!r}")
    return raw


def _network(raw: object, where: str) -> IPv4Network:
    try:
        return IPv4Network(_text(raw, where))
    except ValueError as error:
        raise SettingsError(f"{where}: {error}") from error


def _address(raw: object) -> IPv4Address | None:
    if raw is None:
        return None
    try:
        return IPv4Address(_text(raw, "default_via"))
    except ValueError as error:
        raise SettingsError(f"default_via: {error}") from error


def _bind(raw: object, where: str) -> Bind:
    host, _, port = _text(raw, where).rpartition(":")
    if not host or not port.isdecimal() or not 0 <= int(port) <= 65535:
        raise SettingsError(f"{where}: must be ADDRESS:PORT, got {raw!r}")
    return Bind(host=host, port=int(port))


def _port_range(raw: object) -> PortRange:
    first, _, last = _text(raw, "node_port_range").partition("-")
    if not (first.isdecimal() and last.isdecimal() and 1 <= int(first) <= int(last) <= 65535):
        raise SettingsError(f"node_port_range: must be FIRST-LAST within 1-65535, got {raw!r}")
    return PortRange(first=int(first), last=int(last))


def _timings(raw: object) -> Timings:
    values = _mapping(raw, "timings")
    names = {item.name for item in fields(Timings)}
    if unknown := sorted(set(values) - names):
        raise SettingsError(f"timings: unknown keys {unknown}; allowed: {sorted(names)}")
    for name, value in values.items():
        if not isinstance(value, int | float) or isinstance(value, bool) or value <= 0:
            raise SettingsError(f"timings.{name}: must be a number above 0, got {value!r}")
    return Timings(**{name: float(value) for name, value in values.items()})


def _objects(raw: object) -> tuple[Object, ...]:
    if not isinstance(raw, list) or not all(isinstance(item, dict) for item in raw):
        raise SettingsError(f"objects: must be a list of Kubernetes objects, got {raw!r}")
    return tuple(raw)
