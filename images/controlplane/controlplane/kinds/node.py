"""Node (core/v1) and Lease (coordination.k8s.io/v1)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from ipaddress import ip_network

from controlplane.field_errors import FieldError, as_go, duplicate, forbidden_field, invalid_value, unsupported
from controlplane.kinds.addresses import check_address
from controlplane.kinds.amounts import check_amounts
from controlplane.kinds.columns import AGE, NAME, NONE, join_or_none
from controlplane.kinds.names import check_choice, check_label_value, check_qualified_key
from controlplane.kinds.resource import Column, Resource
from controlplane.objects import Object, condition, labels_of, spec_of, status_of
from controlplane.schema.meta import TAINT, conditions, kind
from controlplane.schema.types import (
    INT32,
    MICRO_TIME,
    OPAQUE,
    OPAQUES,
    QUANTITIES,
    STRING,
    STRING_POINTER,
    STRING_SET,
    STRINGS,
    SWITCH,
    ListOf,
    keyed,
    opaques,
    strings,
    struct,
)

_SYSTEM = struct(
    "NodeSystemInfo",
    **strings(
        "machineID systemUUID bootID kernelVersion osImage containerRuntimeVersion kubeletVersion kubeProxyVersion "
        "operatingSystem architecture"
    ),
    swap=OPAQUE,
)
_STATUS = struct(
    "NodeStatus",
    capacity=QUANTITIES,
    allocatable=QUANTITIES,
    phase=STRING,
    conditions=conditions("NodeCondition", "lastHeartbeatTime"),
    addresses=keyed(struct("NodeAddress", type=STRING, address=STRING), "type", "type", "address"),
    daemonEndpoints=OPAQUE,
    nodeInfo=_SYSTEM,
    images=OPAQUES,
    volumesInUse=STRINGS,
    **opaques("config features"),
    volumesAttached=OPAQUES,
    runtimeHandlers=OPAQUES,
    declaredFeatures=STRINGS,
)
_SPEC = struct(
    "NodeSpec",
    **strings("podCIDR providerID externalID"),
    podCIDRs=STRING_SET,
    unschedulable=SWITCH,
    taints=ListOf(item=TAINT),
    configSource=OPAQUE,
)
NODE = kind("Node", spec=_SPEC, status=_STATUS)
TAINT_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")


def default_node(node: Object) -> None:
    """Of its pods' network the older field counts; what is not said to be reserved can be asked for (core/v1, NodeStatus)."""
    spec, status = spec_of(node), status_of(node)
    cidr, cidrs = spec.get("podCIDR"), spec.get("podCIDRs") or []
    if cidr and (not cidrs or cidrs[0] != cidr):
        node["spec"] = {**spec, "podCIDRs": [cidr]}
    elif cidrs and not cidr:
        node["spec"] = {**spec, "podCIDR": cidrs[0]}
    if status.get("capacity") and status.get("allocatable") is None:
        node["status"] = {**status, "allocatable": dict(status["capacity"])}


def check_node(node: Object, before: Object | None) -> Iterable[FieldError]:
    """core/validation, ValidateNode and ValidateNodeUpdate."""
    spec, status = spec_of(node), status_of(node)
    yield from _check_taints(spec)
    yield from check_amounts(status.get("capacity"), "status.capacity")
    yield from check_amounts(status.get("allocatable"), "status.allocatable")
    yield from _check_cidrs(spec)
    addresses = status.get("addresses") or []
    for index, entry in enumerate(addresses):
        # Stricter than Kubernetes: other nodes make routes of it.
        if entry.get("type") in ("InternalIP", "ExternalIP"):
            yield from check_address(entry.get("address", ""), f"status.addresses[{index}].address")
    if before is None:
        return
    for index, entry in enumerate(addresses):
        if entry in addresses[:index]:
            shown = as_go(Type=entry.get("type", ""), Address=entry.get("address", ""))
            yield duplicate(f"status.addresses[{index}]", shown)
    yield from _check_change(spec, spec_of(before))


def _check_change(spec: Object, before: Object) -> Iterator[FieldError]:
    if before.get("podCIDRs") and spec.get("podCIDRs") != before["podCIDRs"]:
        yield forbidden_field("spec.podCIDRs", 'node updates may not change podCIDR except from "" to valid')
    if before.get("providerID") and spec.get("providerID") != before["providerID"]:
        yield forbidden_field("spec.providerID", 'node updates may not change providerID except from "" to valid')
    if spec.get("externalID") != before.get("externalID"):
        yield forbidden_field("spec.externalID", "may not be updated")


def _check_taints(spec: Object) -> Iterator[FieldError]:
    seen: set[tuple[str, str]] = set()
    for index, taint in enumerate(spec.get("taints") or ()):
        # The API server places them so (validation.go, ValidateNode).
        place = f"metadata.taints[{index}]"
        yield from check_qualified_key(taint.get("key", ""), f"{place}.key")
        yield from check_label_value(taint.get("value", ""), f"{place}.value")
        yield from check_choice(taint.get("effect"), TAINT_EFFECTS, f"{place}.effect")
        identity = taint.get("key", ""), taint.get("effect", "")
        if identity in seen:
            shown = as_go(Key=identity[0], Value=taint.get("value", ""), Effect=identity[1], TimeAdded=taint.get("timeAdded"))
            message = f"{duplicate(place, shown).message}: taints must be unique by key and effect pair"
            yield FieldError(reason="FieldValueDuplicate", field=place, message=message)
        seen.add(identity)


