"""The pod spec, alone and in templates: type, defaults and rules (kubernetes, pkg/apis/core/v1/defaults.go, validation.go)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from controlplane.field_errors import FieldError, duplicate, forbidden_field, invalid_value, required
from controlplane.kinds.addresses import check_address
from controlplane.kinds.affinity import AFFINITY, check_affinity
from controlplane.kinds.container import CONTAINER, check_container, default_container
from controlplane.kinds.names import check_choice, check_label_value, check_labels, check_name, check_qualified_key
from controlplane.objects import Object
from controlplane.schema.meta import LABEL_SELECTOR, OBJECT_META
from controlplane.schema.types import (
    BOOL,
    INT32,
    INT64,
    OPAQUE,
    OPAQUES,
    QUANTITIES,
    STRING,
    STRING_MAP,
    STRINGS,
    SWITCH,
    ListOf,
    Type,
    applied,
    keyed,
    opaques,
    strings,
    struct,
)

TOLERATION = struct("Toleration", **strings("key operator value effect"), tolerationSeconds=INT64)
_SPREAD = struct(
    "TopologySpreadConstraint",
    maxSkew=INT32,
    **strings("topologyKey whenUnsatisfiable nodeAffinityPolicy nodeTaintsPolicy"),
    labelSelector=LABEL_SELECTOR,
    minDomains=INT32,
    matchLabelKeys=STRINGS,
)
_VOLUME = struct(
    "Volume",
    name=STRING,
    **opaques(
        "hostPath emptyDir gcePersistentDisk awsElasticBlockStore gitRepo secret nfs iscsi glusterfs persistentVolumeClaim rbd "
        "flexVolume cinder cephfs flocker downwardAPI fc azureFile configMap vsphereVolume quobyte azureDisk "
        "photonPersistentDisk projected portworxVolume scaleIO storageos csi ephemeral image"
    ),
)
POD_SPEC = struct(
    "PodSpec",
    **strings(
        "restartPolicy dnsPolicy serviceAccountName serviceAccount nodeName hostname subdomain schedulerName priorityClassName "
        "runtimeClassName preemptionPolicy hostnameOverride"
    ),
    volumes=keyed(_VOLUME, "name"),
    initContainers=keyed(CONTAINER, "name"),
    containers=replace(keyed(CONTAINER, "name"), stays_empty=True),
    ephemeralContainers=keyed(OPAQUE, "name"),
    terminationGracePeriodSeconds=INT64,
    activeDeadlineSeconds=INT64,
    nodeSelector=STRING_MAP,
    automountServiceAccountToken=BOOL,
    hostNetwork=SWITCH,
    hostPID=SWITCH,
    hostIPC=SWITCH,
    hostUsers=BOOL,
    shareProcessNamespace=BOOL,
    setHostnameAsFQDN=BOOL,
    enableServiceLinks=BOOL,
    imagePullSecrets=keyed(struct("LocalObjectReference", name=STRING), "name"),
    tolerations=ListOf(item=TOLERATION),
    hostAliases=keyed(struct("HostAlias", ip=STRING, hostnames=STRINGS), "ip"),
    priority=INT32,
    overhead=QUANTITIES,
    topologySpreadConstraints=keyed(_SPREAD, "topologyKey", "topologyKey", "whenUnsatisfiable"),
    schedulingGates=keyed(struct("PodSchedulingGate", name=STRING), "name"),
    readinessGates=ListOf(item=struct("PodReadinessGate", conditionType=STRING)),
    affinity=AFFINITY,
    resourceClaims=OPAQUES,
    **opaques("securityContext dnsConfig os resources"),
)
POD_TEMPLATE = struct("PodTemplateSpec", metadata=OBJECT_META, spec=POD_SPEC)
POD_IPS: Type = applied(struct("PodIP", ip=STRING), "ip")

DEFAULT_GRACE_S = 30
DEADLINE_LIMIT_S = 2**31 - 1
PREEMPTION_POLICIES = ("PreemptLowerPriority", "Never")
DNS_POLICIES = ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None")


def default_pod_spec(spec: Object, *, is_pod: bool = False) -> None:
    """`is_pod`: of a pod, not of a template: only there do host ports follow from the host's network."""
    spec.setdefault("restartPolicy", "Always")
    spec.setdefault("terminationGracePeriodSeconds", DEFAULT_GRACE_S)
    spec.setdefault("dnsPolicy", "ClusterFirst")
    spec.setdefault("schedulerName", "default-scheduler")
    spec.setdefault("securityContext", {})
    for volume in spec.get("volumes") or ():
        if not volume.keys() - {"name"}:
            volume["emptyDir"] = {}
    for container in [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]:
        default_container(container, opens_host_ports=is_pod and bool(spec.get("hostNetwork")))


