"""A kube-proxy of the user's own: where it stands in a node, and its command line. Pure."""

import re
from collections.abc import Mapping

from orchestrator.planner.complaints import Complaints
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
FLAG = re.compile(r"--(?P<name>[a-z0-9][a-z0-9-]*)(=.*)?", re.DOTALL)
PLANNED = frozenset(
    {
        "kubeconfig", "hostname-override", "proxy-mode", "cluster-cidr", "detect-local-mode", "pod-bridge-interface",
        "pod-interface-name-prefix", "masquerade-all", "nodeport-addresses", "iptables-min-sync-period", "iptables-sync-period",
        "healthz-bind-address", "metrics-bind-address", "kube-api-content-type", "config", "master", "cleanup", "version", "help",
    }
)  # fmt: skip
"""Flags that other keys of the scenario set, on which the testbed's own observation rests, or with which there is no proxy."""


def check_args(spec: KubeProxy, complaints: Complaints) -> None:
    """Only where a program of the user's own takes them, and none that the testbed plans."""
    key = ("cluster", "kube_proxy", "args")
    if spec.args and spec.binary is None:
        complaints.add(*key, message="no program takes them", found=repr(spec.args[0]), allowed="only beside `binary`")
    for index, argument in enumerate(spec.args):
        flag = FLAG.fullmatch(argument)
        if flag is None:
            complaints.add(*key, index, message="is not a flag", found=repr(argument), allowed="--name or --name=value")
        elif flag["name"] in PLANNED:
            allowed = f"any flag but {', '.join(sorted(PLANNED))}"
            complaints.add(*key, index, message="is the testbed's to set", found=repr(argument), allowed=allowed)


def kube_proxy_argv(*, node: str, spec: KubeProxy, cluster_cidr: str, timings: Mapping[str, float]) -> list[str]:
    """The scenario's own flags come last, where they win. Source: kubernetes.io, reference of kube-proxy's flags."""
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
        *spec.args,
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
