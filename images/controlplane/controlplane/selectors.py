"""Label and field selectors: parsed once, then asked (apimachinery, pkg/labels/selector.go, pkg/fields/selector.go)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

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


_TOKEN = re.compile(r"\s*(==|!=|=|!|<|>|\(|\)|,|[^\s=!<>(),]+)")


def parse_label_selector(text: str) -> tuple[Requirement, ...]:
    """Raises SelectorError."""
    tokens = _tokens(text)
    found: list[Requirement] = []
    while tokens:
        try:
            found.append(_requirement(tokens))
        except SelectorError as error:
            raise SelectorError(f"unable to parse requirement: {error}") from None
        if tokens and (token := tokens.pop(0)) != ",":
            raise SelectorError(f"found '{token}', expected: ',' or 'end of string'")
        if not tokens and text.rstrip().endswith(","):
            raise SelectorError("found '', expected: identifier after ','")
    return tuple(found)


def _tokens(text: str) -> list[str]:
    tokens, position = [], 0
    text = text.rstrip()
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise SelectorError(f"unable to parse requirement: unexpected {text[position:]!r}")
        tokens.append(match.group(1))
        position = match.end()
    return tokens


_PUNCTUATION = frozenset({"==", "!=", "=", "!", "<", ">", "(", ")", ","})


def _requirement(tokens: list[str]) -> Requirement:
    first = tokens.pop(0)
    if first == "!":
        return Requirement(key=_key(tokens), operator=Operator.ABSENT)
    tokens.insert(0, first)
    key = _key(tokens)
    if not tokens or tokens[0] == ",":
        return Requirement(key=key, operator=Operator.EXISTS)
    operator = tokens.pop(0)
    if operator in ("=", "==", "!="):
        value = tokens.pop(0) if tokens and tokens[0] not in _PUNCTUATION else ""
        _check_value(key, value)
        return Requirement(key=key, operator=Operator.NOT_IN if operator == "!=" else Operator.IN, values=frozenset({value}))
    if operator in ("in", "notin"):
        return Requirement(key=key, operator=Operator(operator), values=_value_list(tokens, key))
    if operator in ("<", ">"):
        value = tokens.pop(0) if tokens else ""
        if not re.fullmatch("[+-]?[0-9]{1,18}", value):
            raise SelectorError(
                f"values[0][{key}]: Invalid value: \"{value}\": for 'Gt', 'Lt' operators, the value must be an integer"
            )
        return Requirement(key=key, operator=Operator.GREATER if operator == ">" else Operator.LESS, values=frozenset({value}))
    raise SelectorError(f"found '{operator}', expected: in, notin, =, ==, !=, gt, lt")


def _key(tokens: list[str]) -> str:
    key = tokens.pop(0) if tokens else ""
    if not key or key in _PUNCTUATION:
        raise SelectorError(f"found '{key}', expected: identifier")
    # Its place has no name where a selector is a text: Go shows a path that is nil.
    for error in check_qualified_key(key, "<nil>"):
        raise SelectorError(f"{error.field}: {error.message}")
    return key


def _check_value(key: str, value: str) -> None:
    for error in check_label_value(value, f"values[0][{key}]"):
        raise SelectorError(f"{error.field}: {error.message}")


def _value_list(tokens: list[str], key: str) -> frozenset[str]:
    if (first := tokens.pop(0) if tokens else "") != "(":
        raise SelectorError(f"found '{first}' expected: '('")
    values: set[str] = set()
    expects_value = True
    while tokens:
        token = tokens.pop(0)
        if token == ")":
            if expects_value:
                values.add("")
            return frozenset(values)
        if token == ",":
            if expects_value:
                values.add("")
            expects_value = True
        elif token in _PUNCTUATION or not expects_value:
            raise SelectorError(f"found '{token}', expected: ',' or ')'")
        else:
            _check_value(key, token)
            values.add(token)
            expects_value = False
    raise SelectorError("found '', expected: ',' or ')'")


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
