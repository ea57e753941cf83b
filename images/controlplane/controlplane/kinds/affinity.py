"""Affinity of pods (core/v1): type, and the rules of that to nodes (pkg/apis/core/validation, ValidateNodeSelector)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from controlplane.field_errors import FieldError, forbidden_field, invalid_value, required
from controlplane.kinds.names import check_label_value, check_qualified_key
from controlplane.objects import Object
from controlplane.schema.meta import LABEL_SELECTOR
from controlplane.schema.types import INT32, STRING, STRINGS, ListOf, Type, struct

_REQUIREMENT = struct("NodeSelectorRequirement", key=STRING, operator=STRING, values=STRINGS)
_TERM = struct("NodeSelectorTerm", matchExpressions=ListOf(item=_REQUIREMENT), matchFields=ListOf(item=_REQUIREMENT))
_POD_TERM = struct(
    "PodAffinityTerm",
    labelSelector=LABEL_SELECTOR,
    namespaces=STRINGS,
    topologyKey=STRING,
    namespaceSelector=LABEL_SELECTOR,
    matchLabelKeys=STRINGS,
    mismatchLabelKeys=STRINGS,
)
REQUIRED, PREFERRED = "requiredDuringSchedulingIgnoredDuringExecution", "preferredDuringSchedulingIgnoredDuringExecution"
_PODS: dict[str, Type] = {
    REQUIRED: ListOf(item=_POD_TERM),
    PREFERRED: ListOf(item=struct("WeightedPodAffinityTerm", weight=INT32, podAffinityTerm=_POD_TERM)),
}
_NODES: dict[str, Type] = {
    REQUIRED: struct("NodeSelector", nodeSelectorTerms=ListOf(item=_TERM, stays_empty=True)),
    PREFERRED: ListOf(item=struct("PreferredSchedulingTerm", weight=INT32, preference=_TERM)),
}
AFFINITY = struct(
    "Affinity",
    nodeAffinity=struct("NodeAffinity", **_NODES),
    podAffinity=struct("PodAffinity", **_PODS),
    podAntiAffinity=struct("PodAntiAffinity", **_PODS),
)
OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt")


def check_affinity(affinity: Object, field: str) -> Iterator[FieldError]:
    """The part that concerns nodes."""
    nodes, place = affinity.get("nodeAffinity") or {}, f"{field}.nodeAffinity"
    if (selector := nodes.get(REQUIRED)) is not None:
        terms = selector.get("nodeSelectorTerms") or []
        if not terms:
            yield required(f"{place}.{REQUIRED}.nodeSelectorTerms", "must have at least one node selector term")
        for index, term in enumerate(terms):
            yield from _check_term(term, f"{place}.{REQUIRED}.nodeSelectorTerms[{index}]")
    for index, entry in enumerate(nodes.get(PREFERRED) or ()):
        where = f"{place}.{PREFERRED}[{index}]"
        if not 1 <= entry.get("weight", 0) <= 100:
            yield invalid_value(f"{where}.weight", entry.get("weight", 0), "must be in the range 1-100")
        yield from _check_term(entry.get("preference") or {}, f"{where}.preference")


def _check_term(term: Object, field: str) -> Iterator[FieldError]:
    for index, entry in enumerate(term.get("matchExpressions") or ()):
        yield from _check_expression(entry, f"{field}.matchExpressions[{index}]")
    for index, entry in enumerate(term.get("matchFields") or ()):
        yield from _check_field(entry, f"{field}.matchFields[{index}]")


def _check_expression(entry: Object, field: str) -> Iterator[FieldError]:
    operator, values = entry.get("operator", ""), entry.get("values") or []
    if operator not in OPERATORS:
        yield invalid_value(f"{field}.operator", operator, "not a valid selector operator")
    elif operator in ("In", "NotIn") and not values:
        yield required(f"{field}.values", "must be specified when `operator` is 'In' or 'NotIn'")
    elif operator in ("Exists", "DoesNotExist") and values:
        yield forbidden_field(f"{field}.values", "may not be specified when `operator` is 'Exists' or 'DoesNotExist'")
    elif operator in ("Gt", "Lt") and len(values) != 1:
        yield required(f"{field}.values", "must be specified single value when `operator` is 'Lt' or 'Gt'")
    elif operator in ("Gt", "Lt") and not re.fullmatch("[+-]?[0-9]{1,18}", values[0]):
        yield invalid_value(f"{field}.values[0]", values[0], "for 'Gt', 'Lt' operators, the value must be an integer")
    elif operator in ("In", "NotIn"):
        for index, value in enumerate(values):
            yield from check_label_value(value, f"{field}.values[{index}]")
    yield from check_qualified_key(entry.get("key", ""), f"{field}.key")


def _check_field(entry: Object, field: str) -> Iterator[FieldError]:
    operator, values, key = entry.get("operator", ""), entry.get("values") or [], entry.get("key", "")
    if operator not in ("In", "NotIn"):
        yield invalid_value(f"{field}.operator", operator, "not a valid selector operator")
    elif len(values) != 1:
        why = "must be only one value when `operator` is 'In' or 'NotIn' for node field selector"
        yield required(f"{field}.values", why)
    if key != "metadata.name":
        yield invalid_value(f"{field}.key", key, "not a valid field selector key")
