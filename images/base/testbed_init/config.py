"""The part of `/etc/testbed/config.json` that init reads, decoded and checked; `settings` belongs to the role's own process."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Mapping
from dataclasses import dataclass

from testbed_init.ground import Ground

KEYS = {"run_id", "container", "role", "expires_in_s", "default_via", "routes", "processes", "fault_ground", "settings"}


class ConfigError(ValueError):
    """The configuration is not what the contract says; the message names the key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One static route of the container; several next hops share it by the kernel's hash."""

    to: ipaddress.IPv4Network
    next_hops: tuple[ipaddress.IPv4Address, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessConfig:
    """One process that init starts and watches."""

    name: str
    argv: tuple[str, ...]
    restart: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class InitConfig:
    """What init needs to know about its container."""

    run_id: str
    container: str
    role: str
    expires_in_s: float
    default_via: ipaddress.IPv4Address | None
    routes: tuple[Route, ...]
    processes: tuple[ProcessConfig, ...]
    fault_ground: tuple[Ground, ...] = ()
    """What the run's faults will stand on in this container."""


def decode_config(text: str | bytes) -> InitConfig:
    """Decode the file's text.

    Raises:
        ConfigError: not JSON, an unknown or missing key, a wrong type, an address that is none, a process named twice.
    """
    try:
        raw = json.loads(text)
    except ValueError as error:
        raise ConfigError(f"config: not JSON: {error}") from error
    document = _mapping(raw, "config", KEYS)
    processes = tuple(
        _process(item, f"processes[{i}]") for i, item in enumerate(_list(document.get("processes", []), "processes"))
    )
    names = [process.name for process in processes]
    if len(set(names)) != len(names):
        raise ConfigError(f"processes: names must be unique, got {names}")
    default_via = document.get("default_via")
    return InitConfig(
        run_id=_text(document, "run_id", "config"),
        container=_text(document, "container", "config"),
        role=_text(document, "role", "config"),
        expires_in_s=_positive(document, "expires_in_s", "config"),
        default_via=None if default_via is None else _address(default_via, "default_via"),
        routes=tuple(_route(item, f"routes[{i}]") for i, item in enumerate(_list(document.get("routes", []), "routes"))),
        processes=processes,
        fault_ground=tuple(
            _ground(item, f"fault_ground[{i}]") for i, item in enumerate(_list(document.get("fault_ground", []), "fault_ground"))
        ),
    )


def _route(value: object, where: str) -> Route:
    raw = _mapping(value, where, {"to", "via", "nexthops"})
    to = _text(raw, "to", where)
    try:
        network = ipaddress.IPv4Network(to)
    except ValueError as error:
        raise ConfigError(f"{where}.to: {error}") from error
    if ("via" in raw) == ("nexthops" in raw):
        raise ConfigError(f"{where}: needs either via or nexthops, got {sorted(raw)}")
    if "via" in raw:
        return Route(to=network, next_hops=(_address(raw["via"], f"{where}.via"),))
    hops = [_address(hop, f"{where}.nexthops[{i}]") for i, hop in enumerate(_list(raw["nexthops"], f"{where}.nexthops"))]
    if not hops or len(set(hops)) != len(hops):
        raise ConfigError(f"{where}.nexthops: must be addresses, each once, got {raw['nexthops']!r}")
    return Route(to=network, next_hops=tuple(hops))


def _process(value: object, where: str) -> ProcessConfig:
    raw = _mapping(value, where, {"name", "argv", "restart"})
    argv = _list(raw.get("argv"), f"{where}.argv")
    if not argv or not all(isinstance(word, str) for word in argv):
        raise ConfigError(f"{where}.argv: must be a list of at least one string, got {argv!r}")
    restart = raw.get("restart", False)
    if not isinstance(restart, bool):
        raise ConfigError(f"{where}.restart: must be true or false, got {restart!r}")
    return ProcessConfig(name=_text(raw, "name", where), argv=tuple(str(word) for word in argv), restart=restart)


def _ground(value: object, where: str) -> Ground:
    try:
        return Ground(str(value))
    except ValueError:
        raise ConfigError(f"{where}: must be one of {[str(item) for item in Ground]}, got {value!r}") from None


def _mapping(value: object, where: str, keys: set[str]) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise ConfigError(f"{where}: must be an object, got {value!r}")
    unknown = sorted(set(value) - keys)
    if unknown:
        raise ConfigError(f"{where}: unknown keys {unknown}; allowed: {sorted(keys)}")
    return value


def _list(value: object, where: str) -> list[object]:
    if not isinstance(value, list):
        raise ConfigError(f"{where}: must be a list, got {value!r}")
    return value


def _text(raw: Mapping[str, object], key: str, where: str) -> str:
    value = raw.get(key)
    if not isinstance(value, str) or not value:
        raise ConfigError(f"{where}.{key}: must be a non-empty string, got {value!r}")
    return value


def _positive(raw: Mapping[str, object], key: str, where: str) -> float:
    value = raw.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        raise ConfigError(f"{where}.{key}: must be a number above 0, got {value!r}")
    return float(value)


def _address(value: object, where: str) -> ipaddress.IPv4Address:
    try:
        return ipaddress.IPv4Address(value if isinstance(value, str) else repr(value))
    except ValueError as error:
        raise ConfigError(f"{where}: {error}") from error
