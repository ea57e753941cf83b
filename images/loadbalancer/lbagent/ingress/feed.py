"""Joins the watches that Ingresses depend on: nothing is concluded before each of them has told what there is."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from lbagent.ingress.reading import IngressView, Object, read_ingresses


class IngressFeed:
    """Calls `on_view` after every change, once everything is known."""

    def __init__(self, on_view: Callable[[IngressView, Mapping[str, Object]], None]) -> None:
        self._on_view = on_view
        self._ingresses: Collection[Object] | None = None
        self._secrets: Collection[Object] | None = None
        self._classes: Collection[Object] | None = None
        self._services: Mapping[str, Object] | None = None

    def on_ingresses(self, objects: Collection[Object]) -> None:
        """The Ingresses changed."""
        self._ingresses = tuple(objects)
        self._look()

    def on_secrets(self, objects: Collection[Object]) -> None:
        """The Secrets changed."""
        self._secrets = tuple(objects)
        self._look()

    def on_classes(self, objects: Collection[Object]) -> None:
        """The IngressClasses changed."""
        self._classes = tuple(objects)
        self._look()

    def on_services(self, services: Mapping[str, Object]) -> None:
        """The Services, by namespace and name, changed."""
        self._services = services
        self._look()

    def _look(self) -> None:
        if self._ingresses is None or self._secrets is None or self._classes is None or self._services is None:
            return
        self._on_view(read_ingresses(self._ingresses, self._services, self._secrets, self._classes), self._services)
