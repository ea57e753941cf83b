"""Server-side printing: meta.k8s.io/v1 Table (KEP-555)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from controlplane.kinds.resource import Column, Resource
from controlplane.objects import Object


def render_table(
    resource: Resource,
    items: Iterable[Object],
    *,
    now: datetime,
    metadata: Object,
    include: str = "Metadata",
    with_columns: bool = True,
) -> Object:
    """A Table of the items; `include`: None, Metadata or Object."""
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": metadata,
        "columnDefinitions": [_define(column) for column in resource.columns] if with_columns else None,
        "rows": [_row(resource, item, now, include) for item in items],
    }


def _define(column: Column) -> Object:
    return {
        "name": column.name,
        "type": column.type,
        "format": column.format,
        "description": column.name,
        "priority": column.priority,
    }


def _row(resource: Resource, item: Object, now: datetime, include: str) -> Object:
    row: dict[str, Any] = {"cells": [column.cell(item, now) for column in resource.columns]}
    if include == "Object":
        row["object"] = item
    elif include != "None":
        row["object"] = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": item["metadata"]}
    return row
