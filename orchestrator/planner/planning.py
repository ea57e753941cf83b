"""Decides everything of a run, in one order: addresses, paths, timeline, load, objectives, containers."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from itertools import combinations
from pathlib import Path

from orchestrator.addresses import MAX_NODES, MGMT_POOL, SlotAddresses, node_name, slot_addresses
from orchestrator.contracts import Kinds, PathParts, PlanContext, ServiceFacts
from orchestrator.model.plan import Plan, ProgramPlan
from orchestrator.planner import roles
from orchestrator.planner.complaints import Complaints
from orchestrator.planner.external_ips import with_external_ips
from orchestrator.planner.fault_ground import features_of, on_ground
from orchestrator.planner.ingresses import plan_tls_secrets, read_ingresses
from orchestrator.planner.kube_proxy import check_args
from orchestrator.planner.load import CONTROL_PATH, plan_load
from orchestrator.planner.manifests import check_manifests
from orchestrator.planner.objectives import check_measurable, plan_objectives
from orchestrator.planner.routing import check_routing, plan_gateway_routing, plan_node_routing
from orchestrator.planner.services import read_services
from orchestrator.planner.stops import plan_stops
from orchestrator.planner.timeline import added_nodes, plan_timeline
from orchestrator.planner.timings import plan_timings
from orchestrator.planner.workloads import read_replicas, read_workloads
from orchestrator.scenario.loading import Manifest
from orchestrator.scenario.schema import Cluster, Scenario

_HOST_NETWORKS = "neither loopback, multicast nor link-local addresses"
POOLS = tuple(map(IPv4Network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "198.18.0.0/15", "100.64.0.0/10")))
"""What networks on this machine may use: private (RFC 1918, RFC 6598) and for benchmarks (RFC 2544), nobody's real addresses."""


def plan_run(
    scenario: Scenario,
    manifests: tuple[Manifest, ...],
    kinds: Kinds,
    *,
    file: Path,
    slot: int = 0,
    trial: int = 1,
    seed: int | None = None,
    kube_proxy: ProgramPlan | None = None,
) -> Plan:
    """The plan of one trial. `kube_proxy`: what the scenario's `cluster.kube_proxy.binary` names.

    Raises ScenarioError with every problem of the first stage that has one.
    """
    seed = scenario.seed if seed is None else seed
    complaints = Complaints(file)
    cluster = scenario.cluster
    addresses = _plan_addresses(cluster, slot, complaints)
    check_manifests(manifests, nodes=cluster.nodes)
    services = read_services(manifests, cluster.service_network, addresses.external_pool)
    ingresses = read_ingresses(manifests)
    context = replace(
        _context(scenario, addresses, services),
        ingresses=ingresses,
        workloads=read_workloads(manifests),
        replicas=read_replicas(manifests),
    )

    parts = _plan_paths(scenario, kinds, context, complaints)
    paths = tuple(item.path for item in parts)
    timeline = plan_timeline(scenario, kinds, context, complaints, paths=paths, seed=f"{seed}/{trial}")
    slos = plan_objectives(scenario, kinds, complaints)
    check_measurable(slos, timeline, kinds, complaints)
    _check_labels(cluster, context, complaints)
    check_args(cluster.kube_proxy, complaints)
    complaints.raise_any()

    with complaints.at("cluster", "timings"):
        timings = plan_timings(cluster.timings_spec, cluster.kube_proxy)
    with complaints.at("load"):
        load = plan_load(scenario, paths, addresses.controlplane, seed + trial - 1)
    complaints.raise_any()
    stops = plan_stops(scenario, paths, slos, load, complaints)
    complaints.raise_any()

    routes = [route for item in parts for route in item.gateway_routes]
    frontends = [frontend for item in parts for frontend in item.frontends]
    names = (*context.nodes, *(name for name in added_nodes(timeline) if name not in context.nodes))
    nodes = {name: context.all_nodes[name] for name in names}
    gateway_routing = plan_gateway_routing(parts, address=addresses.gateway_on_nodes, nodes=nodes)
    return Plan(
        scenario=scenario.name,
        question=scenario.question,
        seed=seed,
        slot=slot,
        trial=trial,
        timings=timings,
        cluster={
            "kube_proxy_mode": cluster.kube_proxy.mode,
            **({} if kube_proxy is None else {"kube_proxy_binary": kube_proxy.source, "kube_proxy_sha256": kube_proxy.sha256}),
            "pod_network": str(cluster.pod_network),
            "service_network": str(cluster.service_network),
            "nodes": cluster.nodes,
        },
        networks=roles.plan_networks(addresses),
        containers=on_ground(
            timeline,
            roles.plan_controlplane(addresses, cluster, timings),
            roles.plan_gateway(addresses, routes, gateway_routing),
            roles.plan_loadbalancer(addresses, frontends),
            roles.plan_client(addresses),
            *(
                roles.plan_node(
                    name,
                    address,
                    addresses,
                    cluster,
                    timings,
                    at_bring_up=name in context.nodes,
                    kube_proxy=kube_proxy,
                    additions=plan_node_routing(parts, node=name, nodes=nodes, gateway=addresses.gateway_on_nodes),
                )
                for name, address in nodes.items()
            ),
        ),
        objects=with_external_ips((manifest.body for manifest in manifests), services, _added_external_ips(parts)),
        paths=paths,
        control_path=CONTROL_PATH,
        load=load,
        timeline=timeline,
        slos=slos,
        stops=stops,
        convergence_validation_s=scenario.convergence_validation,
        kernel_features=features_of(timeline),
        tls_secrets=plan_tls_secrets(manifests, ingresses),
    )


