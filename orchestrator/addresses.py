"""The address plan: what each part has in an address slot. Pure; the default slot has the addresses of the article."""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

SLOT_PREFIX = 24
MGMT_POOL = IPv4Network("198.19.0.0/16")  # second half of the benchmark range (RFC 2544): no machine in use has it

GATEWAY_HOST = 1
CLIENT_HOST = 2
LOADBALANCER_HOST = 3
FIRST_NODE_HOST = 2
CONTROLPLANE_HOST = 250
VIRTUAL_HOSTS = range(251, 254)  # addresses of the node network that nodes take over from each other
ROUTER_HOST = 254  # Docker's IPAM keeps one address for itself; nothing uses it as next hop, so that .1 is free for the gateway
EXTERNAL_POOL = (128, 26)  # external IPs of LoadBalancer services: the third quarter of the client network
FURTHER_EXTERNAL = (192, 27)  # beside the pool, from which the control plane gives: a Service's addresses with other settings
MAX_NODES = CONTROLPLANE_HOST - FIRST_NODE_HOST
MGMT_CONTROLPLANE_HOST = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotAddresses:
    """The networks of one address slot and the fixed places in them."""

    slot: int
    clients: IPv4Network
    nodes: IPv4Network
    mgmt: IPv4Network

    @property
    def gateway_on_clients(self) -> IPv4Address:
        return self.clients[GATEWAY_HOST]

    @property
    def gateway_on_nodes(self) -> IPv4Address:
        return self.nodes[GATEWAY_HOST]

    @property
    def client(self) -> IPv4Address:
        return self.clients[CLIENT_HOST]

    @property
    def loadbalancer(self) -> IPv4Address:
        return self.clients[LOADBALANCER_HOST]

    @property
    def controlplane(self) -> IPv4Address:
        return self.nodes[CONTROLPLANE_HOST]

    @property
    def controlplane_on_mgmt(self) -> IPv4Address:
        return self.mgmt[MGMT_CONTROLPLANE_HOST]

    @property
    def external_pool(self) -> IPv4Network:
        offset, prefix = EXTERNAL_POOL
        return IPv4Network((int(self.clients.network_address) + offset, prefix))

    @property
    def further_external(self) -> tuple[IPv4Address, ...]:
        offset, prefix = FURTHER_EXTERNAL
        return tuple(IPv4Network((int(self.clients.network_address) + offset, prefix)))

    @property
    def virtual(self) -> tuple[IPv4Address, ...]:
        return tuple(self.nodes[host] for host in VIRTUAL_HOSTS)

    def node(self, number: int) -> IPv4Address:
        """The address of `node-<number>`, counted from 1. Raises ValueError beyond MAX_NODES."""
        if not 1 <= number <= MAX_NODES:
            raise ValueError(f"node-{number} has no address; allowed: node-1 to node-{MAX_NODES}")
        return self.nodes[FIRST_NODE_HOST + number - 1]


def slots_in(pool: IPv4Network) -> int:
    """How many address slots a pool holds."""
    return int(2 ** (SLOT_PREFIX - pool.prefixlen)) if pool.prefixlen <= SLOT_PREFIX else 0


def slot_addresses(slot: int, *, client_pool: IPv4Network, node_pool: IPv4Network) -> SlotAddresses:
    """The networks of a slot. Raises ValueError when a pool has no such slot."""
    count = min(slots_in(client_pool), slots_in(node_pool), slots_in(MGMT_POOL))
    if not 0 <= slot < count:
        raise ValueError(f"address slot {slot} is outside the pools; allowed: 0 to {count - 1}")
    return SlotAddresses(
        slot=slot,
        clients=_subnet(client_pool, slot),
        nodes=_subnet(node_pool, slot),
        mgmt=_subnet(MGMT_POOL, slot),
    )


def _subnet(pool: IPv4Network, slot: int) -> IPv4Network:
    return IPv4Network((int(pool.network_address) + slot * 2 ** (32 - SLOT_PREFIX), SLOT_PREFIX))


def node_name(number: int) -> str:
    return f"node-{number}"
