"""Every kind that a scenario can name: one line each. Explicit, so that what exists can be read here."""

from collections.abc import Mapping

from orchestrator.contracts import Action, IngressPath, Kinds, ReportFormat
from orchestrator.faults.agent_kill import AgentKill
from orchestrator.faults.agent_pause import AgentPause
from orchestrator.faults.conntrack_full import ConntrackFull
from orchestrator.faults.controlplane_down import ControlplaneDown
from orchestrator.faults.cpu_squeeze import CpuSqueeze
from orchestrator.faults.delay import Delay
from orchestrator.faults.gateway_reboot import GatewayReboot
from orchestrator.faults.kube_proxy_kill import KubeProxyKill
from orchestrator.faults.kube_proxy_pause import KubeProxyPause
from orchestrator.faults.lb_kill import LbKill
from orchestrator.faults.lb_pause import LbPause
from orchestrator.faults.lb_reload import LbReload
from orchestrator.faults.link_down import LinkDown
from orchestrator.faults.loss import Loss
from orchestrator.faults.no_op import NoOp
from orchestrator.faults.node_drain import NodeDrain
from orchestrator.faults.node_kill import NodeKill
from orchestrator.faults.node_pause import NodePause
from orchestrator.faults.node_reboot import NodeReboot
from orchestrator.faults.node_replace import NodeReplace
from orchestrator.faults.node_stop import NodeStop
from orchestrator.faults.partition import Partition
from orchestrator.faults.pod_kill import PodKill
from orchestrator.faults.pod_not_ready import PodNotReady
from orchestrator.faults.rate import Rate
from orchestrator.faults.rolling_restart import RollingRestart
from orchestrator.faults.scale import Scale
from orchestrator.ingress.bgp import Bgp
from orchestrator.ingress.hostnetwork import HostNetwork
from orchestrator.ingress.hostport import HostPort
from orchestrator.ingress.ingress import Ingress
from orchestrator.ingress.loadbalancer import LoadBalancer
from orchestrator.ingress.nodeport import NodePort
from orchestrator.ingress.nodeport_direct import NodePortDirect
from orchestrator.ingress.service_port_on_node import ServicePortOnNode
from orchestrator.ingress.static_ecmp import StaticEcmp
from orchestrator.ingress.static_route import StaticRoute
from orchestrator.ingress.vip import Vip
from orchestrator.report.html import Html
from orchestrator.report.junit import JUnit
from orchestrator.report.markdown import Markdown
from orchestrator.report.outcome_json import OutcomeJson
from orchestrator.slo import SLOS, parse_objective

PATHS: Mapping[str, IngressPath] = {
    path.kind: path
    for path in (
        StaticRoute(),
        StaticEcmp(),
        Bgp(),
        Vip(),
        NodePort(),
        NodePortDirect(),
        LoadBalancer(),
        Ingress(),
        HostPort(),
        HostNetwork(),
        ServicePortOnNode(),
    )
}

ACTIONS: Mapping[str, Action] = {
    action.kind: action
    for action in (
        NodeKill(),
        NodeStop(),
        NodeReboot(),
        NodeReplace(),
        NodeDrain(),
        RollingRestart(),
        NodePause(),
        LinkDown(),
        Partition(),
        Loss(),
        Delay(),
        Rate(),
        CpuSqueeze(),
        ConntrackFull(),
        AgentKill(),
        AgentPause(),
        KubeProxyKill(),
        KubeProxyPause(),
        PodKill(),
        PodNotReady(),
        LbKill(),
        LbPause(),
        LbReload(),
        GatewayReboot(),
        ControlplaneDown(),
        NoOp(),
        Scale(),
    )
}

KINDS = Kinds(paths=PATHS, actions=ACTIONS, parse_objective=parse_objective, slos=SLOS)

REPORTS: Mapping[str, ReportFormat] = {report.name: report for report in (Html(), JUnit(), Markdown(), OutcomeJson())}
