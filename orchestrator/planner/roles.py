"""Containers of a run: role by role its addresses and the configuration that its processes read (docs/contracts.md section 3)."""

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address

from orchestrator.addresses import ROUTER_HOST, SlotAddresses
from orchestrator.model.plan import Attachment, ContainerPlan, NetworkName, NetworkPlan, ProgramPlan, Role, TimingsPlan
from orchestrator.planner.kube_proxy import KUBE_PROXY, kube_proxy_argv
from orchestrator.planner.load import CONTROL_PORT
from orchestrator.planner.routing import Additions
from orchestrator.scenario.schema import Cluster, KubeProxy

API_PORT = 6443
NODE_CIDR_MASK_SIZE = 24
NODE_PORT_RANGE = "30000-32767"


def plan_networks(slot: SlotAddresses) -> tuple[NetworkPlan, ...]:
    subnets = ((NetworkName.CLIENTS, slot.clients), (NetworkName.NODES, slot.nodes), (NetworkName.MGMT, slot.mgmt))
    return tuple(NetworkPlan(name=name, subnet=subnet, router=subnet[ROUTER_HOST]) for name, subnet in subnets)


def plan_gateway(
    slot: SlotAddresses, routes: Sequence[Mapping[str, object]], additions: Additions | None = None
) -> ContainerPlan:
    additions = additions or Additions()
    return ContainerPlan(
        name=Role.GATEWAY,
        role=Role.GATEWAY,
        attachments=(
            Attachment(network=NetworkName.CLIENTS, address=slot.gateway_on_clients),
            Attachment(network=NetworkName.NODES, address=slot.gateway_on_nodes),
        ),
        config=_config(
            Role.GATEWAY, Role.GATEWAY, None, routes=routes, processes=additions.processes, settings=additions.settings
        ),
        files=additions.files,
        sysctls=additions.sysctls,
    )


def plan_client(slot: SlotAddresses) -> ContainerPlan:
    return ContainerPlan(
        name=Role.CLIENT,
        role=Role.CLIENT,
        attachments=(Attachment(network=NetworkName.CLIENTS, address=slot.client),),
        config=_config(Role.CLIENT, Role.CLIENT, slot.gateway_on_clients),
    )


def plan_loadbalancer(slot: SlotAddresses, frontends: Sequence[Mapping[str, object]]) -> ContainerPlan:
    settings = {"api_url": api_url(slot), "public_ip": str(slot.loadbalancer), "frontends": [dict(item) for item in frontends]}
    return ContainerPlan(
        name=Role.LOADBALANCER,
        role=Role.LOADBALANCER,
        attachments=(Attachment(network=NetworkName.CLIENTS, address=slot.loadbalancer),),
        config=_config(
            Role.LOADBALANCER,
            Role.LOADBALANCER,
            slot.gateway_on_clients,
            processes=[_process("lb", ["python3", "-m", "lbagent"])],
            settings=settings,
        ),
    )


def plan_controlplane(slot: SlotAddresses, cluster: Cluster, timings: TimingsPlan) -> ContainerPlan:
    values = timings.values
    settings = {
        "bind": f"0.0.0.0:{API_PORT}",
        "cluster_cidr": str(cluster.pod_network),
        "node_cidr_mask_size": NODE_CIDR_MASK_SIZE,
        "service_cidr": str(cluster.service_network),
        "node_port_range": NODE_PORT_RANGE,
        "external_ip_pool": str(slot.external_pool),
        "timings": {
            "node_monitor_period_s": values["node_monitor_period_s"],
            "node_monitor_grace_period_s": values["node_monitor_grace_period_s"],
            "node_startup_grace_period_s": values["node_startup_grace_period_s"],
            "toleration_s": values["toleration_s"],
            "eviction_rate_per_s": 1.0 / values["eviction_interval_s"],
        },
        "objects": [],
        "control_responder_port": CONTROL_PORT,
    }
    return ContainerPlan(
        name=Role.CONTROLPLANE,
        role=Role.CONTROLPLANE,
        attachments=(
            Attachment(network=NetworkName.NODES, address=slot.controlplane),
            Attachment(network=NetworkName.MGMT, address=slot.controlplane_on_mgmt),
        ),
        config=_config(
            Role.CONTROLPLANE,
            Role.CONTROLPLANE,
            slot.gateway_on_nodes,
            processes=[
                _process("api", ["python3", "-m", "controlplane"]),
                _process("responder", ["python3", "-m", "controlplane.responder"]),
            ],
            settings=settings,
        ),
    )


def plan_node(
    name: str,
    address: IPv4Address,
    slot: SlotAddresses,
    cluster: Cluster,
    timings: TimingsPlan,
    *,
    at_bring_up: bool,
    kube_proxy: ProgramPlan | None = None,
    additions: Additions | None = None,
) -> ContainerPlan:
    """`kube_proxy`: the user's own, which then writes the rules in the agent's place."""
    additions = additions or Additions()
    values = timings.values
    proxy, pods = cluster.kube_proxy, str(cluster.pod_network)
    processes = [_process("agent", ["python3", "-m", "nodeagent"])]
    if kube_proxy is not None:
        processes.append(_process(KUBE_PROXY, kube_proxy_argv(node=name, spec=proxy, cluster_cidr=pods, timings=values)))
    settings = {
        "node": name,
        "internal_ip": str(address),
        "api_url": api_url(slot),
        "cluster_cidr": pods,
        "service_cidr": str(cluster.service_network),
        "kube_proxy": {
            "mode": proxy.mode,
            "detect_local": proxy.detect_local,
            "masquerade_all": proxy.masquerade_all,
            "node_port_addresses": _node_port_addresses(proxy),
            "writer": "agent" if kube_proxy is None else KUBE_PROXY,
            "min_sync_period_s": values["min_sync_period_s"],
            "sync_period_s": values["sync_period_s"],
        },
        "kubelet": {
            "lease_renew_s": values["lease_renew_s"],
            "lease_duration_s": round(values["lease_duration_s"]),
            "status_update_s": values["status_update_s"],
        },
        "labels": dict(cluster.node_labels.get(name, {})),
        **additions.settings,
    }
    return ContainerPlan(
        name=name,
        role=Role.NODE,
        attachments=(Attachment(network=NetworkName.NODES, address=address),),
        config=_config(
            name,
            Role.NODE,
            slot.gateway_on_nodes,
            processes=[*processes, *additions.processes],
            settings=settings,
        ),
        at_bring_up=at_bring_up,
        programs=() if kube_proxy is None else (kube_proxy,),
        files=additions.files,
    )


def api_url(slot: SlotAddresses) -> str:
    return f"https://{slot.controlplane}:{API_PORT}"


def _node_port_addresses(spec: KubeProxy) -> str | list[str] | None:
    found = spec.node_port_addresses
    return found if found is None or isinstance(found, str) else [str(network) for network in found]


def _process(name: str, argv: list[str]) -> dict[str, object]:
    return {"name": name, "argv": argv, "restart": True}


def _config(
    name: str,
    role: Role,
    default_via: IPv4Address | None,
    *,
    routes: Sequence[Mapping[str, object]] = (),
    processes: Sequence[Mapping[str, object]] = (),
    settings: Mapping[str, object] | None = None,
) -> dict[str, object]:
    return {
        "container": name,
        "role": str(role),
        "default_via": str(default_via) if default_via is not None else None,
        "routes": [dict(route) for route in routes],
        "processes": [dict(process) for process in processes],
        "settings": dict(settings or {}),
    }
