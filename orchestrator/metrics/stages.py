"""The stages of an outage, each told by an event of the history: who noticed, who withdrew, who programmed, when it was over."""

from orchestrator.metrics.spans import Spans
from orchestrator.model.direct import direct_of
from orchestrator.model.history import Event, History
from orchestrator.model.measurements import Stage
from orchestrator.model.plan import PathPlan, Plan, Role, StepPlan
from orchestrator.model.routing import Bgp, Vrrp, routing_of

_WITHDRAWN = ("endpoint-not-ready", "endpoint-terminating", "endpoint-removed")


def find_stages(
    plan: Plan, path: PathPlan, step: StepPlan, history: History, spans: Spans, *, since_s: float, until_s: float
) -> tuple[Stage, ...]:
    """In the order of their instants.

    Through a load balancer: its verdict on the target (`detected`), the control plane's (`node not ready`, `withdrawn`: the last
    endpoint of the target), the rules (`programmed`: the last live node's commit without them). By a kept route: BFD and BGP, the
    kernel's route, or the virtual address. Through one entry node that was
    struck: nobody detects anything; the stages are those of its return, with that of the pod where no other can answer.
    """
    found = [Stage(name="fault effective", at_s=since_s, source=step.kind)]
    if spans.first_loss_s is not None:
        found.append(Stage(name="first loss", at_s=spans.first_loss_s, source="samples"))
    inside = _Window(history, since_s, until_s)
    if path.frontend is not None:
        for target in step.targets:
            found += inside.stage("load balancer marks down", inside.first("server-down", backend=path.frontend, server=target))
    for target in step.targets:
        found += inside.stage("node not ready", inside.first("node-not-ready", node=target))
        found += inside.stage("endpoints withdrawn", inside.last(*_WITHDRAWN, node=target))
    found += inside.stage("rules programmed", _programmed(plan, path, step, inside))
    found += _routing_stages(path, step, inside)
    if set(path.entry_nodes) & set(step.targets):
        for target in step.targets:
            found += inside.stage("node boots", inside.first("booted", container=target))
            found += inside.stage("node registers", inside.first("node-registered", node=target))
            found += inside.stage("rules there again", inside.first("rules-committed", container=target))
            found += inside.stage("pod starts again", _started_again(path, target, inside))
    if spans.first_recovery_s is not None:
        found.append(Stage(name="first success", at_s=spans.first_recovery_s, source="samples"))
    if spans.sustained_s is not None:
        found.append(Stage(name="sustained", at_s=spans.sustained_s, source="samples"))
        if spans.last_loss_s is not None and spans.last_loss_s > spans.sustained_s:
            found.append(Stage(name="last loss", at_s=spans.last_loss_s, source="samples"))
    return tuple(sorted(found, key=lambda stage: stage.at_s))


def _started_again(path: PathPlan, node: str, inside: "_Window") -> Event | None:
    """The first pod of the path's own Deployment that the node's kubelet starts, where only pods on that node answer."""
    direct = direct_of(path)
    if direct is None or not direct.is_local:
        return None
    name = path.service.rpartition("/")[2]
    started = (event for event in inside.select("pod-started") if event.fields.get("node") == node)
    return next((event for event in started if f"{event.fields.get('pod')}-".startswith(f"{name}-")), None)


def _routing_stages(path: PathPlan, step: StepPlan, inside: "_Window") -> list[Stage]:
    """Of a kept route: who noticed, when the route left each struck node, and when it came back."""
    found: list[Stage] = []
    match routing_of(path):
        case Bgp() as routing:
            for target in step.targets:
                down = inside.first("bfd-down", node=target) if routing.bfd_interval_s is not None else None
                found += inside.stage("BFD down", down)
                found += inside.stage("BGP session down", inside.first("bgp-session-down", path=path.name, node=target))
                gone = inside.first("route-withdrawn", destination=routing.destination, node=target)
                found += inside.stage("route withdrawn", gone)
                if gone is not None:
                    back = inside.first("route-added", destination=routing.destination, node=target)
                    found += inside.stage("route back", back)
        case Vrrp() as routing:
            taken = [item for item in inside.select("vip-acquired") if item.fields.get("address") == routing.address]
            for event in taken:
                name = "address back" if event.fields.get("node") in step.targets else "address taken over"
                found += inside.stage(name, event)
    return found


