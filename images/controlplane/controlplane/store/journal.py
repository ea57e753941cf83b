"""The store on disk: a control plane that is killed and started again has its objects, versions and latest changes.

SQLite in WAL mode with `synchronous=OFF`: a killed process loses nothing that it committed, because the kernel has it. Only a
crash of the whole machine could, and the run ends with the machine.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SCHEMA = """
CREATE TABLE IF NOT EXISTS objects (plural TEXT, namespace TEXT, name TEXT, body BLOB, PRIMARY KEY (plural, namespace, name))
    WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS changes (version INTEGER PRIMARY KEY, type TEXT, plural TEXT, body BLOB, before BLOB);
"""
TRIM_EVERY = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalledChange:
    """A change as it was written."""

    version: int
    type: str
    plural: str
    body: bytes
    before: bytes | None


class Journal:
    """Writes each commit as one transaction."""

    def __init__(self, path: Path | None, *, keep: int) -> None:
        """`path` None keeps the database in memory; `keep`: how many of the latest changes survive a restart."""
        self._database = sqlite3.connect(path or ":memory:", isolation_level=None)
        self._keep = keep
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("PRAGMA synchronous=OFF")
        # The journal is ours alone: no shared memory, and a killed predecessor leaves no lock that matters.
        self._database.execute("PRAGMA locking_mode=EXCLUSIVE")
        self._database.executescript(SCHEMA)

    def close(self) -> None:
        self._database.close()

    def write(self, change: JournalledChange, key: tuple[str, str]) -> None:
        """One commit: the object's new state (or absence), and the change for watchers that come back later."""
        run = self._database.execute
        run("BEGIN")
        if change.type == "DELETED":
            run("DELETE FROM objects WHERE plural=? AND namespace=? AND name=?", (change.plural, *key))
        else:
            run("REPLACE INTO objects VALUES (?, ?, ?, ?)", (change.plural, *key, change.body))
        run(
            "INSERT INTO changes VALUES (?, ?, ?, ?, ?)",
            (change.version, change.type, change.plural, change.body, change.before),
        )
        if change.version % TRIM_EVERY == 0:
            run("DELETE FROM changes WHERE version <= ?", (change.version - self._keep,))
        run("COMMIT")

    def objects(self) -> Iterator[tuple[str, bytes]]:
        """Plural and body of every object."""
        yield from self._database.execute("SELECT plural, body FROM objects")

    def changes(self) -> Iterator[JournalledChange]:
        """The kept changes in order."""
        rows = self._database.execute("SELECT version, type, plural, body, before FROM changes ORDER BY version")
        for version, kind, plural, body, before in rows:
            yield JournalledChange(version=version, type=kind, plural=plural, body=body, before=before)
