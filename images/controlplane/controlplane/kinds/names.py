"""Rules for names, labels and other texts, with Kubernetes' own messages (apimachinery, util/validation)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from controlplane.field_errors import FieldError, invalid_value, required, too_long, unsupported

_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_DNS1035 = "[a-z]([-a-z0-9]*[a-z0-9])?"
_QUALIFIED = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_VALUE = "(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?"
LABEL_LIMIT = 63
SUBDOMAIN_LIMIT = 253


def _described(text: str, example: str, pattern: str) -> str:
    return f"{text} (e.g. {example}, regex used for validation is '{pattern}')"


_SUBDOMAIN_TEXT = _described(
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with "
    "an alphanumeric character",
    "'example.com'",
    _SUBDOMAIN.replace("\\.", "\\."),
)
_LABEL_TEXT = _described(
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an "
    "alphanumeric character",
    "'my-name',  or '123-abc'",
    _LABEL,
)
_DNS1035_TEXT = _described(
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end "
    "with an alphanumeric character",
    "'my-name',  or 'abc-123'",
    _DNS1035,
)
_QUALIFIED_TEXT = _described(
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character",
    "'MyName',  or 'my.name',  or '123-abc'",
    _QUALIFIED,
)
_VALUE_TEXT = _described(
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with "
    "an alphanumeric character",
    "'MyValue',  or 'my_value',  or '12345'",
    _VALUE,
)
_WILDCARD = rf"\*\.{_SUBDOMAIN}"
_WILDCARD_TEXT = _described(
    "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower case "
    "alphanumeric characters, '-' or '.' and end with an alphanumeric character",
    "'*.example.com'",
    _WILDCARD,
)
_PERCENT_TEXT = (
    "a valid percent string must be a numeric string followed by an ending '%' "
    "(e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')"
)
_HTTP_PATH = "[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+"
_RULES = {
    "wildcard": (re.compile(_WILDCARD), SUBDOMAIN_LIMIT, _WILDCARD_TEXT),
    "subdomain": (re.compile(_SUBDOMAIN), SUBDOMAIN_LIMIT, _SUBDOMAIN_TEXT),
    "label": (re.compile(_LABEL), LABEL_LIMIT, _LABEL_TEXT),
    "dns1035": (re.compile(_DNS1035), LABEL_LIMIT, _DNS1035_TEXT),
}


def check_name(rule: str, text: str, field: str) -> Iterator[FieldError]:
    """A name by rule `subdomain`, `wildcard`, `label` or `dns1035`."""
    pattern, limit, message = _RULES[rule]
    if len(text) > limit:
        yield invalid_value(field, text, f"must be no more than {limit} characters")
    if not pattern.fullmatch(text):
        yield invalid_value(field, text, message)


def check_qualified_key(key: str, field: str) -> Iterator[FieldError]:
    """The key of a label or annotation: an optional DNS prefix and a name."""
    prefix, slash, name = key.rpartition("/")
    if slash and not (prefix and len(prefix) <= SUBDOMAIN_LIMIT and re.fullmatch(_SUBDOMAIN, prefix)):
        yield invalid_value(field, key, f"prefix part {_SUBDOMAIN_TEXT}")
    if not name:
        yield invalid_value(field, key, "name part must be non-empty")
    elif len(name) > LABEL_LIMIT:
        yield invalid_value(field, key, f"name part must be no more than {LABEL_LIMIT} characters")
    if not re.fullmatch(_QUALIFIED, name):
        yield invalid_value(field, key, _QUALIFIED_TEXT)


def check_label_value(value: str, field: str) -> Iterator[FieldError]:
    if len(value) > LABEL_LIMIT:
        yield invalid_value(field, value, f"must be no more than {LABEL_LIMIT} characters")
    if not re.fullmatch(_VALUE, value):
        yield invalid_value(field, value, _VALUE_TEXT)


def check_labels(labels: Mapping[str, str] | None, field: str) -> Iterator[FieldError]:
    for key, value in (labels or {}).items():
        yield from check_qualified_key(key, field)
        yield from check_label_value(value, field)


def check_domain_prefixed_path(text: str, field: str) -> Iterator[FieldError]:
    """Such as `example.com/name`."""
    domain, _, path = text.partition("/")
    if not domain or not path:
        yield invalid_value(field, text, 'must be a domain-prefixed path (such as "acme.io/foo")')
        return
    yield from check_name("subdomain", domain, field)
    if not re.fullmatch(_HTTP_PATH, path):
        yield invalid_value(field, path, f"Invalid path (regex used for validation is '{_HTTP_PATH}')")


def check_path_segment(text: str, field: str) -> Iterator[FieldError]:
    """Whatever can be a part of a URL's path (apimachinery, api/validation/path)."""
    if text in (".", ".."):
        yield invalid_value(field, text, f"may not be '{text}'")
        return
    for part in ("/", "%"):
        if part in text:
            yield invalid_value(field, text, f"may not contain '{part}'")


