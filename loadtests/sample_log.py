"""The append-only log of requests: fixed-size records and the strings that they name (docs/contracts.md section 5).

The hot path only packs into memory; the owner of the log calls `flush` a few times a second, so that a killed sender loses at
most what came since. Must not know what a request is.
"""

import json
import os
import struct
from pathlib import Path
from types import TracebackType
from typing import Self

RECORD = struct.Struct("<qqqqIIIIIIHHHBB")
"""intended, sent, first byte, end (CLOCK_MONOTONIC in ns, 0 = never); sequence, ids of path, class, pod, node, client;
local port, HTTP status, connection use; outcome, attempt. The numpy dtype of the orchestrator is the same layout."""

RECORDS_FILE = "samples.bin"
STRINGS_FILE = "strings.jsonl"


class SampleLog:
    """Writes both files into a directory, emptied of an earlier run's at the start."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        # Unbuffered: what is not in the kernel is in our own two buffers, and their order of writing is ours.
        self._records_fd = _create(directory / RECORDS_FILE)
        self._strings_fd = _create(directory / STRINGS_FILE)
        self._records = bytearray()
        self._strings = bytearray()
        self._ids: dict[str, int] = {}
        self.intern("")

    def intern(self, string: str) -> int:
        """The id of a string; the first string, id 0, is the empty one."""
        known = self._ids.get(string)
        if known is not None:
            return known
        new = self._ids[string] = len(self._ids)
        self._strings += json.dumps(string).encode("ascii") + b"\n"
        return new

    def append(
        self,
        intended_ns: int,
        sent_ns: int,
        first_byte_ns: int,
        end_ns: int,
        sequence: int,
        path_id: int,
        class_id: int,
        pod_id: int,
        node_id: int,
        client_id: int,
        local_port: int,
        http_status: int,
        connection_use: int,
        outcome: int,
        attempt: int,
    ) -> None:
        """Add one record, in the order of RECORD. By position: this is the hot path."""
        self._records += RECORD.pack(
            intended_ns,
            sent_ns,
            first_byte_ns,
            end_ns,
            sequence,
            path_id,
            class_id,
            pod_id,
            node_id,
            client_id,
            local_port,
            http_status,
            connection_use,
            outcome,
            attempt,
        )

    def flush(self) -> None:
        """Hand everything to the kernel, which keeps it when this process is killed. Strings go before records that name them."""
        strings, self._strings = self._strings, bytearray()
        _write(self._strings_fd, strings)
        records, self._records = self._records, bytearray()
        _write(self._records_fd, records)

    def close(self) -> None:
        self.flush()
        os.close(self._strings_fd)
        os.close(self._records_fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def _create(file: Path) -> int:
    return os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o644)


def _write(fd: int, content: bytearray) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(fd, rest) :]
