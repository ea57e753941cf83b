"""HAProxy's counters: retries of each server, and log lines that it had to drop. Pure."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass

SHOW_SERVERS = "show stat -1 4 -1"
"""All proxies, servers only (type 4), all of them (management manual 2.6, section 9.3)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retries:
    """Cumulative since HAProxy started or the server was added: `wretr`, `wredis`, `econ` (manual, section 9.1)."""

    retries: int
    redispatches: int
    connection_errors: int


def parse_retries(answer: str) -> Mapping[tuple[str, str], Retries]:
    """The counters by (backend, server) from the answer to `SHOW_SERVERS`."""
    lines = answer.lstrip().removeprefix("# ").splitlines()
    return {
        (row["pxname"], row["svname"]): Retries(
            retries=int(row["wretr"] or 0), redispatches=int(row["wredis"] or 0), connection_errors=int(row["econ"] or 0)
        )
        for row in csv.DictReader(line for line in lines if line)
    }


def parse_information(answer: str) -> Mapping[str, str]:
    """The answer to `show info`: `Pid`, `Version`, `DroppedLogs` and many more."""
    return dict(line.split(": ", 1) for line in answer.splitlines() if ": " in line)