_CONFIG_KEY = "[-._a-zA-Z0-9]+"
_CONFIG_KEY_TEXT = _described(
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.'",
    "'key.name',  or 'KEY_NAME',  or 'key-name'",
    _CONFIG_KEY,
)


def check_config_key(key: str, field: str) -> Iterator[FieldError]:
    """The key of a ConfigMap's or a Secret's data: a file's name when it is mounted."""
    if len(key) > SUBDOMAIN_LIMIT:
        yield invalid_value(field, key, f"must be no more than {SUBDOMAIN_LIMIT} characters")
    if not re.fullmatch(_CONFIG_KEY, key):
        yield invalid_value(field, key, _CONFIG_KEY_TEXT)
    if key in (".", ".."):
        yield invalid_value(field, key, f"must not be '{key}'")
    elif key.startswith(".."):
        yield invalid_value(field, key, "must not start with '..'")


ANNOTATIONS_LIMIT = 256 * 1024


def check_annotations(annotations: Mapping[str, str] | None, field: str) -> Iterator[FieldError]:
    size = 0
    for key, value in (annotations or {}).items():
        yield from check_qualified_key(key.lower(), field)
        size += len(key) + len(value)
    if size > ANNOTATIONS_LIMIT:
        yield too_long(field, ANNOTATIONS_LIMIT)


def check_port_number(port: Any, field: str) -> Iterator[FieldError]:
    if not isinstance(port, int) or not 1 <= port <= 65535:
        yield invalid_value(field, port, "must be between 1 and 65535, inclusive")


def check_port_name(name: str, field: str) -> Iterator[FieldError]:
    """RFC 6335 section 5.1."""
    if len(name) > 15:
        yield invalid_value(field, name, "must be no more than 15 characters")
    if not re.fullmatch("[-a-z0-9]+", name):
        yield invalid_value(field, name, "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")
    if not re.search("[a-z]", name):
        yield invalid_value(field, name, "must contain at least one letter (a-z)")
    if "--" in name:
        yield invalid_value(field, name, "must not contain consecutive hyphens")
    if name.startswith("-") or name.endswith("-"):
        yield invalid_value(field, name, "must not begin or end with a hyphen")


def check_share(value: Any, field: str) -> Iterator[FieldError]:
    """A number that is not negative, or a percentage (apps/validation, ValidatePositiveIntOrPercent)."""
    if isinstance(value, str):
        if not re.fullmatch("[0-9]+%", value):
            yield invalid_value(field, value, _PERCENT_TEXT)
    elif value < 0:
        yield invalid_value(field, value, "must be greater than or equal to 0")


def is_more_than_everything(value: Any) -> bool:
    """Whether it is a percentage above 100."""
    return isinstance(value, str) and bool(re.fullmatch("[0-9]+%", value)) and int(value[:-1]) > 100


def check_choice(value: Any, allowed: Iterable[str], field: str, *, is_required: bool = True) -> Iterator[FieldError]:
    choices = tuple(allowed)
    if not value:
        if is_required:
            yield required(field)
    elif value not in choices:
        yield unsupported(field, value, choices)


def check_selector(selector: Mapping[str, Any] | None, field: str) -> Iterator[FieldError]:
    """A LabelSelector."""
    selector = selector or {}
    yield from check_labels(selector.get("matchLabels"), f"{field}.matchLabels")
    for index, entry in enumerate(selector.get("matchExpressions") or ()):
        place = f"{field}.matchExpressions[{index}]"
        operator, values = entry.get("operator", ""), entry.get("values") or []
        if operator in ("In", "NotIn"):
            if not values:
                yield required(f"{place}.values", "must be specified when `operator` is 'In' or 'NotIn'")
        elif operator in ("Exists", "DoesNotExist"):
            if values:
                yield FieldError(
                    reason="FieldValueForbidden",
                    field=f"{place}.values",
                    message="Forbidden: may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
                )
        else:
            yield invalid_value(f"{place}.operator", operator, "not a valid selector operator")
        yield from check_qualified_key(entry.get("key", ""), f"{place}.key")
        for number, value in enumerate(values):
            yield from check_label_value(value, f"{place}.values[{number}]")
