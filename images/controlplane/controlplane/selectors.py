"""Label and field selectors: parsed once, then asked (apimachinery, pkg/labels/selector.go, pkg/fields/selector.go)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from controlplane.field_errors import FieldError
from controlplane.kinds.names import check_label_value, check_qualified_key
from controlplane.objects import Object

_INTEGER = re.compile("[+-]?[0-9]{1,18}")
"""Within 64 bits."""


class SelectorError(Exception):
    """The text is no selector."""


class Operator(StrEnum):
    IN = "in"
    NOT_IN = "notin"
    EXISTS = "exists"
    ABSENT = "!"
    GREATER = "gt"
    LESS = "lt"


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """One condition on the value of a key."""

    key: str
    operator: Operator
    values: frozenset[str] = frozenset()

    def matches(self, labels: Mapping[str, str]) -> bool:
        value = labels.get(self.key)
        match self.operator:
            case Operator.IN:
                return value is not None and value in self.values
            case Operator.NOT_IN:
                return value is None or value not in self.values
            case Operator.EXISTS:
                return value is not None
            case Operator.ABSENT:
                return value is None
        wanted = next(iter(self.values), "")
        if value is None or not (_INTEGER.fullmatch(value) and _INTEGER.fullmatch(wanted)):
            return False
        limit = int(wanted)
        return int(value) > limit if self.operator is Operator.GREATER else int(value) < limit


_TOKEN = re.compile(r"[ \t\r\n]*(==|!=|[=!<>(),]|[^ \t\r\n=!<>(),]+)")
_SYMBOLS = frozenset({"==", "!=", "=", "!", "<", ">", "(", ")", ","})
_OPERATORS = ("in", "notin", "=", "==", "!=", "gt", "lt")
_END = ""


def parse_label_selector(text: str) -> tuple[Requirement, ...]:
    """Raises SelectorError, with the API server's message."""
    tokens = _Tokens(text)
    found: list[Requirement] = []
    while tokens.next != _END:
        if tokens.next in _SYMBOLS and tokens.next != "!":
            raise SelectorError(f"found '{tokens.next}', expected: !, identifier, or 'end of string'")
        try:
            found.append(_requirement(tokens))
        except SelectorError as error:
            raise SelectorError(f"unable to parse requirement: {error}") from None
        separator = tokens.take()
        if separator == _END:
            break
        if separator != ",":
            raise SelectorError(f"found '{separator}', expected: ',' or 'end of string'")
        if tokens.next == _END or (tokens.next in _SYMBOLS and tokens.next != "!"):
            raise SelectorError(f"found '{tokens.next}', expected: identifier after ','")
    return tuple(found)


class _Tokens:
    """The words and symbols of a selector, one after the other; past the last one the end."""

    def __init__(self, text: str) -> None:
        self._left = _TOKEN.findall(text)[::-1]

    @property
    def next(self) -> str:
        return str(self._left[-1]) if self._left else _END

    def take(self) -> str:
        return str(self._left.pop()) if self._left else _END

    def take_identifier(self) -> str:
        token = self.take()
        if token == _END or token in _SYMBOLS:
            raise SelectorError(f"found '{token}', expected: identifier")
        return token


def _requirement(tokens: _Tokens) -> Requirement:
    is_absent = tokens.next == "!"
    if is_absent:
        tokens.take()
    key = tokens.take_identifier()
    _refuse(check_qualified_key(key, "<nil>"))
    if is_absent or tokens.next in (_END, ","):
        return Requirement(key=key, operator=Operator.ABSENT if is_absent else Operator.EXISTS)
    operator = tokens.take()
    if operator in ("in", "notin"):
        values = _value_list(tokens)
        for index, value in enumerate(sorted(values)):
            _refuse(check_label_value(value, f"values[{index}][{key}]"))
        return Requirement(key=key, operator=Operator(operator), values=frozenset(values))
    if operator not in ("=", "==", "!=", "<", ">"):
        raise SelectorError(f"found '{operator}', expected: {', '.join(_OPERATORS)}")
    value = "" if tokens.next in (_END, ",") else tokens.take_identifier()
    if operator in ("<", ">"):
        if not _INTEGER.fullmatch(value):
            raise SelectorError(f"values[0]: Invalid value: \"{value}\": for 'Gt', 'Lt' operators, the value must be an integer")
        return Requirement(key=key, operator=Operator.GREATER if operator == ">" else Operator.LESS, values=frozenset({value}))
    _refuse(check_label_value(value, f"values[0][{key}]"))
    return Requirement(key=key, operator=Operator.NOT_IN if operator == "!=" else Operator.IN, values=frozenset({value}))


