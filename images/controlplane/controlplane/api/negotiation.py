"""Which form of answer a client wants (Kubernetes API concepts, "Alternate representations of resources")."""

from __future__ import annotations

from dataclasses import dataclass

from controlplane.errors import not_acceptable

JSON = "application/json"
ACCEPTED = (JSON,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """`representation`: empty for the objects themselves, else `Table`, `PartialObjectMetadata` or `APIGroupDiscoveryList`."""

    representation: str = ""
    version: str = ""


def negotiate(accept: str, *, supported: tuple[str, ...]) -> Form:
    """The first form in the header that we have. Raises StatusError 406."""
    if not accept.strip():
        return Form()
    for clause in accept.split(","):
        media, *parameters = (part.strip() for part in clause.split(";"))
        if media.lower() not in (JSON, "application/*", "*/*"):
            continue
        values = dict(part.partition("=")[::2] for part in parameters)
        representation, version = values.get("as", ""), values.get("v", "")
        if not representation:
            return Form()
        if f"{representation};{version}" in supported:
            return Form(representation=representation, version=version)
    raise not_acceptable(ACCEPTED)