def _plan_addresses(cluster: Cluster, slot: int, complaints: Complaints) -> SlotAddresses:
    """Raises ScenarioError: nothing else can be planned on networks that overlap."""
    networks = {
        "pod_network": cluster.pod_network,
        "service_network": cluster.service_network,
        "node_pool": cluster.node_pool,
        "client_pool": cluster.client_pool,
    }
    for (first, network), (second, other) in combinations(networks.items(), 2):
        if network.overlaps(other):
            complaints.add("cluster", second, message=f"overlaps {first} {network}", found=str(other))
    for key, network in networks.items():
        if network.is_loopback or network.is_multicast or network.is_link_local:
            complaints.add("cluster", key, message="is not for hosts of a network", found=str(network), allowed=_HOST_NETWORKS)
    for key in ("node_pool", "client_pool"):
        if not any(networks[key].subnet_of(allowed) for allowed in POOLS):
            allowed = ", ".join(map(str, POOLS))
            complaints.add(
                "cluster", key, message="is not private to this machine", found=str(networks[key]), allowed=f"within {allowed}"
            )
        if networks[key].overlaps(MGMT_POOL):
            complaints.add("cluster", key, message=f"overlaps the management networks {MGMT_POOL}", found=str(networks[key]))
    if cluster.nodes > (most := _most_nodes(cluster)):
        complaints.add("cluster", "nodes", message="more nodes than addresses", found=str(cluster.nodes), allowed=f"1 to {most}")
    complaints.raise_any()
    with complaints.at("cluster", "node_pool"):
        addresses = slot_addresses(slot, client_pool=cluster.client_pool, node_pool=cluster.node_pool)
    complaints.raise_any()
    return addresses


def _most_nodes(cluster: Cluster) -> int:
    """Subnet 0 of the pod network stays unused, so that node-1 has 10.0.1.0/24."""
    return min(MAX_NODES, int(2 ** max(0, roles.NODE_CIDR_MASK_SIZE - cluster.pod_network.prefixlen)) - 1)


def _check_labels(cluster: Cluster, context: PlanContext, complaints: Complaints) -> None:
    for name in cluster.node_labels:
        if name not in context.all_nodes:
            allowed = f"node-1 to node-{len(context.all_nodes)}"
            complaints.add("cluster", "node_labels", name, message="no such node", found=repr(name), allowed=allowed)


def _context(scenario: Scenario, addresses: SlotAddresses, services: dict[str, ServiceFacts]) -> PlanContext:
    cluster = scenario.cluster
    all_nodes = {node_name(number): addresses.node(number) for number in range(1, _most_nodes(cluster) + 1)}
    return PlanContext(
        nodes={node_name(number): addresses.node(number) for number in range(1, cluster.nodes + 1)},
        all_nodes=all_nodes,
        services=services,
        service_network=cluster.service_network,
        pod_network=cluster.pod_network,
        gateway_on_clients=addresses.gateway_on_clients,
        gateway_on_nodes=addresses.gateway_on_nodes,
        loadbalancer=addresses.loadbalancer,
        duration_s=scenario.duration,
        controlplane=addresses.controlplane,
        client=addresses.client,
        virtual_addresses=addresses.virtual,
        further_external=addresses.further_external,
        networks=(cluster.pod_network, cluster.service_network, addresses.clients, addresses.nodes, addresses.mgmt),
        has_own_kube_proxy=cluster.kube_proxy.binary is not None,
    )


def _check_frontends(parts: Sequence[PathParts]) -> None:
    """Raises ValueError when the last path would listen where an earlier one does."""
    bound = {bind: part.path.name for part in parts[:-1] for item in part.frontends for bind in _binds(item)}
    for item in parts[-1].frontends:
        for bind in _binds(item):
            if bind in bound:
                raise ValueError(f"path {bound[bind]!r} listens on {bind} as well; allowed: a port of its own (http_port)")


def _added_external_ips(parts: Sequence[PathParts]) -> dict[str, tuple[IPv4Address, ...]]:
    added: dict[str, tuple[IPv4Address, ...]] = {}
    for part in parts:
        for service, addresses in part.external_ips.items():
            added[service] = (*added.get(service, ()), *addresses)
    return added


def _binds(frontend: Mapping[str, object]) -> tuple[object, ...]:
    return tuple(frontend[key] for key in ("bind", "bind_tls") if key in frontend)


def _plan_paths(scenario: Scenario, kinds: Kinds, context: PlanContext, complaints: Complaints) -> tuple[PathParts, ...]:
    parts: list[PathParts] = []
    counts: dict[str, int] = {}
    for name, raw in scenario.paths.items():
        options = dict(raw)
        kind = options.pop("kind", name)
        if not isinstance(kind, str) or kind not in kinds.paths:
            allowed = ", ".join(sorted(kinds.paths))
            where = ("paths", name, "kind") if "kind" in raw else ("paths", name)
            complaints.add(*where, message="unknown ingress path", found=repr(kind), allowed=allowed)
            continue
        if name == CONTROL_PATH:
            complaints.add("paths", name, message=f"{CONTROL_PATH!r} is the control probe's name", allowed="any other name")
            continue
        path = kinds.paths[kind]
        decoded = complaints.decode(path.options, options, "paths", name)
        if decoded is None:
            continue
        with complaints.at("paths", name):
            earlier = tuple(frontend for part in parts for frontend in part.frontends)
            parts.append(path.plan(name, decoded, replace(context, frontends=earlier), counts.get(kind, 0)))
            _check_frontends(parts)
            check_routing(parts)
        counts[kind] = counts.get(kind, 0) + 1
    return tuple(parts)