def check_pod_spec(spec: Object, field: str, *, is_pod: bool = False) -> Iterator[FieldError]:
    containers = spec.get("containers") or []
    if not containers:
        yield required(f"{field}.containers")
    yield from _check_volumes(spec.get("volumes") or [], f"{field}.volumes")
    volumes = {volume.get("name", "") for volume in spec.get("volumes") or ()}
    grace_s = spec.get("terminationGracePeriodSeconds", DEFAULT_GRACE_S)
    seen: set[str] = set()
    for group in ("initContainers", "containers"):
        for index, container in enumerate(spec.get(group) or ()):
            place = f"{field}.{group}[{index}]"
            yield from check_container(container, place, volumes=volumes, grace_s=grace_s)
            name = container.get("name", "")
            if name and name in seen:
                yield duplicate(f"{place}.name", name)
            seen.add(name)
    yield from _check_host_ports(containers, field)
    if spec.get("hostNetwork"):
        yield from _check_host_network(containers, field, is_pod=is_pod)
    yield from check_choice(spec.get("restartPolicy"), ("Always", "OnFailure", "Never"), f"{field}.restartPolicy")
    yield from check_choice(spec.get("dnsPolicy"), DNS_POLICIES, f"{field}.dnsPolicy")
    yield from check_labels(spec.get("nodeSelector"), f"{field}.nodeSelector")
    if (affinity := spec.get("affinity")) is not None:
        yield from check_affinity(affinity, f"{field}.affinity")
    for index, gate in enumerate(spec.get("readinessGates") or ()):
        yield from check_qualified_key(gate.get("conditionType", ""), f"{field}.readinessGates[{index}].conditionType")
    yield from _check_names(spec, field)
    for index, toleration in enumerate(spec.get("tolerations") or ()):
        yield from _check_toleration(toleration, f"{field}.tolerations[{index}]")
    for index, alias in enumerate(spec.get("hostAliases") or ()):
        yield from check_address(alias.get("ip", ""), f"{field}.hostAliases[{index}].ip")
        for number, name in enumerate(alias.get("hostnames") or ()):
            yield from check_name("subdomain", name, f"{field}.hostAliases[{index}].hostnames[{number}]")
    if spec.get("preemptionPolicy") is not None:
        yield from check_choice(spec["preemptionPolicy"], PREEMPTION_POLICIES, f"{field}.preemptionPolicy")


def _check_names(spec: Object, field: str) -> Iterator[FieldError]:
    for name, rule in (("serviceAccountName", "subdomain"), ("nodeName", "subdomain")):
        if text := spec.get(name):
            yield from check_name(rule, text, f"{field}.{name}")
    deadline_s = spec.get("activeDeadlineSeconds")
    if deadline_s is not None and not 1 <= deadline_s <= DEADLINE_LIMIT_S:
        yield invalid_value(f"{field}.activeDeadlineSeconds", deadline_s, f"must be between 1 and {DEADLINE_LIMIT_S}, inclusive")
    for name, rule in (("hostname", "label"), ("subdomain", "label"), ("priorityClassName", "subdomain")):
        if text := spec.get(name):
            yield from check_name(rule, text, f"{field}.{name}")


def _check_host_network(containers: list[Object], field: str, *, is_pod: bool) -> Iterator[FieldError]:
    """A template may leave the host port out: the pod that is made of it gets it."""
    for number, container in enumerate(containers):
        for index, port in enumerate(container.get("ports") or ()):
            host_port = port.get("hostPort", 0)
            if (is_pod or host_port) and host_port != port.get("containerPort", 0):
                why = "must match `containerPort` when `hostNetwork` is true"
                yield invalid_value(f"{field}.containers[{number}].ports[{index}].hostPort", host_port, why)


def _check_volumes(volumes: list[Object], field: str) -> Iterator[FieldError]:
    seen: set[str] = set()
    for index, volume in enumerate(volumes):
        name = volume.get("name", "")
        if not name:
            yield required(f"{field}[{index}].name")
        else:
            yield from check_name("label", name, f"{field}[{index}].name")
        if name in seen:
            yield duplicate(f"{field}[{index}].name", name)
        seen.add(name)
        for source in sorted(volume.keys() - {"name"})[1:]:
            yield forbidden_field(f"{field}[{index}].{source}", "may not specify more than 1 volume type")


def _check_toleration(toleration: Object, field: str) -> Iterator[FieldError]:
    operator, value = toleration.get("operator", ""), toleration.get("value", "")
    if key := toleration.get("key"):
        yield from check_qualified_key(key, f"{field}.key")
    elif operator != "Exists":
        yield invalid_value(
            f"{field}.operator",
            operator,
            'operator must be Exists when `key` is empty, which means "match all values and all keys"',
        )
    if toleration.get("tolerationSeconds") is not None and toleration.get("effect") != "NoExecute":
        yield invalid_value(
            f"{field}.effect", toleration.get("effect", ""), "effect must be 'NoExecute' when `tolerationSeconds` is set"
        )
    if operator in ("", "Equal"):
        yield from check_label_value(value, f"{field}.operator")
    elif operator != "Exists":
        yield from check_choice(operator, ("Equal", "Exists"), f"{field}.operator")
    elif value:
        yield invalid_value(f"{field}.operator", value, "value must be empty when `operator` is 'Exists'")
    if effect := toleration.get("effect"):
        yield from check_choice(effect, ("NoSchedule", "PreferNoSchedule", "NoExecute"), f"{field}.effect")


def _check_host_ports(containers: list[Object], field: str) -> Iterator[FieldError]:
    seen: set[str] = set()
    for number, container in enumerate(containers):
        for index, port in enumerate(container.get("ports") or ()):
            if not port.get("hostPort"):
                continue
            text = f"{port.get('protocol')}/{port.get('hostIP', '')}/{port['hostPort']}"
            if text in seen:
                yield duplicate(f"{field}.containers[{number}].ports[{index}].hostPort", text)
            seen.add(text)