def programmed_at_s(
    plan: Plan, path: PathPlan, step: StepPlan, history: History, *, since_s: float, until_s: float
) -> float | None:
    """When the last live node had committed rules without the endpoints of the struck nodes; of a path with one way in, that
    node, which may be cut off from the control plane and forward by stale rules."""
    inside = _Window(history, since_s, until_s)
    event = _programmed(plan, path, step, inside)
    return None if event is None else history.seconds(event)


def detected_at_s(frontend: str, step: StepPlan, history: History, *, since_s: float, until_s: float) -> float | None:
    """When the load balancer had marked the last struck server down; None when it did not mark all of them."""
    inside = _Window(history, since_s, until_s)
    events = [inside.first("server-down", backend=frontend, server=target) for target in step.targets]
    return max((history.seconds(event) for event in events if event), default=None) if all(events) else None


def _programmed(plan: Plan, path: PathPlan, step: StepPlan, inside: "_Window") -> Event | None:
    """None until every node that clients come through has committed every service that lost an endpoint; a commit names only
    what it changed."""
    lost: dict[str, list[Event]] = {}
    for event in inside.select(*_WITHDRAWN):
        if event.fields.get("node") in step.targets:
            lost.setdefault(str(event.fields.get("service")), []).append(event)
    if not lost:
        return None
    since_ns = min(events[0].t_mono_ns for events in lost.values())
    nodes = [item for item in plan.of_role(Role.NODE) if item.name not in step.targets]
    ways_in = [item.name for item in nodes if inside.was_live(item.name, since_ns, otherwise=item.at_bring_up)]
    if len(path.entry_nodes) == 1 and path.entry_nodes[0] not in step.targets:
        ways_in = list(path.entry_nodes)
    commits = [_commit_without(events, service, node, inside) for node in ways_in for service, events in lost.items()]
    known = [event for event in commits if event is not None]
    return max(known, key=lambda event: event.t_mono_ns, default=None) if len(known) == len(commits) else None


def _commit_without(withdrawn: list[Event], service: str, node: str, inside: "_Window") -> Event | None:
    """The node's first commit of the service, after the first withdrawal, that names none of the endpoints."""
    gone = {str(event.fields.get("endpoint")) for event in withdrawn}
    for event in inside.select("rules-committed"):
        endpoints = event.fields.get("endpoints")
        if event.container != node or event.t_mono_ns < withdrawn[0].t_mono_ns or not isinstance(endpoints, dict):
            continue
        listed = [items for port, items in endpoints.items() if port.rpartition(":")[0] == service]
        if listed and gone.isdisjoint(item for items in listed for item in items):
            return event
    return None


class _Window:
    """Events of one window."""

    def __init__(self, history: History, since_s: float, until_s: float) -> None:
        self._history = history
        start = history.start_mono_ns or 0
        self._since_ns, self._until_ns = start + round(since_s * 1e9), start + round(until_s * 1e9)

    def select(self, *names: str) -> list[Event]:
        return [event for event in self._history.select(*names, since_ns=self._since_ns) if event.t_mono_ns < self._until_ns]

    def was_live(self, node: str, until_ns: int, *, otherwise: bool) -> bool:
        """By the control plane's last word on the node before an instant; `otherwise` when it had said nothing."""
        told = tuple(self._history.select("node-ready", "node-not-ready", "node-deleted", node=node))
        last = next((item for item in reversed(told) if item.t_mono_ns < until_ns), None)
        return otherwise if last is None else last.event == "node-ready"

    def first(self, *names: str, container: str | None = None, **fields: object) -> Event | None:
        return next(iter(self._matching(names, container, fields)), None)

    def last(self, *names: str, **fields: object) -> Event | None:
        """The last one of the first batch: an endpoint that changes again later belongs to another stage."""
        matching = self._matching(names, None, fields)
        first_of_each = {str(event.fields.get("endpoint")): event for event in reversed(matching)}
        return max(first_of_each.values(), key=lambda event: event.t_mono_ns, default=None)

    def _matching(self, names: tuple[str, ...], container: str | None, fields: dict[str, object]) -> list[Event]:
        return [
            event
            for event in self.select(*names)
            if container in (None, event.container) and all(event.fields.get(key) == value for key, value in fields.items())
        ]

    def stage(self, name: str, event: Event | None) -> list[Stage]:
        return [] if event is None else [Stage(name=name, at_s=self._history.seconds(event), source=event.source)]
