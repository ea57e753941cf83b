"""`settings.routing` of /etc/testbed/config.json (docs/contracts.md section 3)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

KEYS = {"announcements", "bird_log", "nodes", "virtual_addresses"}


class SettingsError(Exception):
    """The configuration is not what docs/contracts.md says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    bird_log: Path | None
    """None: no BIRD to look at."""
    nodes: Mapping[str, str]
    """Address -> name."""
    virtual_addresses: Mapping[str, str]
    """Address -> path."""


def read_settings(file: Path) -> tuple[str, Settings]:
    """The container's name and its settings. Raises SettingsError naming the key."""
    config: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    found = config.get("settings", {}).get("routing")
    if not isinstance(found, dict):
        raise SettingsError(f"{file}: settings.routing is required")
    if unknown := sorted(set(found) - KEYS):
        raise SettingsError(f"{file}: settings.routing: unknown keys {unknown}; allowed: {sorted(KEYS)}")
    log = found.get("bird_log")
    return config["container"], Settings(
        bird_log=None if log is None else Path(log),
        nodes=dict(found.get("nodes", {})),
        virtual_addresses=dict(found.get("virtual_addresses", {})),
    )