def _refuse(errors: Iterable[FieldError]) -> None:
    for error in errors:
        raise SelectorError(f"{error.field}: {error.message}")


def _value_list(tokens: _Tokens) -> set[str]:
    opened = tokens.take()
    if opened != "(":
        raise SelectorError(f"found '{opened}' expected: '('")
    if tokens.next == _END or (tokens.next in _SYMBOLS and tokens.next not in (",", ")")):
        raise SelectorError(f"found '{tokens.next}', expected: ',', ')' or identifier")
    values: set[str] = set()
    is_empty = True
    while True:
        token = tokens.take()
        if token in (",", ")"):
            if is_empty:
                values.add("")
            if token == ")":
                return values
            is_empty = True
        elif token == _END or token in _SYMBOLS:
            raise SelectorError(f"found '{token}', expected: ',', or identifier")
        else:
            if tokens.next not in (",", ")"):
                raise SelectorError(f"found '{tokens.next}', expected: ',' or ')'")
            values.add(token)
            is_empty = False


def matches_selector(selector: Mapping[str, Any] | None, labels: Mapping[str, str]) -> bool:
    """Whether a LabelSelector object selects the labels; a missing one selects nothing, an empty one everything."""
    if selector is None:
        return False
    for key, value in (selector.get("matchLabels") or {}).items():
        if labels.get(key) != value:
            return False
    names = {"In": Operator.IN, "NotIn": Operator.NOT_IN, "Exists": Operator.EXISTS, "DoesNotExist": Operator.ABSENT}
    return all(
        Requirement(key=entry["key"], operator=names[entry["operator"]], values=frozenset(entry.get("values") or ())).matches(
            labels
        )
        for entry in selector.get("matchExpressions") or ()
    )


def matches_labels(wanted: Mapping[str, str] | None, labels: Mapping[str, str]) -> bool:
    """Whether a plain map selector (a Service's, a pod's nodeSelector) selects the labels."""
    return all(labels.get(key) == value for key, value in (wanted or {}).items())


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldRequirement:
    """One `path=value` or `path!=value`."""

    path: tuple[str, ...]
    value: str
    is_equal: bool
    default: str

    def matches(self, item: Object) -> bool:
        found: Any = item
        for part in self.path:
            found = found.get(part) if isinstance(found, dict) else None
        text = self.default if found in (None, "") else str(found).lower() if isinstance(found, bool) else str(found)
        return (text == self.value) is self.is_equal


ALWAYS = ("metadata.name", "metadata.namespace")
_FIELD_TERM = re.compile(r"((?:[^\\=!,]|\\.)*?)(!=|==|=)((?:[^\\,=]|\\.)*)")


def parse_field_selector(text: str, selectable: Mapping[str, str]) -> tuple[FieldRequirement, ...]:
    """`selectable`: what the resource supports beyond its name and namespace, with default values. Raises SelectorError."""
    found = []
    for term in filter(None, re.split(r"(?<!\\),", text)):
        match = _FIELD_TERM.fullmatch(term)
        if match is None:
            raise SelectorError(f"invalid selector: '{text}'; can't understand '{term}'")
        path, operator, value = match.groups()
        if path not in selectable and path not in ALWAYS:
            raise SelectorError(_refusal(path, selectable))
        unescaped = re.sub(r"\\(.)", r"\1", value)
        found.append(
            FieldRequirement(
                path=tuple(path.split(".")), value=unescaped, is_equal=operator != "!=", default=selectable.get(path, "")
            )
        )
    return tuple(found)


def _refusal(path: str, selectable: Mapping[str, str]) -> str:
    """Kinds without fields of their own leave the answer to apimachinery (runtime, DefaultMetaV1FieldSelectorConversion)."""
    if selectable:
        return f"field label not supported: {path}"
    known = ", ".join(f'"{name}"' for name in ALWAYS)
    return f'"{path}" is not a known field selector: only {known}'


Predicate = Callable[[Object], bool]


def selects_everything(item: Object) -> bool:
    """No selector was given."""
    return True


def combine(namespace: str | None, labels: tuple[Requirement, ...], fields: tuple[FieldRequirement, ...]) -> Predicate:
    """One question for namespace, labels and fields."""
    if namespace is None and not labels and not fields:
        return selects_everything

    def selects(item: Object) -> bool:
        metadata = item["metadata"]
        if namespace is not None and metadata.get("namespace") != namespace:
            return False
        if labels:
            found = metadata.get("labels") or {}
            if not all(entry.matches(found) for entry in labels):
                return False
        return all(entry.matches(item) for entry in fields)

    return selects
