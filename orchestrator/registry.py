"""Every kind that a scenario can name: one line each. Explicit, so that what exists can be read here."""

from collections.abc import Mapping

from orchestrator.contracts import Action, IngressPath, Kinds, ReportFormat
from orchestrator.faults.link_down import LinkDown
from orchestrator.faults.no_op import NoOp
from orchestrator.faults.node_kill import NodeKill
from orchestrator.faults.node_pause import NodePause
from orchestrator.faults.scale import Scale
from orchestrator.ingress.loadbalancer import LoadBalancer
from orchestrator.ingress.nodeport import NodePort
from orchestrator.ingress.service_port_on_node import ServicePortOnNode
from orchestrator.ingress.static_route import StaticRoute
from orchestrator.report.html import Html
from orchestrator.report.junit import JUnit
from orchestrator.report.markdown import Markdown
from orchestrator.report.outcome_json import OutcomeJson
from orchestrator.slo import parse_objective

PATHS: Mapping[str, IngressPath] = {path.kind: path for path in (StaticRoute(), NodePort(), LoadBalancer(), ServicePortOnNode())}

ACTIONS: Mapping[str, Action] = {action.kind: action for action in (NodeKill(), NodePause(), LinkDown(), NoOp(), Scale())}

KINDS = Kinds(paths=PATHS, actions=ACTIONS, parse_objective=parse_objective)

REPORTS: Mapping[str, ReportFormat] = {report.name: report for report in (Html(), JUnit(), Markdown(), OutcomeJson())}
