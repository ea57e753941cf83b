"""The engine's host: its nftables guard tables and its routes. The only module of the warden that runs commands."""

import json
import re
import subprocess  # noqa: TID251 - the warden's one place for commands

COMMENT = re.compile(r'^\tcomment "ingress-testbed run (?P<run>[0-9a-z]+)"$', re.MULTILINE)
TABLE = re.compile(r"^table (?P<table>inet \S+)$", re.MULTILINE)


class HostCommandError(Exception):
    """A command on the host's network failed; the message has its argv, status and output."""


def write_guard(script: str) -> None:
    _run(["nft", "-f", "-"], script)


def guard_tables() -> dict[str, str]:
    """Run id -> `inet NAME` of every guard table, known by its comment alone (nft 1.0.6 leaves comments out of its JSON)."""
    tables = TABLE.findall(_run(["nft", "list", "tables"]))
    found: dict[str, str] = {}
    for table in tables:
        head = _run(["nft", "--stateless", "list", "table", *table.split()])
        if match := COMMENT.search(head):
            found[match["run"]] = table
    return found


def delete_guard(run_id: str) -> bool:
    """Whether there was one."""
    table = guard_tables().get(run_id)
    if table is not None:
        _run(["nft", "delete", "table", *table.split()])
    return table is not None


def routes() -> list[dict[str, object]]:
    """IPv4 routes of all tables but the local one: `{"to", "dev", "connected"}`; the default route is left out."""
    return decode_routes(_run(["ip", "-json", "-4", "route", "show", "table", "all"]))


def decode_routes(text: str) -> list[dict[str, object]]:
    return [
        {"to": route["dst"], "dev": route.get("dev"), "connected": "gateway" not in route and "via" not in route}
        for route in json.loads(text or "[]")
        if route.get("table") != "local" and route["dst"] != "default"
    ]


def boot_id() -> str:
    """Names the kernel's boot: two processes with the same one share CLOCK_MONOTONIC (random(4))."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:  # noqa: PTH123 - pathlib is one import more
        return file.read().strip()


def _run(argv: list[str], text: str | None = None) -> str:
    done = subprocess.run(argv, input=text, capture_output=True, text=True, timeout=20, check=False)
    if done.returncode != 0:
        raise HostCommandError(f"`{' '.join(argv)}` ended with status {done.returncode}: {done.stderr.strip()}")
    return done.stdout
