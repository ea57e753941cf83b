"""The kernel features that runs use, each with the command that tries it and what its lack costs. Data only."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature:
    """A kernel feature: shell commands that try it in a network namespace of its own, and what its lack costs.

    Without a required one no run is possible.
    """

    name: str
    attempt: str
    cost: str
    required: bool = False


FEATURES = (
    Feature(
        name="nf_tables",
        # What the nodes' rules are made of: verdict maps, local addresses, random choice, destination NAT, masquerade, reject.
        attempt="""nft -f - <<'RULES'
table ip probe {
    map services { type ipv4_addr . inet_proto . inet_service : verdict; }
    chain endpoint { meta l4proto tcp dnat to 192.0.2.1:8080; }
    chain prerouting {
        type nat hook prerouting priority -100;
        ip daddr . meta l4proto . th dport vmap @services
        fib daddr type local numgen random mod 2 vmap { 0: goto endpoint, 1: goto endpoint }
    }
    chain postrouting { type nat hook postrouting priority 100; meta mark & 0x4000 == 0x4000 masquerade fully-random; }
    chain forward { type filter hook forward priority 0; ip protocol tcp reject with tcp reset; }
}
RULES""",
        cost="nodes have no service rules: nothing can run",
        required=True,
    ),
    Feature(
        name="conntrack",
        attempt="""nft 'add table ip flows; add chain ip flows c { type filter hook input priority 0; }
add rule ip flows c ct state established accept'
conntrack -L >/dev/null""",
        cost="no destination NAT: nothing can run",
        required=True,
    ),
    Feature(
        name="conntrack limit",
        attempt="""limit=$(cat /proc/sys/net/netfilter/nf_conntrack_max)
test "$limit" -le 1048576 || { echo "nf_conntrack_max is $limit" >&2; exit 1; }""",
        cost="no fault conntrack-full, the table is too large to fill: sysctl -w net.netfilter.nf_conntrack_max=262144",
    ),
    Feature(
        name="veth",
        attempt="ip link add veth-a type veth peer name veth-b",
        cost="nodes have no pods: nothing can run",
        required=True,
    ),
    Feature(
        name="bridge",
        attempt="""ip link add switch type bridge
ip link add port type veth peer name port-peer
ip link set port master switch""",
        cost="nodes have no pods: nothing can run",
        required=True,
    ),
    Feature(
        name="network namespaces",
        attempt="ip netns add pod && ip netns exec pod ip link set lo up",
        cost="nodes have no pods: nothing can run",
        required=True,
    ),
    Feature(
        name="forwarding",
        attempt='test "$(cat /proc/sys/net/ipv4/ip_forward)" = 1 || { echo "ip_forward stays 0" >&2; exit 1; }',
        cost="gateway and nodes do not route: nothing can run",
        required=True,
    ),
    Feature(
        name="br_netfilter",
        attempt="""ip link add filtered type bridge
test "$(cat /proc/sys/net/bridge/bridge-nf-call-iptables)" = 1 || { echo "bridge-nf-call-iptables is 0" >&2; exit 1; }""",
        cost="a pod gets no answer from a service's pod on its own node (clients outside do); load it: modprobe br_netfilter",
    ),
    Feature(
        name="multipath routes",
        attempt="""ip link add hops type veth peer name hops-peer
ip address add 192.0.2.1/24 dev hops && ip link set hops up
ip route add 198.51.100.0/24 nexthop via 192.0.2.2 nexthop via 192.0.2.3""",
        cost="no path over several next hops (ECMP)",
    ),
    Feature(
        name="iptables",
        attempt="iptables -t nat -N PROBE && iptables -t nat -X PROBE",
        cost="no rules in kube-proxy's iptables mode",
    ),
    Feature(
        name="netem",
        attempt="""ip link add netem-a type veth peer name netem-b
tc qdisc add dev netem-a root netem delay 1ms loss 1%""",
        cost="no faults by reordering or corruption; delay is made with NFQUEUE, loss with nf_tables, rate with TBF",
    ),
    Feature(
        name="nf_tables egress",
        attempt="""ip link add edge type veth peer name edge-peer
nft -f - <<'RULES'
table netdev probe {
    chain in {
        type filter hook ingress devices = { "edge" } priority -500;
        ether saddr { 02:00:00:00:00:01 } counter drop comment "a"
    }
    chain out {
        type filter hook egress devices = { "edge" } priority -500;
        numgen random mod 1000000 >= 900000 counter drop comment "b"
    }
}
RULES""",
        cost="no faults by partition or loss (Linux 5.16 has it); use link-down or node-kill",
    ),
    Feature(
        name="nfqueue",
        attempt="iptables -t raw -A PREROUTING -i lo -j NFQUEUE --queue-num 61000 --queue-bypass",
        cost="no faults by delay (xt_NFQUEUE, nfnetlink_queue); use rate or loss",
    ),
    Feature(
        name="tbf",
        attempt="""ip link add tbf-a type veth peer name tbf-b
tc qdisc add dev tbf-a root tbf rate 10mbit burst 32k latency 50ms""",
        cost="no faults by rate (sch_tbf); use loss",
    ),
    Feature(
        name="vxlan",
        attempt="ip link add overlay type vxlan id 42 dev lo dstport 4789",
        cost="no runs over several engines",
    ),
)
