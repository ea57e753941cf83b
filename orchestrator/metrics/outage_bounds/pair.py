"""What a rule reads of a path and a fault: where the path enters, who leads it elsewhere, whose pods answer. Decides nothing."""

from collections.abc import Mapping
from dataclasses import dataclass

from orchestrator.metrics.routing import detection_of
from orchestrator.metrics.verdicts import asks_the_kernel, check_duration_s, detection_bounds, recovery_s, withdrawal_bounds
from orchestrator.model.direct import direct_of
from orchestrator.model.plan import Expectation, LoadClassPlan, PathPlan, Plan, Role, StepPlan
from orchestrator.model.routing import Routing, StaticEcmp, routing_of


@dataclass(frozen=True, slots=True, kw_only=True)
class OutageBound:
    """Seconds from the fault's effective instant to the last loss; None: nothing in the plan sets such a limit."""

    at_most_s: float | None
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One path, one class of its load, and one fault of the plan."""

    path: PathPlan
    step: StepPlan
    load: LoadClassPlan
    plan: Plan

    @property
    def haproxy(self) -> Mapping[str, object]:
        settings = self.path.settings.get("haproxy")
        return settings if isinstance(settings, Mapping) else {}

    @property
    def is_balanced(self) -> bool:
        """Whether HAProxy chooses the entry node."""
        return self.path.frontend is not None and isinstance(self.path.settings.get("haproxy"), Mapping)

    @property
    def routing(self) -> Routing | None:
        return routing_of(self.path)

    @property
    def is_refused(self) -> bool:
        """A negative control: a kernel's refusal is its good answer, and needs no process and no pod."""
        return self.path.expect is Expectation.REFUSED

    @property
    def entry(self) -> str | None:
        """The one node through which the path enters; None: somebody chooses among several."""
        direct = direct_of(self.path)
        if direct is not None:
            return direct.node
        return self.path.entry_nodes[0] if len(self.path.entry_nodes) == 1 else None

    @property
    def leads(self) -> str:
        """To its one entry node, in words."""
        caller = "the route leads to" if direct_of(self.path) is None and not self.is_refused else "the client calls"
        return f"{caller} {self.entry} and no other"

    @property
    def is_local(self) -> bool:
        """Whether each node leads to its own pods only."""
        direct = direct_of(self.path)
        return self.is_refused or (direct.is_local if direct else self.path.settings.get("external_traffic_policy") == "Local")

    @property
    def strikes_node(self) -> bool:
        return any(target in self.nodes for target in self.step.targets)

    @property
    def strikes_entry(self) -> bool:
        """Whether it strikes the only node, or one of the fixed next hops, through which the path enters."""
        if isinstance(self.routing, StaticEcmp):
            return not set(self.routing.next_hops).isdisjoint(self.step.targets)
        return self.entry in self.step.targets

    @property
    def nodes(self) -> frozenset[str]:
        return frozenset(item.name for item in self.plan.of_role(Role.NODE))

    @property
    def is_standing(self) -> bool:
        """Whether nobody leads the path elsewhere: one entry node, or next hops that nobody withdraws."""
        return self.entry is not None or isinstance(self.routing, StaticEcmp)

    @property
    def withdrawn_s(self) -> float:
        """W: until the last node has rules without a silent node's pods."""
        latest_s = withdrawal_bounds(self.plan.timings).latest_s
        assert latest_s is not None, "a plan names every timing"
        return latest_s

    @property
    def routed_s(self) -> float | None:
        """D of the route; None: nothing withdraws it."""
        return None if self.routing is None else detection_of(self.routing).latest_s

    @property
    def checked_s(self) -> float | None:
        """D of HAProxy; None: it checks nothing."""
        return detection_bounds(self.haproxy).latest_s

    @property
    def back_s(self) -> float:
        """How long a live server stays down after the last check, or observed connection, that failed at a struck node's pod.

        Checks of the node port, and observed connections, end at a pod of any node where the policy is Cluster: one check and
        `rise` good ones, `downinter` apart. 0 where neither ends at a pod.
        """
        ends_at_pods = asks_the_kernel(self.haproxy) or self.haproxy.get("observe", "none") != "none"
        if not self.is_balanced or self.checked_s is None or self.is_local or not ends_at_pods:
            return 0.0
        return self.rejoin_s

    @property
    def rejoin_s(self) -> float:
        """How long a server that answers again stays down: the check that still fails, and `rise` good ones."""
        return 0.0 if self.checked_s is None else check_duration_s(self.haproxy) + recovery_s(self.haproxy)

    @property
    def use_s(self) -> float | None:
        """How often each kept connection is used; None: every request has its own, or its own choice of a server."""
        if self.load.connection_class != "keepalive" or self.path.settings.get("per_request"):
            return None
        return self.load.connections / self.load.rate_rps

    def lasting(self, why: str, *, and_s: float = 0.0) -> OutageBound:
        """As long as the fault lasts, and a while; without an end in the plan there is no bound."""
        at_most_s = None if self.step.for_s is None else self.step.for_s + and_s
        return OutageBound(at_most_s=at_most_s, why=why if at_most_s is not None else f"{why}, and the plan names no end")

    def no_longer_than_it_lasts(self, at_most_s: float, why: str, *, and_s: float = 0.0) -> OutageBound:
        if self.step.for_s is not None:
            at_most_s = min(at_most_s, self.step.for_s + and_s)
        return OutageBound(at_most_s=at_most_s, why=why)


def nothing_lost(why: str) -> OutageBound:
    return OutageBound(at_most_s=0.0, why=why)


def unbounded(why: str) -> OutageBound:
    return OutageBound(at_most_s=None, why=why)
