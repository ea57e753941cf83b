"""Types that every kind uses: metadata, selectors, references, conditions."""

from __future__ import annotations

from controlplane.schema.types import (
    BOOL,
    INT32,
    INT64,
    OPAQUE,
    STRING,
    STRING_MAP,
    STRING_SET,
    STRINGS,
    TIME,
    ListOf,
    Struct,
    Type,
    keyed,
    strings,
    struct,
)

OWNER_REFERENCE = struct("OwnerReference", **strings("apiVersion kind name uid"), controller=BOOL, blockOwnerDeletion=BOOL)
MANAGED_FIELDS = struct(
    "ManagedFieldsEntry", **strings("manager operation apiVersion fieldsType subresource"), time=TIME, fieldsV1=OPAQUE
)
OBJECT_META = struct(
    "ObjectMeta",
    **strings("name generateName namespace selfLink uid resourceVersion"),
    generation=INT64,
    creationTimestamp=TIME,
    deletionTimestamp=TIME,
    deletionGracePeriodSeconds=INT64,
    labels=STRING_MAP,
    annotations=STRING_MAP,
    ownerReferences=keyed(OWNER_REFERENCE, "uid"),
    finalizers=STRING_SET,
    managedFields=ListOf(item=MANAGED_FIELDS),
)
OBJECT_REFERENCE = struct("ObjectReference", **strings("kind namespace name uid apiVersion resourceVersion fieldPath"))
REQUIREMENT = struct("LabelSelectorRequirement", key=STRING, operator=STRING, values=STRINGS)
LABEL_SELECTOR = struct("LabelSelector", matchLabels=STRING_MAP, matchExpressions=ListOf(item=REQUIREMENT))


def conditions(name: str, *times: str) -> ListOf:
    """A list of conditions: merged by type."""
    extra: dict[str, Type] = dict.fromkeys(times, TIME)
    item = struct(name, **strings("type status reason message"), lastTransitionTime=TIME, observedGeneration=INT64, **extra)
    return keyed(item, "type")


LOAD_BALANCER_STATUS = struct(
    "LoadBalancerStatus",
    ingress=ListOf(
        item=struct(
            "LoadBalancerIngress",
            **strings("ip hostname ipMode"),
            ports=ListOf(item=struct("PortStatus", port=INT32, protocol=STRING, error=STRING)),
        )
    ),
)
CONDITIONS = conditions("Condition")


def kind(name: str, **fields: Type) -> Struct:
    """A kind: TypeMeta, ObjectMeta and its own fields."""
    return struct(name, apiVersion=STRING, kind=STRING, metadata=OBJECT_META, **fields)


TAINT = struct("Taint", **strings("key value effect"), timeAdded=TIME)
