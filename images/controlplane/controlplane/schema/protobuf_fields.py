"""Field numbers of the messages that `kubectl create` sends in protocol buffers.

By the name of the type, `number name` one after the other. A `*` stands before fields that Go has a pointer to: their zero is
said on purpose, while every other zero is what was never set. Without a name: a message whose fields are its owner's in JSON.
Source: generated.proto of apps/v1, core/v1, networking/v1, policy/v1 (k8s.io/api) and meta/v1 (k8s.io/apimachinery).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    name: str
    is_pointer: bool


KINDS = frozenset(
    {
        ("v1", "ConfigMap"),
        ("v1", "Namespace"),
        ("v1", "Secret"),
        ("v1", "Service"),
        ("apps/v1", "Deployment"),
        ("networking.k8s.io/v1", "Ingress"),
        ("policy/v1", "PodDisruptionBudget"),
    }
)
_OBJECT = "1 metadata 2 spec"
_TEXTS = {
    "ObjectMeta": (
        "1 name 2 generateName 3 namespace 8 creationTimestamp 11 labels 12 annotations 13 ownerReferences 14 finalizers"
    ),
    "OwnerReference": "1 kind 3 name 4 uid 5 apiVersion 6 *controller 7 *blockOwnerDeletion",
    "LabelSelector": "1 matchLabels 2 matchExpressions",
    "LabelSelectorRequirement": "1 key 2 operator 3 values",
    "ConfigMap": "1 metadata 2 data 3 binaryData 4 *immutable",
    "Namespace": _OBJECT,
    "NamespaceSpec": "1 finalizers",
    "Secret": "1 metadata 2 data 3 type 4 stringData 5 *immutable",
    "Service": _OBJECT,
    "ServiceSpec": (
        "1 ports 2 selector 3 clusterIP 4 type 5 externalIPs 7 sessionAffinity 8 loadBalancerIP 9 loadBalancerSourceRanges "
        "10 externalName 11 externalTrafficPolicy 12 healthCheckNodePort 13 publishNotReadyAddresses 17 ipFamilyPolicy "
        "18 clusterIPs 19 ipFamilies 20 *allocateLoadBalancerNodePorts 21 loadBalancerClass 22 internalTrafficPolicy "
        "23 trafficDistribution"
    ),
    "ServicePort": "1 name 2 protocol 3 port 4 targetPort 5 nodePort 6 appProtocol",
    "Deployment": _OBJECT,
    "DeploymentSpec": (
        "1 *replicas 2 selector 3 template 4 strategy 5 minReadySeconds 6 *revisionHistoryLimit 7 paused "
        "9 *progressDeadlineSeconds"
    ),
    "DeploymentStrategy": "1 type 2 rollingUpdate",
    "RollingUpdateDeployment": "1 maxUnavailable 2 maxSurge",
    "PodTemplateSpec": _OBJECT,
    "PodSpec": (
        "2 containers 3 restartPolicy 4 *terminationGracePeriodSeconds 6 dnsPolicy 7 nodeSelector 10 nodeName 11 hostNetwork "
        "19 schedulerName 20 initContainers"
    ),
    "Container": "1 name 2 image 3 command 4 args 5 workingDir 6 ports 14 imagePullPolicy",
    "ContainerPort": "1 name 2 hostPort 3 containerPort 4 protocol 5 hostIP",
    "Ingress": _OBJECT,
    "IngressSpec": "1 defaultBackend 2 tls 3 rules 4 ingressClassName",
    "IngressBackend": "4 service",
    "IngressServiceBackend": "1 name 2 port",
    "ServiceBackendPort": "1 name 2 number",
    "IngressTLS": "1 hosts 2 secretName",
    "IngressRule": "1 host 2",
    "HTTPIngressRuleValue": "1 paths",
    "HTTPIngressPath": "1 path 2 backend 3 pathType",
    "PodDisruptionBudget": _OBJECT,
    "PodDisruptionBudgetSpec": "1 minAvailable 2 selector 3 maxUnavailable 4 unhealthyPodEvictionPolicy",
}
INLINE = {"IngressRule": "1 http"}
"""Of messages without a name: the fields that become their owner's."""


def _read(text: str) -> Mapping[int, Field]:
    fields: dict[int, Field] = {}
    number = 0
    for word in text.split():
        if word.isdecimal():
            number = int(word)
            fields[number] = Field(name="", is_pointer=False)
        else:
            fields[number] = Field(name=word.removeprefix("*"), is_pointer=word.startswith("*"))
    return fields


FIELDS: Mapping[str, Mapping[int, Field]] = {name: _read(text) for name, text in _TEXTS.items()}
INLINE_FIELDS: Mapping[str, Mapping[int, Field]] = {name: _read(text) for name, text in INLINE.items()}
