"""What a pod may become, in its spec and in its status (kubernetes, pkg/apis/core/validation)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from controlplane.field_errors import FieldError, Rendered, as_go, duplicate, forbidden_field, invalid_value
from controlplane.kinds.addresses import check_address
from controlplane.kinds.names import check_qualified_key
from controlplane.kinds.pod_spec import DEADLINE_LIMIT_S, check_pod_spec
from controlplane.objects import Object, spec_of, status_of

MUTABLE = frozenset({"activeDeadlineSeconds", "tolerations", "schedulingGates"})
DEADLINE = "spec.activeDeadlineSeconds"
OWN_CONDITIONS = frozenset({"PodScheduled", "Ready", "Initialized"})


def check_pod(pod: Object, before: Object | None) -> Iterable[FieldError]:
    spec = spec_of(pod)
    yield from check_pod_spec(spec, "spec", is_pod=True)
    for group in ("containers", "initContainers"):
        for index, container in enumerate(spec.get(group) or ()):
            image = container.get("image", "")
            if image != image.strip():
                yield invalid_value(f"spec.{group}[{index}].image", image, "must not have leading or trailing whitespace")
    if before is None:
        return
    yield from _check_change(spec, spec_of(before))
    if status_of(pod) != status_of(before):
        yield from _check_status(status_of(pod), status_of(before))


def _check_status(status: Object, before: Object) -> Iterator[FieldError]:
    """core/validation, ValidatePodStatusUpdate."""
    for index, entry in enumerate(status.get("conditions") or ()):
        if entry.get("type") not in OWN_CONDITIONS:
            yield from check_qualified_key(entry.get("type", ""), f"metadata.conditions[{index}].Type")
    if before.get("qosClass") and status.get("qosClass") != before["qosClass"]:
        yield invalid_value("status.qosClass", status.get("qosClass", ""), "field is immutable")
    for group in ("podIPs", "hostIPs"):
        yield from _check_addresses(status.get(group) or [], f"status.{group}")


def _check_addresses(entries: list[Object], field: str) -> Iterator[FieldError]:
    texts = [entry.get("ip", "") for entry in entries]
    for index, text in enumerate(texts):
        yield from check_address(text, f"{field}[{index}]")
    if len(texts) > 2 or len({":" in text for text in texts}) < len(texts):
        shown = Rendered(f"[{','.join(as_go(IP=text) for text in texts)}]")
        yield invalid_value(field, shown, "may specify no more than one IP for each IP family")
    for index, text in enumerate(texts):
        if text in texts[:index]:
            yield duplicate(f"{field}[{index}]", as_go(IP=text))


def _check_change(spec: Object, before: Object) -> Iterator[FieldError]:
    """core/validation, ValidatePodUpdate."""
    for group in ("containers", "initContainers"):
        if len(spec.get(group) or ()) != len(before.get(group) or ()):
            yield forbidden_field(f"spec.{group}", "pod updates may not add or remove containers")
            return
    deadline_s, old_s = spec.get("activeDeadlineSeconds"), before.get("activeDeadlineSeconds")
    if deadline_s is None and old_s is not None:
        yield invalid_value(DEADLINE, None, "must not update from a positive integer to nil value")
    elif deadline_s is not None and not 0 <= deadline_s <= DEADLINE_LIMIT_S:
        yield invalid_value(DEADLINE, deadline_s, f"must be between 0 and {DEADLINE_LIMIT_S}, inclusive")
        return
    elif deadline_s is not None and old_s is not None and deadline_s > old_s:
        yield invalid_value(DEADLINE, deadline_s, "must be less than or equal to previous value")
        return
    if any(_toleration_key(entry) not in _toleration_keys(spec) for entry in before.get("tolerations") or ()):
        yield forbidden_field("spec.tolerations", "existing toleration can not be modified except its tolerationSeconds")
    gates = {gate.get("name", "") for gate in before.get("schedulingGates") or ()}
    for index, gate in enumerate(spec.get("schedulingGates") or ()):
        if gate.get("name", "") not in gates:
            why = f"only deletion is allowed, but found new scheduling gate '{gate.get('name', '')}'"
            yield forbidden_field(f"spec.schedulingGates[{index}].name", why)
    if _fixed_part(spec, before) != _fixed_part(before, before):
        yield forbidden_field(
            "spec",
            "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
            "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
            "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)",
        )


def _fixed_part(spec: Object, before: Object) -> Object:
    fixed = {key: value for key, value in spec.items() if key not in MUTABLE}
    grace_s, old_s = (part.get("terminationGracePeriodSeconds") for part in (spec, before))
    if isinstance(old_s, int) and old_s < 0 and grace_s == 1:
        fixed["terminationGracePeriodSeconds"] = old_s
    for group in ("containers", "initContainers"):
        if group in fixed:
            fixed[group] = [{key: value for key, value in entry.items() if key != "image"} for entry in fixed[group]]
    return fixed


def _toleration_key(entry: Object) -> tuple[Any, ...]:
    return tuple(entry.get(name, "") for name in ("key", "operator", "value", "effect"))


def _toleration_keys(spec: Object) -> set[tuple[Any, ...]]:
    return {_toleration_key(entry) for entry in spec.get("tolerations") or ()}
