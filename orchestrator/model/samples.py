"""Samples: one record per request of the load. Pure data and its files; must not know how the load was made.

The sender appends raw records to `samples.bin` and the strings that they name to `strings.jsonl` (docs/contracts.md section 5).
A run directory keeps them as `samples.npy`, ordered by intended instant, and `strings.json`.
"""

import json
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from orchestrator.errors import InternalError

RAW_RECORDS, RAW_STRINGS = "samples.bin", "strings.jsonl"
RECORDS, STRINGS = "samples.npy", "strings.json"


class Outcome(IntEnum):
    """How a request ended; the number stands in the records."""

    OK = 0
    REFUSED = 1
    RESET = 2
    CONNECT_TIMEOUT = 3
    RESPONSE_TIMEOUT = 4
    UNREACHABLE = 5
    HTTP_STATUS = 6
    TLS = 7
    BAD_BODY = 8
    CLOSED = 9
    """End of stream before the response was complete."""
    OTHER = 10
    """Anything else, the sender's own troubles included: an arrival above the in-flight limit (never sent), no free port."""

    @property
    def label(self) -> str:
        """The name as docs/contracts.md and the reports write it, for example `connect-timeout`."""
        return self.name.lower().replace("_", "-")


SAMPLE_DTYPE = np.dtype(
    [
        ("intended_ns", "<i8"),  # the instant of the schedule; latency counts from here
        ("sent_ns", "<i8"),  # the first packet was handed to the kernel: connect(), or send() on a kept connection
        ("first_byte_ns", "<i8"),
        ("end_ns", "<i8"),  # the outcome was known
        ("sequence", "<u4"),  # number of the arrival within its class, from 0
        ("path_id", "<u4"),
        ("class_id", "<u4"),
        ("pod_id", "<u4"),
        ("node_id", "<u4"),
        ("client_id", "<u4"),  # the client address that the pod saw
        ("local_port", "<u2"),  # of the last attempt; 0: no connection was begun
        ("http_status", "<u2"),  # 0: no status line came
        ("connection_use", "<u2"),  # 1: first request on its connection; 2: second; ... (stays at 65535)
        ("outcome", "u1"),
        ("attempt", "u1"),
    ]
)
"""Instants are CLOCK_MONOTONIC in ns, 0 = never; `*_id` are indexes into the strings, 0 = the empty string (unknown)."""

Records = NDArray[np.void]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Samples:
    """Records of dtype SAMPLE_DTYPE, ordered by `intended_ns`, and the strings that their ids mean."""

    records: Records
    strings: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.records)

    def id_of(self, string: str) -> int | None:
        """The id of a string, None when no record can name it."""
        return self.strings.index(string) if string in self.strings else None

    def where(self, mask: Mask) -> Self:
        """The records under the mask, with the same strings."""
        return type(self)(records=self.records[mask], strings=self.strings)

    def of(self, path: str, connection_class: str | None = None) -> Self:
        """The records of one path, or of one connection class of it."""
        mask = self._names("path_id", path)
        return self.where(mask if connection_class is None else mask & self._names("class_id", connection_class))

    def column(self, field: str) -> NDArray[np.str_]:
        """The strings that an id field means, record by record, for example `column("pod_id")`."""
        names: NDArray[np.str_] = np.array(self.strings, dtype=np.str_)[self.records[field]]
        return names

    @property
    def ok(self) -> Mask:
        return np.asarray(self.records["outcome"] == Outcome.OK)

    @property
    def subjects(self) -> tuple[tuple[str, str], ...]:
        """Every (path, connection class) that has a record, sorted."""
        pairs = np.unique(self.records[["path_id", "class_id"]])
        return tuple(sorted((self.strings[pair["path_id"]], self.strings[pair["class_id"]]) for pair in pairs))

    def _names(self, field: str, string: str) -> Mask:
        wanted = self.id_of(string)
        return np.zeros(len(self.records), dtype=np.bool_) if wanted is None else np.asarray(self.records[field] == wanted)


def read_raw_samples(directory: Path) -> Samples:
    """What a sender left in `directory`, ordered by intended instant.

    A last record, or a last string, that a killed sender wrote only in part is left out.
    Raises InternalError when a file is missing or a record names an unknown string.
    """
    content = _read(directory / RAW_RECORDS)
    whole = len(content) // SAMPLE_DTYPE.itemsize * SAMPLE_DTYPE.itemsize
    records = np.frombuffer(content[:whole], dtype=SAMPLE_DTYPE)
    lines = _read(directory / RAW_STRINGS).split(b"\n")[:-1]
    strings = tuple(_string(line, directory / RAW_STRINGS, number) for number, line in enumerate(lines, 1))
    return _checked(records[np.argsort(records["intended_ns"], kind="stable")], strings, directory / RAW_RECORDS)


def save_samples(samples: Samples, directory: Path) -> None:
    """Write `samples.npy` and `strings.json`."""
    np.save(directory / RECORDS, samples.records, allow_pickle=False)
    (directory / STRINGS).write_text(json.dumps(samples.strings, ensure_ascii=False) + "\n", encoding="utf-8")


def load_samples(directory: Path) -> Samples:
    """Read what `save_samples` wrote. Raises InternalError for a missing or damaged file."""
    try:
        records = np.load(directory / RECORDS, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise InternalError(f"{directory / RECORDS}: {error}") from error
    if records.dtype != SAMPLE_DTYPE:
        raise InternalError(
            f"{directory / RECORDS}: records are {records.dtype}, expected {SAMPLE_DTYPE}",
            hint="the run was written by another version; judge it with that version",
        )
    try:
        strings = json.loads(_read(directory / STRINGS))
    except ValueError as error:
        raise InternalError(f"{directory / STRINGS}: {error}") from error
    if not isinstance(strings, list) or not all(isinstance(item, str) for item in strings):
        raise InternalError(f"{directory / STRINGS}: expected a list of strings")
    return _checked(records, tuple(strings), directory / RECORDS)


def _checked(records: Records, strings: tuple[str, ...], file: Path) -> Samples:
    for field in ("path_id", "class_id", "pod_id", "node_id", "client_id"):
        highest = int(records[field].max(initial=0))
        if highest >= max(1, len(strings)):
            raise InternalError(f"{file}: a record names string {highest} as its {field}; only {len(strings)} are known")
    return Samples(records=records, strings=strings)


def _string(line: bytes, file: Path, number: int) -> str:
    try:
        value = json.loads(line)
    except ValueError as error:
        raise InternalError(f"{file}: line {number}: {error}") from error
    if not isinstance(value, str):
        raise InternalError(f"{file}: line {number}: expected a JSON string, found {line[:80]!r}")
    return value


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise InternalError(f"{file}: {error.strerror}") from error
