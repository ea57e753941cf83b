"""Addresses of Services of type LoadBalancer: asked for by the plan, so that it holds every URL before anything runs."""

from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address, IPv4Network

from orchestrator.contracts import ServiceFacts

Object = Mapping[str, object]


class PoolFullError(ValueError):
    """More Services than addresses."""


def assign_external_ips(wanted: Mapping[str, IPv4Address | None], pool: IPv4Network) -> Mapping[str, IPv4Address]:
    """An address for each Service: the one that its manifest asks for, or else the lowest that none asks for, in order.

    Raises PoolFullError.
    """
    taken = {address for address in wanted.values() if address is not None}
    free = (address for address in pool if address not in taken)
    assigned: dict[str, IPv4Address] = {}
    for service, address in wanted.items():
        chosen = address if address is not None else next(free, None)
        if chosen is None:
            raise PoolFullError(f"{len(wanted)} Services of type LoadBalancer; allowed: {pool.num_addresses}, all of {pool}")
        assigned[service] = chosen
    return assigned


def with_external_ips(
    objects: Iterable[Object],
    services: Mapping[str, ServiceFacts],
    added: Mapping[str, tuple[IPv4Address, ...]] | None = None,
) -> tuple[Object, ...]:
    """The manifests, with `spec.loadBalancerIP` in every Service that has an external address of the pool.

    `added`: addresses by Service that join its `spec.externalIPs`.
    """
    return tuple(_with_external_ip(item, services, added or {}) for item in objects)


def _with_external_ip(item: Object, services: Mapping[str, ServiceFacts], added: Mapping[str, tuple[IPv4Address, ...]]) -> Object:
    metadata, spec = item.get("metadata"), item.get("spec")
    if item["kind"] != "Service" or not isinstance(metadata, Mapping) or not isinstance(spec, Mapping):
        return item
    facts = services.get(f"{metadata.get('namespace', 'default')}/{metadata['name']}")
    if facts is None:
        return item
    changed: dict[str, object] = {}
    if facts.external_ip is not None:
        changed["loadBalancerIP"] = str(facts.external_ip)
    if new := [address for address in added.get(facts.key, ()) if address not in facts.external_ips]:
        changed["externalIPs"] = [str(address) for address in (*facts.external_ips, *new)]
    return {**item, "spec": {**spec, **changed}} if changed else item
