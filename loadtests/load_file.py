"""The load as /run/load/load.json gives it (docs/contracts.md section 5), decoded and checked. Must not touch the network."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import cast


class LoadFileError(Exception):
    """load.json is not what the contract says: file, path of the key, what was found, what is allowed."""


class Arrivals(StrEnum):
    UNIFORM = "uniform"
    POISSON = "poisson"


class Expect(StrEnum):
    """What a 2xx response must carry to be ok."""

    POD = "pod"
    """The JSON of a pod: pod, node and the client address that it saw."""
    ANY = "any"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadClass:
    """One open arrival process: one connection class on one path."""

    path: str
    connection_class: str
    url: str
    rate_rps: float
    connections: int
    arrivals: Arrivals
    expect: Expect
    connect_to: str | None = None
    """The address that is called in place of the URL's host, which stays what is asked for (Host, TLS server name)."""
    ca_file: str | None = None
    """Who may sign the certificate; None: the system's authorities."""

    @property
    def subject(self) -> str:
        return f"{self.path}/{self.connection_class}"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadFile:
    start_mono_ns: int | None
    """None: the start is given later, in a file of its own."""
    duration_s: float
    timeout_s: float
    in_flight_limit: int
    seed: int
    classes: tuple[LoadClass, ...]


def read_load_file(file: Path) -> LoadFile:
    """Raises LoadFileError."""
    try:
        document = json.loads(file.read_bytes())
    except OSError as error:
        raise LoadFileError(f"{file}: {error.strerror}") from error
    except ValueError as error:
        raise LoadFileError(f"{file}: not JSON: {error}") from error
    try:
        return decode_load(document)
    except LoadFileError as error:
        raise LoadFileError(f"{file}: {error}") from error


def decode_load(document: object) -> LoadFile:
    """Raises LoadFileError with the path of the key."""
    top = _Keys("", document)
    start = top.get("start_mono_ns", None)
    if start is not None and not _is_int(start):
        raise LoadFileError(f"start_mono_ns: found {start!r}; allowed: an integer or null")
    classes = top.get("classes", [])
    if not isinstance(classes, list):
        raise LoadFileError(f"classes: found {type(classes).__name__}; allowed: a list")
    load = LoadFile(
        start_mono_ns=cast("int | None", start),
        duration_s=top.positive("duration_s"),
        timeout_s=top.positive("timeout_s"),
        in_flight_limit=top.count("in_flight_limit"),
        seed=top.integer("seed"),
        classes=tuple(_decode_class(_Keys(f"classes[{number}]", item)) for number, item in enumerate(classes)),
    )
    subjects = [item.subject for item in load.classes]
    twice = sorted({subject for subject in subjects if subjects.count(subject) > 1})
    if twice:
        raise LoadFileError(f"classes: {', '.join(twice)}: given twice; allowed: each path and class once")
    return load


def _decode_class(keys: "_Keys") -> LoadClass:
    return LoadClass(
        path=keys.text("path"),
        connection_class=keys.text("class"),
        url=keys.text("url"),
        rate_rps=keys.positive("rate_rps"),
        connections=keys.count("connections", 1),
        arrivals=Arrivals(keys.one_of("arrivals", tuple(Arrivals), Arrivals.UNIFORM)),
        expect=Expect(keys.one_of("expect", tuple(Expect), Expect.POD)),
        connect_to=keys.text_or_none("connect_to"),
        ca_file=keys.text_or_none("ca_file"),
    )


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


_REQUIRED = object()


class _Keys:
    """The keys of one JSON object, each read with its check."""

    def __init__(self, where: str, document: object) -> None:
        if not isinstance(document, dict):
            raise LoadFileError(f"{where or 'document'}: found {type(document).__name__}; allowed: an object")
        self._where = where
        self._document = cast("Mapping[str, object]", document)

    def get(self, key: str, default: object = _REQUIRED) -> object:
        value = self._document.get(key, default)
        if value is _REQUIRED:
            raise LoadFileError(f"{self._name(key)}: missing")
        return value

    def text(self, key: str) -> str:
        value = self.get(key)
        if not isinstance(value, str) or not value:
            raise LoadFileError(f"{self._name(key)}: found {value!r}; allowed: a text")
        return value

    def text_or_none(self, key: str) -> str | None:
        return None if self.get(key, None) is None else self.text(key)

    def one_of(self, key: str, allowed: tuple[str, ...], default: str) -> str:
        value = self.get(key, default)
        if not isinstance(value, str) or value not in allowed:
            raise LoadFileError(f"{self._name(key)}: found {value!r}; allowed: {', '.join(allowed)}")
        return value

    def positive(self, key: str) -> float:
        value = self.get(key)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < float("inf"):
            raise LoadFileError(f"{self._name(key)}: found {value!r}; allowed: a number above 0")
        return float(value)

    def integer(self, key: str) -> int:
        value = self.get(key)
        if not _is_int(value):
            raise LoadFileError(f"{self._name(key)}: found {value!r}; allowed: an integer")
        return cast("int", value)

    def count(self, key: str, default: object = _REQUIRED) -> int:
        value = self.get(key, default)
        if not _is_int(value) or cast("int", value) < 1:
            raise LoadFileError(f"{self._name(key)}: found {value!r}; allowed: an integer from 1")
        return cast("int", value)

    def _name(self, key: str) -> str:
        return f"{self._where}.{key}" if self._where else key
