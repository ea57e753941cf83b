"""Query parameters of lists, watches and writes."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from controlplane.api.paths import Target
from controlplane.errors import StatusError, bad_request, unclassified
from controlplane.objects import Key
from controlplane.schema.decoding import read_json
from controlplane.selectors import Predicate, SelectorError, combine, parse_field_selector, parse_label_selector

Query = Mapping[str, str]


def read_flag(query: Query, name: str) -> bool:
    """Go's strconv.ParseBool, with everything else false as in `runtime.Convert_Slice_string_To_bool`."""
    return name in query and query[name].lower() not in ("false", "0")


def read_number(query: Query, name: str) -> int | None:
    text = query.get(name, "")
    if not text:
        return None
    if not text.removeprefix("-").isdecimal() or not text.isascii() or len(text) > 18:
        raise bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax')
    return int(text)


def read_version(query: Query, complain: Callable[[str], StatusError] = unclassified) -> int | None:
    """The resourceVersion, or None where any will do. Raises what `complain` makes of a text that is none."""
    text = query.get("resourceVersion", "")
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= 18):
        raise complain(f'resourceVersion: Invalid value: "{text}": strconv.ParseUint: parsing "{text}": invalid syntax')
    return int(text)


def read_predicate(target: Target, query: Query) -> Predicate:
    """The selectors of the query, and the name where the target has one, as one question."""
    selectable = target.resource.selectable
    try:
        labels = parse_label_selector(query.get("labelSelector", ""))
    except SelectorError as error:
        raise bad_request(str(error)) from error
    try:
        fields = parse_field_selector(query.get("fieldSelector", ""), selectable)
        if target.name:
            fields += parse_field_selector(f"metadata.name={target.name}", selectable)
    except SelectorError as error:
        raise bad_request(str(error)) from error
    return combine(target.namespace, labels, fields)


@dataclass(frozen=True, slots=True, kw_only=True)
class Continuation:
    """Where the next page begins, and the version of the first: what changed since reaches the client by its watch."""

    version: int
    after: Key

    def render(self) -> str:
        text = json.dumps({"v": "meta.k8s.io/v1", "rv": self.version, "start": list(self.after)})
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def read_continuation(query: Query) -> Continuation | None:
    """Raises StatusError 400 for a token that is not ours."""
    text = query.get("continue", "")
    if not text:
        return None
    try:
        raw = read_json(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), _bad_token)
        version, (namespace, name) = raw["rv"], raw["start"]
        if not isinstance(version, int) or not isinstance(namespace, str) or not isinstance(name, str):
            raise TypeError
    except (ValueError, KeyError, TypeError):
        raise _bad_token("incorrectly encoded") from None
    return Continuation(version=version, after=(namespace, name))


def _bad_token(why: str) -> StatusError:
    return bad_request(f"invalid continue token: continue key is not valid: {why}")
