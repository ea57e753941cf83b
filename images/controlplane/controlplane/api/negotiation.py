"""Which form of answer a client wants (Kubernetes API concepts, "Alternate representations of resources")."""

from __future__ import annotations

from dataclasses import dataclass

from controlplane.errors import not_acceptable, unroutable_answer

JSON = "application/json"
ACCEPTED = (JSON,)
WILDCARDS = ("application/*", "*/*")
OTHER_PRODUCED = ("application/yaml", "application/vnd.kubernetes.protobuf")
"""What handlers of the API server produce besides JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """`representation`: empty for the objects themselves, else `Table`, `PartialObjectMetadata` or `APIGroupDiscoveryList`."""

    representation: str = ""
    version: str = ""


def negotiate(accept: str, *, supported: tuple[str, ...]) -> Form:
    """The first form in the header that we have. Raises StatusError 406."""
    if not accept.strip():
        return Form()
    is_routed = False
    for clause in accept.split(","):
        media, *parameters = (part.strip() for part in clause.split(";"))
        if media.lower() not in (JSON, *WILDCARDS):
            is_routed = is_routed or media.lower() in OTHER_PRODUCED
            continue
        is_routed = True
        values = dict(part.partition("=")[::2] for part in parameters)
        representation, version = values.get("as", ""), values.get("v", "")
        if not representation:
            return Form()
        if f"{representation};{version}" in supported:
            return Form(representation=representation, version=version)
    # What no handler produces is refused by the router, in fewer words.
    raise not_acceptable(ACCEPTED) if is_routed else unroutable_answer()
