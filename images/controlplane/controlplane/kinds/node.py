"""Node (core/v1) and Lease (coordination.k8s.io/v1)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from ipaddress import ip_network

from controlplane.errors import FieldError, duplicate, forbidden_field, invalid_value
from controlplane.kinds.addresses import check_address
from controlplane.kinds.columns import AGE, NAME, NONE, join_or_none
from controlplane.kinds.names import check_choice, check_label_value, check_qualified_key
from controlplane.kinds.resource import Column, Resource
from controlplane.objects import Object, condition, labels_of, spec_of, status_of
from controlplane.schema.meta import TAINT, conditions, kind
from controlplane.schema.types import (
    BOOL,
    INT32,
    INT64,
    OPAQUE,
    OPAQUES,
    QUANTITIES,
    STRING,
    STRING_SET,
    STRINGS,
    TIME,
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
    unschedulable=BOOL,
    taints=ListOf(item=TAINT),
    configSource=OPAQUE,
)
NODE = kind("Node", spec=_SPEC, status=_STATUS)
TAINT_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")


def check_node(node: Object, before: Object | None) -> Iterable[FieldError]:
    spec = spec_of(node)
    yield from _check_taints(spec)
    yield from _check_cidrs(spec, None if before is None else spec_of(before))
    for index, entry in enumerate(status_of(node).get("addresses") or ()):
        # Stricter than Kubernetes: other nodes make routes of it.
        if entry.get("type") in ("InternalIP", "ExternalIP"):
            yield from check_address(entry.get("address", ""), f"status.addresses[{index}].address")


def _check_taints(spec: Object) -> Iterator[FieldError]:
    seen: set[tuple[str, str]] = set()
    for index, taint in enumerate(spec.get("taints") or ()):
        place = f"spec.taints[{index}]"
        yield from check_qualified_key(taint.get("key", ""), f"{place}.key")
        yield from check_label_value(taint.get("value", ""), f"{place}.value")
        yield from check_choice(taint.get("effect"), TAINT_EFFECTS, f"{place}.effect")
        identity = taint.get("key", ""), taint.get("effect", "")
        if identity in seen:
            yield FieldError(
                reason="FieldValueDuplicate",
                field=place,
                message=duplicate(place, taint).message + ": taints must be unique by key and effect pair",
            )
        seen.add(identity)


def _check_cidrs(spec: Object, before: Object | None) -> Iterator[FieldError]:
    cidrs = spec.get("podCIDRs") or ([spec["podCIDR"]] if spec.get("podCIDR") else [])
    for index, cidr in enumerate(cidrs):
        try:
            ip_network(cidr)
        except ValueError:
            yield invalid_value(
                f"spec.podCIDRs[{index}]", cidr, "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"
            )
    if before is not None and before.get("podCIDR") and spec.get("podCIDR") != before["podCIDR"]:
        yield forbidden_field("spec.podCIDR", 'node updates may not change podCIDR except from "" to valid')


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

LEASE = kind(
    "Lease",
    spec=struct(
        "LeaseSpec",
        **strings("holderIdentity strategy preferredHolder"),
        leaseDurationSeconds=INT32,
        acquireTime=TIME,
        renewTime=TIME,
        leaseTransitions=INT64,
    ),
)


def check_lease(lease: Object, before: Object | None) -> Iterable[FieldError]:
    duration = spec_of(lease).get("leaseDurationSeconds")
    if duration is not None and duration <= 0:
        yield invalid_value("spec.leaseDurationSeconds", duration, "must be greater than 0")


LEASES = Resource(
    group="coordination.k8s.io",
    kind="Lease",
    plural="leases",
    schema=LEASE,
    validate=check_lease,
    creates_on_update=True,
    needs_version=True,
    columns=(NAME, Column(name="Holder", cell=lambda lease, _: spec_of(lease).get("holderIdentity") or ""), AGE),
)
