"""A kube-proxy of the user's own: where it stands in a node, and its command line. Pure."""

from collections.abc import Mapping

from orchestrator.scenario.schema import KubeProxy

KUBE_PROXY = "kube-proxy"
PROGRAM = "/usr/local/bin/kube-proxy"
KUBECONFIG = "/etc/testbed/kubeconfig"
POD_BRIDGE = "cbr0"
"""Of our nodes."""
DETECT_LOCAL = {
    "NodeCIDR": ("--detect-local-mode=NodeCIDR",),
    "BridgeInterface": ("--detect-local-mode=BridgeInterface", f"--pod-bridge-interface={POD_BRIDGE}"),
    "InterfaceNamePrefix": ("--detect-local-mode=InterfaceNamePrefix", "--pod-interface-name-prefix=cbr"),
}
HEALTHZ_PORT, METRICS_PORT = 10256, 10249


def kube_proxy_argv(*, node: str, spec: KubeProxy, cluster_cidr: str, timings: Mapping[str, float]) -> list[str]:
    """Source: kubernetes.io, reference of kube-proxy's flags."""
    return [
        PROGRAM,
        f"--kubeconfig={KUBECONFIG}",
        f"--hostname-override={node}",
        f"--proxy-mode={spec.mode}",
        *([] if spec.detect_local == "none" else [f"--cluster-cidr={cluster_cidr}"]),
        *DETECT_LOCAL.get(spec.detect_local, ()),
        *(["--masquerade-all"] if spec.masquerade_all else []),
        *_node_port_addresses(spec),
        # There are no flags of nftables' own: these two hold in both modes.
        f"--iptables-min-sync-period={_duration(timings['min_sync_period_s'])}",
        f"--iptables-sync-period={_duration(timings['sync_period_s'])}",
        # 0 leaves the sysctls alone: those of conntrack's size are the host's, and read-only in a container.
        "--conntrack-max-per-core=0",
        "--conntrack-min=0",
        "--conntrack-tcp-timeout-established=0",
        "--conntrack-tcp-timeout-close-wait=0",
        f"--healthz-bind-address=0.0.0.0:{HEALTHZ_PORT}",
        f"--metrics-bind-address=127.0.0.1:{METRICS_PORT}",
        # Its events would come as protobuf otherwise, which our API does not read.
        "--kube-api-content-type=application/json",
        # In iptables mode, node ports at 127.0.0.1 want the sysctl route_localnet, and a kube-proxy that cannot set it ends.
        *(["--iptables-localhost-nodeports=false"] if spec.mode == "iptables" else []),
    ]


def _node_port_addresses(spec: KubeProxy) -> list[str]:
    match spec.node_port_addresses:
        case None:
            return []
        case "all":
            value = "0.0.0.0/0"
        case "primary":
            value = "primary"
        case networks:
            value = ",".join(map(str, networks))
    return [f"--nodeport-addresses={value}"]


def _duration(seconds: float) -> str:
    """As Go's time.ParseDuration reads it: in whole milliseconds, since it knows no exponents."""
    return f"{round(seconds * 1000)}ms"