def _check_cidrs(spec: Object) -> Iterator[FieldError]:
    place, cidrs, versions = "spec.podCIDRs", spec.get("podCIDRs") or [], []
    for index, cidr in enumerate(cidrs):
        try:
            versions.append(ip_network(cidr).version)
        except ValueError:
            yield invalid_value(f"{place}[{index}]", cidr, "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)")
    if len(versions) == len(cidrs) > len(set(versions)):
        yield invalid_value(place, cidrs, "may specify no more than one CIDR for each IP family")
    for index, cidr in enumerate(cidrs):
        if cidr in cidrs[:index]:
            yield duplicate(f"{place}[{index}]", cidr)


def _show_status(node: Object, _: datetime) -> str:
    ready = condition(node, "Ready")
    text = "Unknown" if ready is None else "Ready" if ready.get("status") == "True" else "NotReady"
    return text + (",SchedulingDisabled" if spec_of(node).get("unschedulable") else "")


def _show_roles(node: Object, _: datetime) -> str:
    labels = labels_of(node)
    prefix = "node-role.kubernetes.io/"
    roles = {key.removeprefix(prefix) for key in labels if key.startswith(prefix)}
    if role := labels.get("kubernetes.io/role"):
        roles.add(role)
    return join_or_none(sorted(role for role in roles if role))


def address_of(node: Object, kind: str = "InternalIP") -> str | None:
    """The node's first address of that type."""
    for entry in status_of(node).get("addresses") or ():
        if entry.get("type") == kind:
            return str(entry.get("address"))
    return None


def _system(name: str, otherwise: str) -> Column:
    titles = {"osImage": "OS-Image", "kernelVersion": "Kernel-Version", "containerRuntimeVersion": "Container-Runtime"}
    return Column(
        name=titles[name], cell=lambda node, _: (status_of(node).get("nodeInfo") or {}).get(name) or otherwise, priority=1
    )


NODES = Resource(
    kind="Node",
    plural="nodes",
    short_names=("no",),
    is_namespaced=False,
    schema=NODE,
    has_status=True,
    # The kubelet registers with its status (registry/core/node/strategy.go, PrepareForCreate).
    keeps_status_on_create=True,
    selectable={"spec.unschedulable": "false"},
    default=default_node,
    validate=check_node,
    columns=(
        NAME,
        Column(name="Status", cell=_show_status),
        Column(name="Roles", cell=_show_roles),
        AGE,
        Column(name="Version", cell=lambda node, _: (status_of(node).get("nodeInfo") or {}).get("kubeletVersion", "")),
        Column(name="Internal-IP", cell=lambda node, _: address_of(node) or NONE, priority=1),
        Column(name="External-IP", cell=lambda node, _: address_of(node, "ExternalIP") or NONE, priority=1),
        _system("osImage", "<unknown>"),
        _system("kernelVersion", "<unknown>"),
        _system("containerRuntimeVersion", "<unknown>"),
    ),
)

LEASE_STRATEGY = "OldestEmulationVersion"
LEASE = kind(
    "Lease",
    spec=struct(
        "LeaseSpec",
        holderIdentity=STRING_POINTER,
        **strings("strategy preferredHolder"),
        leaseDurationSeconds=INT32,
        acquireTime=MICRO_TIME,
        renewTime=MICRO_TIME,
        leaseTransitions=INT32,
    ),
)


def default_lease(lease: Object) -> None:
    lease.setdefault("spec", {})


def check_lease(lease: Object, before: Object | None) -> Iterable[FieldError]:
    duration = spec_of(lease).get("leaseDurationSeconds")
    if duration is not None and duration <= 0:
        yield invalid_value("spec.leaseDurationSeconds", duration, "must be greater than 0")
    transitions = spec_of(lease).get("leaseTransitions")
    if transitions is not None and transitions < 0:
        yield invalid_value("spec.leaseTransitions", transitions, "must be greater than or equal to 0")
    strategy = spec_of(lease).get("strategy")
    if strategy and "/" in strategy:
        yield from check_qualified_key(strategy, "spec.strategy.strategy")
    elif strategy and strategy != LEASE_STRATEGY:
        yield unsupported("spec.strategy.strategy", strategy, (LEASE_STRATEGY,))
    if spec_of(lease).get("preferredHolder") and not strategy:
        yield forbidden_field("spec.preferredHolder", "may only be specified if `strategy` is defined")


LEASES = Resource(
    group="coordination.k8s.io",
    kind="Lease",
    plural="leases",
    schema=LEASE,
    default=default_lease,
    validate=check_lease,
    creates_on_update=True,
    needs_version=True,
    columns=(NAME, Column(name="Holder", cell=lambda lease, _: spec_of(lease).get("holderIdentity") or ""), AGE),
)
