"""The warden's part of /etc/testbed/config.json."""

import json
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    run_id: str
    expires_in_s: float
    guard: str
    """The nft script of the run's guard table."""


def decode_config(text: str) -> Config:
    """Raises ValueError naming what is wrong."""
    record = json.loads(text)
    try:
        run_id, expires_in_s, guard = record["run_id"], record["expires_in_s"], record["settings"]["guard"]
    except (KeyError, TypeError) as error:
        raise ValueError(f"config.json lacks {error}") from None
    if not (isinstance(run_id, str) and isinstance(expires_in_s, int | float) and isinstance(guard, str)):
        raise ValueError("config.json: run_id and settings.guard are text, expires_in_s is a number")
    return Config(run_id=run_id, expires_in_s=float(expires_in_s), guard=guard)
