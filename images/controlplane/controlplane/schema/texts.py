"""Texts that a typed client parses: why it could not, in the words of Go's own decoders. Pure.

Source: encoding/base64; apimachinery, pkg/api/resource, quantity.go; time.Parse of RFC 3339.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

_BASE64 = re.compile("(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")
_QUANTITY_FORMAT = "^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$"
_QUANTITY = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[numkMGTPE]|[KMGTPE]i|[eE][+-]?[0-9]{1,9})?")
_TIME = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.[0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})")
_TIME_FORMAT = "2006-01-02T15:04:05Z07:00"
_MICROSECONDS = re.compile(r"\.[0-9]{6}(?=Z|[+-])")
_MICRO_TIME_FORMAT = "2006-01-02T15:04:05.000000Z07:00"


def why_no_base64(text: str) -> str | None:
    """None: it can be decoded."""
    plain = text.replace("\r", "").replace("\n", "")
    if _BASE64.fullmatch(plain):
        return None
    strange = re.search("[^A-Za-z0-9+/]", plain)
    place = len(plain) // 4 * 4 if strange is None else strange.start()
    return f"illegal base64 data at input byte {place}"


def why_no_quantity(value: Any) -> str | None:
    """None: it is an amount. `value`: a text, or a number, as JSON has it."""
    text = str(value).strip()
    if _QUANTITY.fullmatch(text):
        return None
    if re.fullmatch(_QUANTITY_FORMAT, text):
        return "unable to parse quantity's suffix"
    return f"quantities must match the regular expression '{_QUANTITY_FORMAT}'"


def why_no_time(text: str) -> str | None:
    """None: it is an instant (RFC 3339 section 5.6)."""
    match = _TIME.fullmatch(text)
    if match is None:
        return f'parsing time "{text}" as "{_TIME_FORMAT}": cannot parse "{text}" as "2006"'
    try:
        datetime.fromisoformat(match.group(1) + match.group(2).replace("Z", "+00:00"))
    except ValueError:
        return f'parsing time "{text}": out of range'
    return None


def render_seconds(text: str) -> str:
    """An instant as it is stored: in UTC and whole seconds."""
    if len(text) == len("2006-01-02T15:04:05Z"):
        return text
    moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def render_microseconds(text: str) -> str:
    """An instant to the microsecond as it is stored: in UTC."""
    if text.endswith("Z"):
        return text
    return datetime.fromisoformat(text).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def why_no_micro_time(text: str) -> str | None:
    """None: it is an instant to the microsecond, six digits of it (apimachinery, meta/v1 MicroTime)."""
    if (why := why_no_time(text)) is not None:
        return why.replace(_TIME_FORMAT, _MICRO_TIME_FORMAT)
    rest = text[len("2006-01-02T15:04:05") :]
    if _MICROSECONDS.match(rest):
        return None
    return f'parsing time "{text}" as "{_MICRO_TIME_FORMAT}": cannot parse "{rest}" as ".000000"'


def show_go(value: object) -> str:
    """JSON as Go prints it where it thinks of maps and slices (package fmt, verb %v)."""
    if isinstance(value, dict):
        return f"map[{' '.join(f'{key}:{show_go(value[key])}' for key in sorted(value))}]"
    if isinstance(value, list):
        return f"[{' '.join(map(show_go, value))}]"
    if value is None:
        return "<nil>"
    return str(value).lower() if isinstance(value, bool) else str(value)
