"""An Ingress without a class gets the default one when it is made, and never later."""

from typing import Any

import pytest
from cp_world import World

API = "networking.k8s.io/v1"
SPEC = {"defaultBackend": {"service": {"name": "web", "port": {"number": 80}}}}


def add_class(world: World, name: str, *, default: str | None = "true") -> None:
    annotations = {} if default is None else {"ingressclass.kubernetes.io/is-default-class": default}
    metadata = {"name": name, "annotations": annotations}
    world.create({"apiVersion": API, "kind": "IngressClass", "metadata": metadata, "spec": {"controller": f"example.com/{name}"}})


def make(world: World, name: str = "shop", annotations: dict[str, str] | None = None, **spec: Any) -> str | None:
    """The class that it has."""
    metadata = {"name": name, "annotations": annotations or {}}
    item = world.create({"apiVersion": API, "kind": "Ingress", "metadata": metadata, "spec": {**SPEC, **spec}})
    return item["spec"].get("ingressClassName")


def test_default_class_is_given_to_an_ingress_that_names_none() -> None:
    world = World()
    assert make(world, "before") is None
    add_class(world, "plain", default=None)
    add_class(world, "no", default="false")
    assert make(world, "without") is None
    add_class(world, "mine")
    assert make(world) == "mine"
    assert make(world, "own", ingressClassName="plain") == "plain"
    assert make(world, "annotated", annotations={"kubernetes.io/ingress.class": "nginx"}) is None
    world.change("ingresses", "before", {"metadata": {"labels": {"a": "b"}}})
    assert "ingressClassName" not in world.get("ingresses", "before")["spec"]


@pytest.mark.parametrize(("later", "chosen"), [(0.0, "a"), (5.0, "b")])
def test_of_several_default_classes_the_newest_is_taken_then_the_first_by_name(later: float, chosen: str) -> None:
    world = World()
    add_class(world, "a")
    world.clock.advance(later)
    add_class(world, "b")
    assert make(world) == chosen
