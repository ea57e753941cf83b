"""Whose an Ingress is: ours, or another controller's, which serves it or not as it likes. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

CONTROLLER = "ingress-testbed.io/haproxy"
"""`spec.controller` of an IngressClass that is served here."""
CLASS = "haproxy"
"""The class that is served here where no IngressClass says otherwise."""
ANNOTATION = "kubernetes.io/ingress.class"
"""What named the class before `spec.ingressClassName`; its value is the controller's own word, and no object's name."""


def is_ours(ingress: Mapping[str, Any], controllers: Mapping[str, str]) -> bool:
    """`controllers`: the controller of each IngressClass by the class' name.

    An Ingress without any class is served: there is no other controller in the testbed that it could wait for. A class without an
    IngressClass is somebody's whom the cluster does not know, unless it has our name.

    Source: Kubernetes, "Ingress", Ingress class and Deprecated annotation; IngressSpec, `ingressClassName`.
    """
    name = (ingress.get("spec") or {}).get("ingressClassName")
    if name:
        return bool(controllers[name] == CONTROLLER if name in controllers else name == CLASS)
    return bool((ingress["metadata"].get("annotations") or {}).get(ANNOTATION, CLASS) == CLASS)


def read_controllers(classes: Collection[Mapping[str, Any]]) -> Mapping[str, str]:
    """By the name of their IngressClass. Raises KeyError and the like for what is none."""
    return {item["metadata"]["name"]: item["spec"]["controller"] for item in classes}
